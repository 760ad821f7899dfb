// What a folded character is to the reader of addresses: its class, and flags that spare a look into a list of words.
//
//   mark    bits 0 - 3    class
//           bits 4 - 16   flags
//           bits 17 - 20  of a numeral, which of the values it stands for
//           bits 21 - 26  of a unit word of one character, its number plus one
//
// Python builds the tables with these very numbers: ordervet._core.ADDRESS_MARKS.

#pragma once

#include <cstdint>

namespace ordervet::address {

using Point = std::uint32_t;  // a code point
using Mark = std::uint32_t;

// The values of lexicon.CharClass, and END behind the last character.
enum Class : Mark { NAME, DIGIT, NUMERAL, LETTER, SPACE, HYPHEN, BREAK, HASH, STAR, JUNK, COMMA, END };

inline constexpr Mark kClass = 15;
inline constexpr Mark UNIT_TRAP = 1 << 4;       // after a unit, it makes the whole a name
inline constexpr Mark ESTATE_ENDING = 1 << 5;   // a location ends so
inline constexpr Mark NOTE_START = 1 << 6;      // a note to the courier begins so
inline constexpr Mark PLACE_START = 1 << 7;     // a word that tells the kind of a place begins so,
inline constexpr Mark PLACE_SECOND = 1 << 8;    // and goes on so
inline constexpr Mark NAME_END = 1 << 9;        // a road's or an estate's name may end so,
inline constexpr Mark UNDOES_END = 1 << 10;     // unless one of these follows
inline constexpr Mark VILLAGE_END = 1 << 11;    // a village's name ends so
inline constexpr Mark FULL_TRAP = 1 << 12;      // after a region's full name it makes another word of its end
inline constexpr Mark SKIP_START = 1 << 13;     // a word that is skipped among regions begins so
inline constexpr Mark UNIT_START = 1 << 14;     // a unit word begins so,
inline constexpr Mark UNIT_SECOND = 1 << 15;    // and goes on so
inline constexpr Mark REGION_START = 1 << 16;   // a name that needs no other before it begins so
inline constexpr int kValueShift = 17;
inline constexpr int kUnitShift = 21;

inline Class class_of(Mark mark) { return static_cast<Class>(mark & kClass); }

// An entry of the table of characters: its first folded character, that one's mark, and the second, if it folds to two.
inline constexpr int kMarkShift = 21, kSecondShift = 48;

// The values of lexicon.Unit, and what is no unit.
enum Unit : int { NO_UNIT = -1, NUMBER, LANE, SECTION, GROUP, BUILDING, STAIR, FLOOR, ROOM, kUnits };

// Traits of a unit word: it is 号, 巷, one that counts only right after a building, or 楼.
inline constexpr int IS_NUMBER_WORD = 1, IS_LANE_WORD = 2, IS_STAIR_WORD = 4, IS_HOUSE_WORD = 8;

// The levels of divisions.py, and traits of a division: an urban district, an urban subdistrict.
inline constexpr int CITY = 1, TOWN = 3;
inline constexpr int IS_DISTRICT = 1, IS_SUBDISTRICT = 2;
inline constexpr int COUNTRY = 0;

// Codes of lexicon.PlaceType that no word tells.
inline constexpr std::int8_t UNKNOWN_PLACE = 0, HOUSEHOLD = 1, VILLAGE = 10;

// The lists of words, each under a root of its own in the trie.
enum WordList {
    SKIPPED_REGIONS, TRAPS, UNIT_WORDS, ENDINGS, SKIPPED_NAMES, PLACES, CAREFUL_TRAPS, GENERIC_ENDINGS, EXTENSIONS,
    RECIPIENTS, ZONES, kLists
};

// How surely a name is that of a region: divisions.NameKind.
enum NameKind : int { FULL, SHORT, CAREFUL };
inline constexpr int kNameKindBits = 2;

// Folded characters of an address beyond this many are not read.
inline constexpr int kMaxChars = 512;

}  // namespace ordervet::address
