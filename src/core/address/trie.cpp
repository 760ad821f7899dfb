#include "address/trie.hpp"

#include <bit>
#include <stdexcept>

namespace ordervet::address {

Trie::Trie(LargeArray<std::int64_t> nodes, LargeArray<std::uint64_t> edges)
    : nodes_(std::move(nodes)), edges_(std::move(edges)), mask_(edges_.size() - 1) {
    if (!std::has_single_bit(edges_.size()) || nodes_.empty() || nodes_.back() & kPoint)
        throw std::invalid_argument("the trie of words is broken");
    bool has_room = false, is_within = true;
    for (const std::uint64_t edge : edges_) {
        has_room |= edge == 0;
        is_within &= (edge & kNode) < nodes_.size();
    }
    if (!has_room || !is_within) throw std::invalid_argument("the edges of the trie of words are broken");
}

Trie Trie::build(std::span<const std::uint32_t> points, std::span<const std::int64_t> offsets,
                 std::span<const std::int32_t> roots, std::span<const std::int32_t> payloads, std::int32_t n_roots,
                 int edge_bits) {
    Trie trie;
    trie.nodes_.resize(static_cast<std::size_t>(n_roots));
    trie.edges_.resize(std::size_t{1} << edge_bits);
    trie.mask_ = trie.edges_.size() - 1;
    for (std::size_t word = 0; word < roots.size(); ++word) {
        std::int32_t node = roots[word];
        bool is_fresh = false;  // the node was made for this word, and has no child yet
        for (std::int64_t i = offsets[word]; i < offsets[word + 1]; ++i) {
            const std::uint32_t point = points[static_cast<std::size_t>(i)];
            std::int32_t next = trie.follow(node, point).node;
            if (next < 0) {
                next = static_cast<std::int32_t>(trie.nodes_.size());
                trie.nodes_.push_back(0);
                std::int64_t& parent = trie.nodes_[static_cast<std::size_t>(node)];
                if (is_fresh) {
                    parent |= point;
                } else {
                    parent |= kHasMore;
                    const std::uint64_t key = key_of(node, point);
                    std::uint64_t at = slot_of(key, trie.mask_);
                    while (trie.edges_[at] != 0) at = (at + 1) & trie.mask_;
                    trie.edges_[at] = key << kNodeBits | static_cast<std::uint64_t>(next);
                }
                is_fresh = true;
            }
            node = next;
        }
        trie.nodes_[static_cast<std::size_t>(node)] |= (std::int64_t{payloads[word]} + 1) << kPayloadShift;
    }
    trie.nodes_.push_back(0);
    return trie;
}

Starts::Starts(std::vector<std::uint8_t> bits) : bits_(std::move(bits)), mask_(8 * bits_.size() - 1) {
    if (!std::has_single_bit(bits_.size())) throw std::invalid_argument("the filter of first characters is broken");
}

Starts Starts::build(std::span<const std::uint32_t> points, std::span<const std::int64_t> offsets,
                     std::span<const std::int32_t> roots, int bits) {
    Starts starts(std::vector<std::uint8_t>(std::size_t{1} << (bits - 3)));
    for (std::size_t word = 0; word < roots.size(); ++word) {
        const auto at = static_cast<std::size_t>(offsets[word]);
        const std::uint64_t slot = starts.slot_of(roots[word], points[at], points[at + 1]);
        starts.bits_[slot >> 3] |= static_cast<std::uint8_t>(1 << (slot & 7));
    }
    return starts;
}

}  // namespace ordervet::address
