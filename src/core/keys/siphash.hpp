// SipHash-2-4 under a namespace's 128-bit key: where raw personal data ends. Truth: entities/siphash.py.
//
// One text is hashed alone. Of many, short ones are collected in 64 lanes and hashed side by side, a step of the hash for
// eight lanes at once:
//
//   lanes.words   word 0 of lanes 0 .. 63 | word 1 of lanes 0 .. 63 | … | word 15 of lanes 0 .. 63
//   lanes.counts  how many words each text has
//
// An id is never 0, which means "no key": a hash of 0 becomes 1.

#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "text/texts.hpp"

namespace ordervet {

struct SipKey {
    std::uint64_t k0 = 0, k1 = 0;

    // The two halves of 16 bytes; throws std::invalid_argument for another number of them.
    static SipKey from_bytes(Bytes secret);
};

// The id of a text; 0 for an empty one.
std::uint64_t hash_text(Bytes text, SipKey key);

class LaneHasher {
public:
    // Ids go to `ids`, by row.
    LaneHasher(SipKey key, std::span<std::uint64_t> ids) : key_(key), ids_(ids), is_many_(ids.size() >= kLanes) {}

    // Have a text hashed that is not empty; its bytes are not needed afterwards.
    void add(Bytes text, std::size_t row);

    // Hash what is still in lanes.
    void flush();

    static constexpr std::size_t kLanes = 64, kMaxWords = 16, kTogether = 8;

    struct Lanes {
        std::array<std::array<std::uint64_t, kLanes>, kMaxWords> words;
        std::array<std::uint64_t, kLanes> counts;
        std::array<std::uint64_t, kLanes> hashes;
    };

private:
    SipKey key_;
    std::span<std::uint64_t> ids_;
    bool is_many_;
    std::size_t n_lanes_ = 0;
    std::array<std::size_t, kLanes> rows_{};
    Lanes lanes_{};
};

}  // namespace ordervet
