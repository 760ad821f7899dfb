// All that the reader of addresses looks up: the shipped words and divisions, laid out by entities/address/arrays.py.
//
//   characters   code point -> page -> entry (marks.hpp); page -1: every character of the page stands for itself
//   trie         words and names of divisions (trie.hpp); what a word means depends on its list:
//                  a division's names   4 * division + kind of name
//                  UNIT_WORDS           row of unit_words
//                  ENDINGS              2 * ending, + 1 if it ends a road; words are read from their last character
//                                       back, as are GENERIC_ENDINGS, EXTENSIONS and ZONES
//                  TRAPS                1 if the word is a road after all
//                  PLACES               rank of the kind of place; the lowest wins
//   divisions    a row per division: 0 is the country
//   western      words of addresses in other characters (western_words.hpp)

#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "address/marks.hpp"
#include "address/trie.hpp"
#include "address/western_words.hpp"

namespace ordervet::address {

struct UnitWord {
    Unit unit;
    Point last_point;  // part of the canonical number of a section: 2期
    int traits;
    int length;
};

struct Division {
    std::int32_t parent;
    std::int32_t last;  // the last division within it: those within it follow it
    std::int8_t level;
    std::int8_t traits;
    std::array<std::uint8_t, 6> code;
};

inline constexpr std::size_t kMaxTown = 128;  // bytes of a town's name

// A common name of a region in a slot of its own: one look in place of a walk of three to nine steps over the trie.
struct RegionSlot {
    std::uint64_t head;  // list and first two characters, 16 bits each, above the division; all ones = free
    std::uint64_t rest;  // its other characters, 16 bits each, from the lowest

    static constexpr int kDivisionBits = 16, kMaxLength = 6;
    std::uint64_t key() const { return head >> kDivisionBits; }
    std::int32_t division() const { return static_cast<std::int32_t>(head & 0xFFFF); }
    int length() const { return 2 + (64 + 15 - std::countl_zero(rest)) / 16; }
};

// What a character folds to.
struct Folds {
    Point point;
    Mark mark;
    Point second;  // 0 if it folds to one character
};

// The arrays of tables.npz, by name.
struct TableArrays {
    std::span<const std::int32_t> pages, lists, exceptions, parents, town_offsets, unit_words;
    std::span<const std::uint64_t> folds, edges, region_slots, list_starts;
    std::span<const std::int64_t> nodes, values;
    std::span<const std::uint8_t> starts, codes, town_bytes;
    std::span<const std::int8_t> levels, traits, place_types;
    WesternArrays western;
};

class Tables {
public:
    // Throws std::invalid_argument for arrays that do not fit together.
    explicit Tables(const TableArrays& arrays);

    Folds fold(Point point) const {
        // SPEED: the first 65,536 characters, nearly all, lie in one array (bench_addresses.py).
        const std::uint64_t entry = point < kPlane ? plane_[0][point] : find_entry(point);
        constexpr std::uint64_t mark = (std::uint64_t{1} << (kSecondShift - kMarkShift)) - 1;
        return {static_cast<Point>(entry & ((1 << kMarkShift) - 1)), static_cast<Mark>(entry >> kMarkShift & mark),
                static_cast<Point>(entry >> kSecondShift)};
    }

    std::int32_t list(WordList which) const { return lists_[which]; }
    // False only if no word of the list begins so; the words that are read backwards begin with their last character.
    // SPEED: most characters begin none, and a look into the trie may miss the cache (bench_addresses.py).
    bool may_start(WordList which, Point point) const { return list_starts_[which][point >> 6 & 3] >> (point & 63) & 1; }

    std::int64_t value_of(Mark mark) const { return values[mark >> kValueShift & 15]; }

    Trie trie;
    Starts starts;
    std::vector<std::int32_t> exceptions;  // per ending the root of the characters that undo it
    LargeArray<Division> divisions;
    std::vector<std::string> towns;  // per division, of a town its name, in UTF-8
    std::vector<UnitWord> unit_words;
    std::vector<std::int8_t> place_types;  // per rank
    LargeArray<RegionSlot> region_slots;
    int region_slot_shift;
    WesternWords western;
    std::array<std::int64_t, 16> values{};  // of numerals

private:
    static constexpr std::size_t kPlane = 1 << 16;

    std::uint64_t find_entry(Point point) const {
        const std::int32_t page = pages_[point >> 8];
        return page < 0 ? point : folds_[static_cast<std::uint32_t>(page) << 8 | (point & 255)];
    }

    std::vector<std::int32_t> pages_;
    LargeArray<std::uint64_t> folds_;
    LargeArray<std::array<std::uint64_t, kPlane>> plane_;  // one: the entries of the characters below kPlane
    std::array<std::int32_t, kLists> lists_{};
    // Bit i: a word begins with a character of which i are the last 8 bits.
    std::array<std::array<std::uint64_t, 4>, kLists> list_starts_{};
};

}  // namespace ordervet::address
