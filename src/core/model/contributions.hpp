// Exact path-dependent TreeSHAP by table.
//
// A leaf's share in a row's score depends on the row only through which of the leaf's features the row satisfies: every
// condition on the path that is on this feature. So all shares of a leaf are a table over subsets, made once per model.
//
//   Group    the leaves of one subtree, the largest whose bits are at most 7. Its bits, the highest of a number first:
//            one per feature that leads to the subtree (all its conditions hold), then one per question inside it.
//   shares   per group 2 ** n_bits entries of 8 log-odds, one per feature of the group in the order of its first bit:
//            an entry is one cache line, which is what one row wants.
//   Chunk    some neighbouring groups, and per feature the lookups among them, in the order of groups.
//   by_feature   the same numbers, made when many rows come: per lookup 2 ** n_bits log-odds side by side.
//
// A feature's shares are added to 0.0 in the order of groups on every path, so one row and many give the same bits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "forest.hpp"

namespace ordervet::model {

constexpr std::size_t group_bits = 7;
constexpr std::size_t entry_size = 8;
constexpr std::size_t chunk_groups = 96;

struct Condition {
    std::uint32_t plane;
    bool wanted;
};

struct Group {
    std::uint32_t first_bit, n_bits;
    std::uint32_t first_feature, n_features; // in `features`
    std::uint32_t first_entry;               // in `shares`
};

struct Lookup {
    std::uint32_t group, place;
    std::uint32_t first_share; // in `by_feature`
};

struct Run {
    std::uint32_t feature, first_lookup, n_lookups;
};

struct Chunk {
    std::uint32_t first_group, n_groups, first_run, n_runs;
};

struct alignas(64) Entry {
    std::array<double, entry_size> shares;
};

struct Contributions {
    //: Throws std::invalid_argument for a tree deeper than 6, or a count that is not above 0.
    Contributions(const Forest& forest, std::span<const double> node_count, std::span<const double> leaf_count);

    //: Gives `by_feature`.
    std::span<const double> turn_shares() const;

    const Forest& forest;
    std::vector<Group> groups;
    std::vector<std::uint32_t> bit_start; // of `conditions`, one more than there are bits
    std::vector<Condition> conditions;
    std::vector<std::uint32_t> features;
    std::vector<Entry> shares;
    std::vector<Chunk> chunks;
    std::vector<Run> runs;
    std::vector<Lookup> lookups;

private:
    void build_chunks();

    mutable std::once_flag is_turned;
    mutable std::vector<double> by_feature;
};

} // namespace ordervet::model
