#include "id_map.hpp"

#include <vector>

namespace ordervet::features {

void IdMap::restore(std::span<const std::byte> bytes) {
  entries_.assign(bytes);
  n_ids_ = 0;
  for (std::size_t at = 0; at < entries_.size(); ++at) n_ids_ += entries_[at].id != 0;
  if (!std::has_single_bit(entries_.size()) || entries_.size() < 2 * n_ids_)
    throw std::invalid_argument("a table of ids has the wrong size");
  // NOTE: at least half of the entries are empty, so every search ends.
  std::vector<bool> is_taken(n_ids_, false);
  for (std::size_t at = 0; at < entries_.size(); ++at) {
    const Entry& entry = entries_[at];
    if (entry.id == 0) continue;
    const auto slot = static_cast<std::size_t>(entry.slot);
    if (slot >= n_ids_ || is_taken[slot]) throw std::invalid_argument("a table of ids names a wrong slot");
    if (find_place(entry.id) != at) throw std::invalid_argument("a table of ids hides an id");
    is_taken[slot] = true;
  }
}

}  // namespace ordervet::features
