// Which blocks of the core a run has come by, for a coverage-guided fuzzer (tests/fuzz_readers.py).
//
// Compiled only with sanitizers. GCC has every block call __sanitizer_cov_trace_pc; the counter of a block is one of
// kEdges, by a hash of where the call returns to. libFuzzer, where it is loaded, reads the counters; the sanitizers'
// runtimes ignore them. It wants a place in the program for every counter, to print; there is none.

#include <cstddef>
#include <cstdint>

namespace {

constexpr std::size_t kEdges = 1 << 16;

std::uint8_t edges[kEdges];
std::uintptr_t places[2 * kEdges];

}  // namespace

extern "C" {

void __sanitizer_cov_8bit_counters_init(std::uint8_t* start, std::uint8_t* stop);
void __sanitizer_cov_pcs_init(const std::uintptr_t* start, const std::uintptr_t* stop);

// NOTE: hidden, as libFuzzer has a function of this name that does nothing.
[[gnu::visibility("hidden")]] void __sanitizer_cov_trace_pc() {
    const auto place = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
    ++edges[(place * 0x9E3779B97F4A7C15u) >> 48];
}

// libFuzzer has none for floating-point numbers.
[[gnu::visibility("hidden")]] void __sanitizer_cov_trace_cmpf(float, float) {}
[[gnu::visibility("hidden")]] void __sanitizer_cov_trace_cmpd(double, double) {}

}  // extern "C"

namespace {

[[gnu::constructor]] void register_edges() {
    __sanitizer_cov_8bit_counters_init(edges, edges + kEdges);
    __sanitizer_cov_pcs_init(places, places + 2 * kEdges);
}

}  // namespace
