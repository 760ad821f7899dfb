#include "address/tables.hpp"

#include <algorithm>
#include <bit>
#include <stdexcept>

namespace ordervet::address {
namespace {

constexpr std::size_t kPages = 0x110000 / 256;

template <typename Value>
std::vector<Value> copy(std::span<const Value> values) {
    return {values.begin(), values.end()};
}

template <typename Value>
LargeArray<Value> copy_large(std::span<const Value> values) {
    return LargeArray<Value>(values.begin(), values.end());
}

void check(bool is_good, const char* what) {
    if (!is_good) throw std::invalid_argument(what);
}

template <typename Value>
bool is_within(std::span<const Value> values, Value low, std::size_t stop) {
    return std::ranges::all_of(values, [=](Value each) { return low <= each && (each < 0 || std::size_t(each) < stop); });
}

}  // namespace

Tables::Tables(const TableArrays& arrays)
    : trie(copy_large(arrays.nodes), copy_large(arrays.edges)),
      starts(copy(arrays.starts)),
      exceptions(copy(arrays.exceptions)),
      place_types(copy(arrays.place_types)),
      western(arrays.western),
      pages_(copy(arrays.pages)),
      folds_(copy_large(arrays.folds)) {
    const std::size_t n_divisions = arrays.parents.size(), n_nodes = arrays.nodes.size();
    check(arrays.pages.size() == kPages && is_within(arrays.pages, -1, arrays.folds.size() / 256),
          "the table of characters is broken");
    plane_.resize(1);
    for (Point point = 0; point < kPlane; ++point) plane_[0][point] = find_entry(point);
    check(arrays.lists.size() == kLists && arrays.list_starts.size() == 4 * kLists && is_within(arrays.lists, 0, n_nodes),
          "the lists of words are broken");
    check(is_within(arrays.exceptions, 0, n_nodes), "the exceptions to endings are broken");
    check(arrays.values.size() <= values.size(), "the values of numerals are broken");
    std::ranges::copy(arrays.lists, lists_.begin());
    for (std::size_t at = 0; at < arrays.list_starts.size(); ++at) list_starts_[at / 4][at % 4] = arrays.list_starts[at];
    std::ranges::copy(arrays.values, values.begin());

    check(n_divisions > 0 && n_divisions < n_nodes && arrays.levels.size() == n_divisions &&
              arrays.traits.size() == n_divisions && arrays.codes.size() == 6 * n_divisions &&
              arrays.town_offsets.size() == n_divisions + 1 && is_within(arrays.parents, 0, n_divisions) &&
              std::ranges::is_sorted(arrays.town_offsets) && arrays.town_offsets.front() == 0 &&
              std::size_t(arrays.town_offsets.back()) == arrays.town_bytes.size(),
          "the table of divisions is broken");
    for (std::size_t at = 0; at < n_divisions; ++at) {
        // NOTE: a division comes after the one above it, so that the way up ends at the country, and those within it follow it.
        check(at == 0 || std::size_t(arrays.parents[at]) < at, "a division lies in one that comes later");
        const auto own = static_cast<std::int32_t>(at);
        std::int32_t before = own - 1;
        while (at > 0 && before > arrays.parents[at]) before = arrays.parents[std::size_t(before)];
        check(at == 0 || before == arrays.parents[at], "a division does not follow those that it lies beside");
        Division division{arrays.parents[at], own, arrays.levels[at], arrays.traits[at], {}};
        std::ranges::copy(arrays.codes.subspan(6 * at, 6), division.code.begin());
        const auto town = arrays.town_bytes.subspan(arrays.town_offsets[at],
                                                    arrays.town_offsets[at + 1] - arrays.town_offsets[at]);
        check(town.size() <= kMaxTown, "the name of a town is too long");
        towns.emplace_back(town.begin(), town.end());
        divisions.push_back(division);
    }
    for (std::size_t at = n_divisions - 1; at > 0; --at) {
        std::int32_t& last = divisions[std::size_t(divisions[at].parent)].last;
        last = std::max(last, divisions[at].last);
    }
    check(arrays.unit_words.size() % 4 == 0, "the unit words are broken");
    for (std::size_t at = 0; at < arrays.unit_words.size(); at += 4) {
        const auto row = arrays.unit_words.subspan(at, 4);
        check(0 <= row[0] && row[0] < kUnits, "a unit word counts no unit");
        unit_words.push_back({static_cast<Unit>(row[0]), static_cast<Point>(row[1]), row[2], row[3]});
    }
    const std::size_t n_slots = arrays.region_slots.size() / 2;
    check(n_slots > 1 && std::has_single_bit(n_slots) && arrays.region_slots.size() == 2 * n_slots, "the slots of regions are broken");
    region_slot_shift = 64 - std::countr_zero(n_slots);
    for (std::size_t at = 0; at < arrays.region_slots.size(); at += 2) {
        const RegionSlot slot{arrays.region_slots[at], arrays.region_slots[at + 1]};
        check(slot.head == ~std::uint64_t{0} || std::size_t(slot.division()) < n_divisions, "a slot of a region is broken");
        region_slots.push_back(slot);
    }
}

}  // namespace ordervet::address
