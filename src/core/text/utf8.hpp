// Characters of UTF-8. Arrow's text is valid; of other bytes no more is asked than that all are read.

#pragma once

#include <cstddef>
#include <cstdint>

#include "text/texts.hpp"

namespace ordervet {

struct Decoded {
    std::uint32_t point;
    std::size_t end;
};

// Decode the character at a place.
inline Decoded decode(Bytes text, std::size_t at) {
    const std::uint32_t first = text[at];
    const std::size_t n_left = text.size() - at;
    const auto next = [&](std::size_t i) { return static_cast<std::uint32_t>(text[at + i] & 0x3F); };
    // SPEED: most characters are Chinese (bench_addresses.py)
    if (0xE0 <= first && first < 0xF0 && n_left > 2) {
        const auto rest = text.subspan(at).first<3>();  // one check in place of two
        return {(first & 0x0F) << 12 | std::uint32_t{rest[1] & 0x3Fu} << 6 | std::uint32_t{rest[2] & 0x3Fu}, at + 3};
    }
    if (first < 0x80) return {first, at + 1};
    if (first < 0xE0 && n_left > 1) return {(first & 0x1F) << 6 | next(1), at + 2};
    if (first >= 0xF0 && n_left > 3) {
        const std::uint32_t point = (first & 0x07) << 18 | next(1) << 12 | next(2) << 6 | next(3);
        return {point < 0x110000 ? point : 0, at + 4};
    }
    return {0, text.size()};
}

// Hand the bytes of a character to `put`, one by one.
template <typename Put>
void encode(std::uint32_t point, Put&& put) {
    if (point < 0x80) {
        put(std::uint8_t(point));
        return;
    }
    if (point < 0x800) {
        put(std::uint8_t(0xC0 | point >> 6));
    } else {
        if (point < 0x10000) {
            put(std::uint8_t(0xE0 | point >> 12));
        } else {
            put(std::uint8_t(0xF0 | point >> 18));
            put(std::uint8_t(0x80 | (point >> 12 & 0x3F)));
        }
        put(std::uint8_t(0x80 | (point >> 6 & 0x3F)));
    }
    put(std::uint8_t(0x80 | (point & 0x3F)));
}

}  // namespace ordervet
