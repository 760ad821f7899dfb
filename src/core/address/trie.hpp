// A trie of words over code points, in two arrays.
//
//   nodes   one number per node: bits 0 - 20   its first child's character; that child is the next node
//                                bit 21        it has more children, which are found in the edges
//                                bits 22 - …   what a word that ends here means, plus one
//   edges   a hash table:        bits 24 - 63  the key, (node + 1) and character; 0 = free
//                                bits 0 - 23   the next node
//
// A node's first child follows it in memory, so that the end of a word lies in one cache line. Further children, and all
// of a root's, are found by hash. The first nodes are the roots: every division is the root of the names that may follow
// it, then come the lists of words.

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "large_pages.hpp"

namespace ordervet::address {

struct Step {
    std::int32_t node;     // -1: no word goes on so
    std::int32_t payload;  // -1: no word ends here
};

class Trie {
public:
    // Throws std::invalid_argument for arrays that lead out of themselves.
    Trie(LargeArray<std::int64_t> nodes, LargeArray<std::uint64_t> edges);

    // Follow the edge of a character.
    Step follow(std::int32_t node, std::uint32_t point) const {
        const std::int64_t record = nodes_[static_cast<std::uint32_t>(node)];
        if ((record & kPoint) == point && point != 0) return arrive(node + 1);
        if (record & kHasMore) {
            const std::uint64_t key = key_of(node, point);
            for (std::uint64_t at = slot_of(key, mask_); edges_[at] != 0; at = (at + 1) & mask_)
                if (edges_[at] >> kNodeBits == key) return arrive(static_cast<std::int32_t>(edges_[at] & kNode));
        }
        return {-1, -1};
    }

    // Build the trie of words: word i is points[offsets[i] .. offsets[i + 1]), under roots[i], and means payloads[i].
    static Trie build(std::span<const std::uint32_t> points, std::span<const std::int64_t> offsets,
                      std::span<const std::int32_t> roots, std::span<const std::int32_t> payloads, std::int32_t n_roots,
                      int edge_bits);

    const LargeArray<std::int64_t>& nodes() const { return nodes_; }
    const LargeArray<std::uint64_t>& edges() const { return edges_; }

    static std::uint64_t slot_of(std::uint64_t key, std::uint64_t mask) { return key * kMultiplier >> 40 & mask; }
    static constexpr int kPointBits = 21;
    static constexpr std::uint64_t kMultiplier = 0x9E3779B97F4A7C15;

private:
    static constexpr std::int64_t kPoint = (1 << kPointBits) - 1, kHasMore = 1 << kPointBits;
    static constexpr int kPayloadShift = kPointBits + 1, kNodeBits = 24;
    static constexpr std::uint64_t kNode = (1 << kNodeBits) - 1;

    Trie() = default;

    Step arrive(std::int32_t node) const {
        return {node, static_cast<std::int32_t>(nodes_[static_cast<std::uint32_t>(node)] >> kPayloadShift) - 1};
    }

    static std::uint64_t key_of(std::int32_t node, std::uint32_t point) {
        return static_cast<std::uint64_t>(node + 1) << kPointBits | point;
    }

    LargeArray<std::int64_t> nodes_;
    LargeArray<std::uint64_t> edges_;
    std::uint64_t mask_ = 0;
};

// A filter of the first two characters of words: one bit per hash of root and characters, set where a word begins so.
class Starts {
public:
    explicit Starts(std::vector<std::uint8_t> bits);
    static Starts build(std::span<const std::uint32_t> points, std::span<const std::int64_t> offsets,
                        std::span<const std::int32_t> roots, int bits);

    // False only if no word of the root begins so.
    bool may_start(std::int32_t root, std::uint32_t first, std::uint32_t second) const {
        // SPEED: most characters begin nothing, and bits stay in a near cache (bench_addresses.py).
        const std::uint64_t slot = slot_of(root, first, second);
        return bits_[slot >> 3] >> (slot & 7) & 1;
    }

    const std::vector<std::uint8_t>& bits() const { return bits_; }

private:
    std::uint64_t slot_of(std::int32_t root, std::uint32_t first, std::uint32_t second) const {
        const std::uint64_t pair = static_cast<std::uint64_t>(root) << 2 * Trie::kPointBits |
                                   static_cast<std::uint64_t>(first) << Trie::kPointBits | second;
        return Trie::slot_of(pair, mask_);
    }

    std::vector<std::uint8_t> bits_;
    std::uint64_t mask_ = 0;
};

}  // namespace ordervet::address
