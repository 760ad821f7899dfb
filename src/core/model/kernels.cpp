#include "kernels.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#define FOREST_IS_X86 1
#else
#define FOREST_IS_X86 0
#endif

#define INLINE [[gnu::always_inline]] static inline

namespace ordervet::model {
namespace {

//: Up to so many rows answers in bytes are quicker than planes. SPEED: benchmarks/bench_forest.py.
constexpr std::size_t scored_singly = 24;
constexpr std::size_t explained_singly = 12;
constexpr float quiet_nan = std::numeric_limits<float>::quiet_NaN();
constexpr auto quiet_nan_bits = std::bit_cast<std::int32_t>(quiet_nan);

struct alignas(64) Plane {
    std::array<std::uint64_t, 8> words;
};

//: A number per row of a block, and what each number stands for.
struct Table {
    const std::uint8_t* numbers;
    const double* values;
};

//: What one thread works in, for one block of 512 rows at a time.
struct Buffers {
    Buffers(const Forest& forest, std::size_t n_numbers, std::size_t n_totals)
        : tile(forest.n_features * 16), bins(forest.columns.size() * block_rows), planes(forest.n_planes),
          numbers(n_numbers * block_rows), totals(n_totals * block_rows) {}

    std::uint8_t* numbers_of(std::size_t at) { return &numbers[at * block_rows]; }
    double* totals_of(std::size_t at) { return &totals[at * block_rows]; }

    std::vector<float> tile;
    std::vector<std::uint8_t> bins;
    std::vector<Plane> planes;
    std::vector<std::uint8_t> numbers;
    std::vector<double> totals;
};

// NOTE: the standard library is included above, outside the regions, so that its own code stays for any machine.
#if FOREST_IS_X86
#define FOREST_HAS_AVX2 1

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,bmi,bmi2,popcnt"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,bmi,bmi2,popcnt")
#endif
namespace avx512 {
constexpr std::size_t width = 64;
#include "kernels.inc"
} // namespace avx512
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,popcnt"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,popcnt")
#endif
namespace avx2 {
constexpr std::size_t width = 32;
#include "kernels.inc"
} // namespace avx2
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt"); }

bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

constexpr Kernels avx512_kernels{"avx512", has_avx512, avx512::score, avx512::explain};
constexpr Kernels avx2_kernels{"avx2", has_avx2, avx2::score, avx2::explain};
#undef FOREST_HAS_AVX2
#endif

#define FOREST_HAS_AVX2 0
namespace plain {
constexpr std::size_t width = 16; // SSE2 and NEON, which every machine of its kind has
#include "kernels.inc"
} // namespace plain

constexpr Kernels plain_kernels{"plain", [] { return true; }, plain::score, plain::explain};

} // namespace

std::vector<const Kernels*> list_kernels() {
    std::vector<const Kernels*> found;
#if FOREST_IS_X86
    found = {&avx512_kernels, &avx2_kernels};
#endif
    found.push_back(&plain_kernels);
    std::erase_if(found, [](const Kernels* kernels) { return !kernels->is_supported(); });
    return found;
}

} // namespace ordervet::model
