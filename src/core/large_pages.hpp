// Arrays that are looked up at random: in large pages, where the system has them.
//
// SPEED: a look into 8 MiB of small pages misses the processor's table of pages, too (bench_addresses.py).

#pragma once

#include <cstddef>
#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace ordervet {

template <typename Value>
struct LargePages {
    using value_type = Value;

    LargePages() = default;
    template <typename Other>
    explicit LargePages(const LargePages<Other>&) {}

    Value* allocate(std::size_t n) {
        if (!is_large(n)) return static_cast<Value*>(::operator new(n * sizeof(Value)));
        const std::size_t bytes = (n * sizeof(Value) + kPage - 1) / kPage * kPage;
        void* data = ::operator new(bytes, std::align_val_t{kPage});
#if defined(__linux__)
        madvise(data, bytes, MADV_HUGEPAGE);  // a kernel that knows none gives small pages, which do as well
#endif
        return static_cast<Value*>(data);
    }

    void deallocate(Value* data, std::size_t n) {
        if (is_large(n)) ::operator delete(data, std::align_val_t{kPage});
        else ::operator delete(data);
    }

    friend bool operator==(const LargePages&, const LargePages&) { return true; }

private:
    static constexpr std::size_t kPage = std::size_t{1} << 21;
    static bool is_large(std::size_t n) { return n * sizeof(Value) >= kPage / 8; }
};

template <typename Value>
using LargeArray = std::vector<Value, LargePages<Value>>;

}  // namespace ordervet
