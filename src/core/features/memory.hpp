// Rows of equal length in one block of memory that grows where it lies.
//
//     Rows<Head>    | Head | parts … | pad |  | Head | parts … | pad |  …       stride bytes a row
//
// A row begins with a struct; behind it, at offsets that are known once the features are, lie further parts (clocks,
// sums, links). Every row number is checked, a wrong one throws. What is appended is zeros.
//
// SPEED: memory that is touched for the first time costs more than most of the arithmetic (benchmarks/bench_features.py).
// Large blocks are enlarged by the system without a copy, and what is not used yet takes none.

#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace ordervet::features {

inline constexpr std::size_t kLine = 64;

/// Rows are named by 32-bit numbers, of which one is no row.
inline constexpr std::size_t kMaxRows = 0x7ffffffe;

inline void prefetch([[maybe_unused]] const void* address) noexcept {
#if defined(__GNUC__) || defined(__clang__)
  __builtin_prefetch(address, 1, 3);
#endif
}

/// Zeros that begin with a cache line. Whoever shares a block keeps it alive and where it is.
class Block {
 public:
  std::byte* data() const noexcept { return data_; }
  std::size_t bytes() const noexcept { return bytes_; }
  std::shared_ptr<const void> share() const noexcept { return memory_; }

  /// Enlarge to at least so many bytes; throws std::bad_alloc, and is then as it was.
  void grow(std::size_t bytes);

 private:
  struct Memory {
    std::byte* data = nullptr;
    std::size_t bytes = 0;

    explicit Memory(std::size_t n);
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    ~Memory();
    bool try_enlarge(std::size_t n) noexcept;
  };

  std::shared_ptr<Memory> memory_;
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

[[noreturn]] void throw_row_out_of_range();
[[noreturn]] void throw_too_many_rows();

template <class Head>
class Rows {
  static_assert(std::is_trivially_copyable_v<Head>);

 public:
  explicit Rows(std::size_t stride = sizeof(Head)) : stride_(stride) {
    if (stride < sizeof(Head) || stride % alignof(Head) != 0) throw std::invalid_argument("rows are too short");
  }

  std::size_t size() const noexcept { return size_; }
  std::size_t stride() const noexcept { return stride_; }
  const Block& block() const noexcept { return block_; }

  Head& operator[](std::size_t row) { return *reinterpret_cast<Head*>(locate(row)); }
  const Head& operator[](std::size_t row) const { return *reinterpret_cast<const Head*>(locate(row)); }

  /// A part of a row: `n` values from byte `offset` on.
  template <class T>
  std::span<T> part(std::size_t row, std::size_t offset, std::size_t n) const {
    static_assert(std::is_trivially_copyable_v<T>);
    return {reinterpret_cast<T*>(locate(row) + offset), n};
  }

  void prefetch_row(std::size_t row) const noexcept {
    if (row < size_) prefetch(block_.data() + row * stride_);
  }

  void reserve(std::size_t rows) {
    if (rows > kMaxRows) throw_too_many_rows();
    if (rows * stride_ > block_.bytes()) block_.grow(std::bit_ceil(std::max(rows, kMinRows)) * stride_);
  }

  void resize(std::size_t rows) {
    reserve(rows);
    size_ = std::max(size_, rows);
  }

  /// Append a row and return its number.
  std::size_t append() {
    if ((size_ + 1) * stride_ > block_.bytes()) [[unlikely]] reserve(size_ + 1);
    return size_++;
  }

  /// Let the first rows go; those behind move to the front of new memory.
  void erase_front(std::size_t n) {
    Rows kept(stride_);
    kept.resize(size_ - n);
    std::copy_n(block_.data() + n * stride_, kept.size_ * stride_, kept.block_.data());
    *this = std::move(kept);
  }

  /// Take over the bytes of rows that were exported.
  void assign(std::span<const std::byte> bytes) {
    Rows taken(stride_);
    taken.resize(bytes.size() / stride_);
    std::copy(bytes.begin(), bytes.end(), taken.block_.data());
    *this = std::move(taken);
  }

 private:
  static constexpr std::size_t kMinRows = 64;

  std::byte* locate(std::size_t row) const {
    if (row >= size_) [[unlikely]] throw_row_out_of_range();
    return block_.data() + row * stride_;
  }

  Block block_;
  std::size_t stride_;
  std::size_t size_ = 0;
};

/// Double an open-addressing table where it lies. An entry has `is_empty()` and `find_home(size)`.
///
/// The way goes once around the old part, from behind an empty entry on, and takes out one entry after the other. What
/// it puts back lies where it has been already, in the old part or as far into the new one: a home of the larger table
/// is one of the smaller, or as many places on as the smaller has; and fewer entries between two places never reach
/// further than all of them did.
template <class Entry>
void double_table(Rows<Entry>& table) {
  const std::size_t old_size = table.size(), size = 2 * old_size;
  table.resize(size);
  std::size_t start = 0;
  while (!table[start].is_empty()) ++start;
  for (std::size_t step = 1; step < old_size; ++step) {
    const std::size_t at = (start + step) & (old_size - 1);
    if (table[at].is_empty()) continue;
    const Entry entry = std::exchange(table[at], Entry{});
    std::size_t place = entry.find_home(size);
    while (!table[place].is_empty()) place = (place + 1) & (size - 1);
    table[place] = entry;
  }
}

/// Bytes of a row that lies in half a cache line, or in whole ones.
inline std::size_t fit_lines(std::size_t bytes) {
  return 2 * bytes <= kLine ? kLine / 2 : (bytes + kLine - 1) / kLine * kLine;
}

inline std::size_t round_up(std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; }

}  // namespace ordervet::features
