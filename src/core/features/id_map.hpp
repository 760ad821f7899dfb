// Ids to consecutive slots: an open-addressing table, at most half full.
//
//     entry    id (0: empty) | slot

#pragma once

#include "memory.hpp"

namespace ordervet::features {

class IdMap {
 public:
  struct Entry {
    std::uint64_t id;
    std::int64_t slot;

    bool is_empty() const { return id == 0; }
    std::size_t find_home(std::size_t size) const { return IdMap::find_home(id, size); }
  };

  IdMap() { entries_.resize(kMinEntries); }

  std::size_t size() const noexcept { return n_ids_; }
  const Rows<Entry>& entries() const noexcept { return entries_; }

  void prefetch_id(std::uint64_t id) const noexcept { entries_.prefetch_row(find_home(id, entries_.size())); }

  /// Return the slot of an id; -1 where the id is 0 or not known.
  std::int32_t find(std::uint64_t id) const {
    if (id == 0) return -1;
    const Entry& entry = entries_[find_place(id)];
    return entry.id == 0 ? -1 : static_cast<std::int32_t>(entry.slot);
  }

  /// Return the slot of an id, the next one if it has none yet; -1 where the id is 0.
  std::int32_t assign(std::uint64_t id) {
    if (id == 0) return -1;
    std::size_t place = find_place(id);
    if (entries_[place].id == 0) {
      if (2 * (n_ids_ + 1) > entries_.size()) {
        double_table(entries_);
        place = find_place(id);
      }
      entries_[place] = {id, static_cast<std::int64_t>(n_ids_++)};
    }
    return static_cast<std::int32_t>(entries_[place].slot);
  }

  /// Take over exported entries; throws std::invalid_argument where they are no table of ids.
  void restore(std::span<const std::byte> bytes);

 private:
  static constexpr std::size_t kMinEntries = 64;

  // NOTE: the table's size is a power of two.
  static std::size_t find_home(std::uint64_t id, std::size_t size) noexcept {
    return static_cast<std::size_t>((id * 0x9E3779B97F4A7C15U) >> 20) & (size - 1);
  }

  std::size_t find_place(std::uint64_t id) const {
    std::size_t place = find_home(id, entries_.size());
    while (entries_[place].id != 0 && entries_[place].id != id) place = (place + 1) & (entries_.size() - 1);
    return place;
  }

  Rows<Entry> entries_;
  std::size_t n_ids_ = 0;
};

}  // namespace ordervet::features
