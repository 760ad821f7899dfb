#include "memory.hpp"

#include <cstring>
#include <new>

// The address sanitizer sees only what its own allocator gives out.
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
#define ORDERVET_MAPS_MEMORY 1
#include <sys/mman.h>
#else
#define ORDERVET_MAPS_MEMORY 0
#endif

namespace ordervet::features {

namespace {

/// From so many bytes on a block is mapped; as a multiple of this it comes in large pages.
constexpr std::size_t kLarge = std::size_t{1} << 21;

constexpr bool is_mapped(std::size_t bytes) { return ORDERVET_MAPS_MEMORY && bytes >= kLarge; }

std::size_t round_block(std::size_t bytes) { return is_mapped(bytes) ? round_up(bytes, kLarge) : bytes; }

}  // namespace

Block::Memory::Memory(std::size_t n) : bytes(n) {
#if ORDERVET_MAPS_MEMORY
  if (is_mapped(n)) {
    void* mapped = mmap(nullptr, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    madvise(mapped, n, MADV_HUGEPAGE);  // a kernel that knows none gives small pages, which do as well
    data = static_cast<std::byte*>(mapped);
    return;
  }
#endif
  data = static_cast<std::byte*>(::operator new(n, std::align_val_t{kLine}));
  std::memset(data, 0, n);
}

Block::Memory::~Memory() {
#if ORDERVET_MAPS_MEMORY
  if (is_mapped(bytes)) {
    munmap(data, bytes);
    return;
  }
#endif
  ::operator delete(data, std::align_val_t{kLine});
}

bool Block::Memory::try_enlarge([[maybe_unused]] std::size_t n) noexcept {
#if ORDERVET_MAPS_MEMORY
  if (is_mapped(bytes)) {
    void* moved = mremap(data, bytes, n, MREMAP_MAYMOVE);
    if (moved == MAP_FAILED) return false;
    data = static_cast<std::byte*>(moved);
    bytes = n;
    return true;
  }
#endif
  return false;
}

void Block::grow(std::size_t bytes) {
  const std::size_t wanted = round_block(bytes);
  if (wanted <= bytes_) return;
  // NOTE: whoever shares the memory reads it where it is, so it stays there.
  if (memory_.use_count() != 1 || !memory_->try_enlarge(wanted)) {
    auto larger = std::make_shared<Memory>(wanted);
    if (bytes_ > 0) std::memcpy(larger->data, data_, bytes_);
    memory_ = std::move(larger);
  }
  data_ = memory_->data;
  bytes_ = memory_->bytes;
}

void throw_row_out_of_range() { throw std::out_of_range("the state names a row that does not exist"); }

void throw_too_many_rows() { throw std::length_error("the state would have more than two billion rows"); }

}  // namespace ordervet::features
