#include "keys/siphash.hpp"

#include <bit>
#include <cstring>

#include "clones.hpp"

namespace ordervet {
namespace {

static_assert(std::endian::native == std::endian::little, "SipHash reads little-endian words as they lie in memory");

constexpr std::uint64_t kInit0 = 0x736F6D6570736575, kInit1 = 0x646F72616E646F6D, kInit2 = 0x6C7967656E657261,
                        kInit3 = 0x7465646279746573;

inline void mix(std::uint64_t& v0, std::uint64_t& v1, std::uint64_t& v2, std::uint64_t& v3) {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
}

inline std::uint64_t load_word(Bytes eight) {
    std::uint64_t word;
    std::memcpy(&word, eight.data(), sizeof word);
    return word;
}

// The last word: what whole words leave over, below the length modulo 256.
inline std::uint64_t load_tail(Bytes text) {
    const std::size_t n_left = text.size() & 7;
    const std::uint64_t tail = static_cast<std::uint64_t>(text.size() & 0xFF) << 56;
    if (n_left == 0) return tail;
    // SPEED: the last eight bytes are a word too, which saves a loop (bench_addresses.py).
    if (text.size() >= 8) return tail | load_word(text.last(8)) >> (8 * (8 - n_left));
    std::uint64_t left = 0;
    for (std::size_t i = 0; i < n_left; ++i) left |= static_cast<std::uint64_t>(text[i]) << (8 * i);
    return tail | left;
}

// Hash the texts in eight lanes from `first` on.
ORDERVET_CLONES void hash_lanes(LaneHasher::Lanes& lanes, std::size_t first, SipKey key) {
    constexpr std::size_t n = LaneHasher::kTogether;
    std::array<std::uint64_t, n> v0, v1, v2, v3, counts;
    std::uint64_t longest = 0;
    for (std::size_t i = 0; i < n; ++i) {
        v0[i] = key.k0 ^ kInit0;
        v1[i] = key.k1 ^ kInit1;
        v2[i] = key.k0 ^ kInit2;
        v3[i] = key.k1 ^ kInit3;
        counts[i] = lanes.counts[first + i];
        longest = counts[i] > longest ? counts[i] : longest;
    }
    for (std::size_t at = 0; at < longest; ++at) {
        const auto& row = lanes.words[at];
        std::array<std::uint64_t, n> words;
        for (std::size_t i = 0; i < n; ++i) words[i] = row[first + i];
        for (std::size_t i = 0; i < n; ++i) {
            std::uint64_t a = v0[i], b = v1[i], c = v2[i], d = v3[i] ^ words[i];
            mix(a, b, c, d);
            mix(a, b, c, d);
            a ^= words[i];
            const std::uint64_t has_word = at < counts[i] ? ~std::uint64_t{0} : 0;
            v0[i] = (a & has_word) | (v0[i] & ~has_word);
            v1[i] = (b & has_word) | (v1[i] & ~has_word);
            v2[i] = (c & has_word) | (v2[i] & ~has_word);
            v3[i] = (d & has_word) | (v3[i] & ~has_word);
        }
    }
    for (std::size_t i = 0; i < n; ++i) {
        std::uint64_t a = v0[i], b = v1[i], c = v2[i] ^ 0xFF, d = v3[i];
        for (int round = 0; round < 4; ++round) mix(a, b, c, d);
        const std::uint64_t hashed = a ^ b ^ c ^ d;
        lanes.hashes[first + i] = hashed == 0 ? 1 : hashed;
    }
}

}  // namespace

SipKey SipKey::from_bytes(Bytes secret) {
    if (secret.size() != 16) throw std::invalid_argument("a key of a namespace has 16 bytes");
    return {load_word(secret.first(8)), load_word(secret.last(8))};
}

std::uint64_t hash_text(Bytes text, SipKey key) {
    if (text.empty()) return 0;
    std::uint64_t v0 = key.k0 ^ kInit0, v1 = key.k1 ^ kInit1, v2 = key.k0 ^ kInit2, v3 = key.k1 ^ kInit3;
    const auto absorb = [&](std::uint64_t word) {
        v3 ^= word;
        mix(v0, v1, v2, v3);
        mix(v0, v1, v2, v3);
        v0 ^= word;
    };
    for (std::size_t at = 0; at + 8 <= text.size(); at += 8) absorb(load_word(text.subspan(at, 8)));
    absorb(load_tail(text));
    v2 ^= 0xFF;
    for (int round = 0; round < 4; ++round) mix(v0, v1, v2, v3);
    const std::uint64_t hashed = v0 ^ v1 ^ v2 ^ v3;
    return hashed == 0 ? 1 : hashed;
}

void LaneHasher::add(Bytes text, std::size_t row) {
    if (!is_many_ || text.size() >= 8 * kMaxWords) {
        ids_[row] = hash_text(text, key_);
        return;
    }
    const std::size_t n_whole = text.size() >> 3;
    for (std::size_t word = 0; word < n_whole; ++word)
        lanes_.words[word][n_lanes_] = load_word(text.subspan(8 * word, 8));
    lanes_.words[n_whole][n_lanes_] = load_tail(text);
    lanes_.counts[n_lanes_] = n_whole + 1;
    rows_[n_lanes_] = row;
    if (++n_lanes_ == kLanes) flush();
}

void LaneHasher::flush() {
    for (std::size_t lane = n_lanes_; lane < kLanes; ++lane) lanes_.counts[lane] = 0;
    for (std::size_t first = 0; first < n_lanes_; first += kTogether) hash_lanes(lanes_, first, key_);
    for (std::size_t lane = 0; lane < n_lanes_; ++lane) ids_[rows_[lane]] = lanes_.hashes[lane];
    n_lanes_ = 0;
}

}  // namespace ordervet
