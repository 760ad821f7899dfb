// The words of addresses that are not written in Chinese characters, laid out by entities/address/western_arrays.py.
//
//   rows    list | word | value | target, as  SHORT_FORMS | street | 0 | st,  UNIT_WORDS | apt | ROOM | ,
//           COUNTRIES | unitedstates | 0 | US,  POSTCODES | ##### | 0 | DE
//   found   word -> all that its rows say; country -> how it writes units and postal codes

#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "address/marks.hpp"

namespace ordervet::address {

// The lists that a row may belong to. Most bear the name of their words in western_words.py.
enum class WesternList : std::int8_t {
    SHORT_FORMS, ROAD_TYPES, JOINED, SUFFIXES, ROAD_PREFIXES, ROAD_SUFFIXES, PARTICLES, DROPPED_BEFORE_NUMBER, UNIT_WORDS,
    POSTFIX_UNITS, UNIT_FIRST, UNIT_BEHIND_SLASH, UMLAUTS, BOX_WORDS, CARE_OF, WORD_NUMBERS, MONTHS, REPEATED, PLACE_WORDS,
    POSTCODES, ZIP_DIGITS, STATES, COUNTRIES, kLists
};
inline constexpr std::array kWesternLists{
    "SHORT_FORMS", "ROAD_TYPES", "JOINED", "SUFFIXES", "ROAD_PREFIXES", "ROAD_SUFFIXES", "PARTICLES",
    "DROPPED_BEFORE_NUMBER", "UNIT_WORDS", "POSTFIX_UNITS", "UNIT_FIRST", "UNIT_BEHIND_SLASH", "UMLAUTS", "BOX_WORDS",
    "CARE_OF", "WORD_NUMBERS", "MONTHS", "REPEATED", "PLACE_WORDS", "POSTCODES", "ZIP_DIGITS", "STATES", "COUNTRIES"};
static_assert(kWesternLists.size() == std::size_t(WesternList::kLists));

// What one word says; of an unknown word nothing.
struct WesternWord {
    bool is_dropped = false, is_particle = false, is_month = false, is_repeated = false, is_road_prefix = false,
         is_road_type = false, is_short = false;  // is_short: a form that stands for others, or one of these
    std::int8_t place_type = UNKNOWN_PLACE, number = 0;  // number: of one, two, …; 0 for none
    Unit unit = NO_UNIT, postfix_unit = NO_UNIT;
    std::uint8_t states = 0;           // bit i is set where a state of country_with_states[i] is called so
    std::string country, short_form, joined;  // "" for none
};

// How a country writes addresses.
struct WesternCountry {
    std::vector<std::string> postcodes;
    char unit_first = 0;  // what parts a unit from the house number behind it
    bool is_unit_behind_slash = false, has_umlauts = false;
    std::size_t zip_digits = 0;  // where postal codes are cut; 0 for nowhere
    std::uint8_t states = 0;     // the bit of its states
};

using Phrase = std::vector<std::string>;

// The arrays of tables.npz.
struct WesternArrays {
    std::span<const std::int8_t> lists, values;
    std::span<const std::int32_t> offsets;  // of words and targets in turn, 2 n + 1
    std::span<const std::uint8_t> bytes;
};

class WesternWords {
public:
    // Throws std::invalid_argument for arrays that do not fit together.
    explicit WesternWords(const WesternArrays& arrays);

    const WesternWord& find(std::string_view text) const {
        const auto found = words_.find(text);
        return found == words_.end() ? unknown_ : found->second;
    }

    const WesternCountry& country(std::string_view code) const {
        const auto found = countries_.find(code);
        return found == countries_.end() ? no_country_ : found->second;
    }

    std::vector<Phrase> boxes, persons;                        // what stands before the number of a box, before a person
    std::vector<std::pair<std::string, std::string>> suffixes; // the end of a word, and what stands for it
    std::vector<std::string> road_suffixes;                    // the ends of words that are roads
    std::vector<std::string> countries_with_states;            // those that a state's code and a postal code tell

private:
    void add(WesternList list, std::string_view word, int value, std::string_view target);

    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
    };
    template <typename Value>
    using Map = std::unordered_map<std::string, Value, Hash, std::equal_to<>>;

    Map<WesternWord> words_;
    Map<WesternCountry> countries_;
    WesternWord unknown_;
    WesternCountry no_country_;
};

}  // namespace ordervet::address
