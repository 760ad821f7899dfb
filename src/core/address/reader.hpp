// Reading one address: from its bytes to its canonical texts. Truth: entities/address/parser.py; docs/addresses.md
// numbers the rules.
//
//   bytes    浙江省杭州市西湖区文三路９９號3栋502（放门口）
//     fold   fold.cpp     characters and marks: 浙江省杭州市西湖区文三路99号3栋502(放门口)END
//     scan   scan.cpp     region 330106 (region.cpp); names 文三路 (road), 放门口 (after the last number: a note);
//                         numbers (numbers.cpp) NUMBER 99, BUILDING 3, ROOM 502
//     write  write.cpp    door   330106|文三路|99||||3|||502|
//                         place  330100|文三路|99||||3          a road is unique in the whole city
//
// A Reader is working memory for one address at a time; reading the next overwrites it. All of it has a fixed size: an
// address has at most kMaxChars folded characters, of which names and numbers can only make a few more.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "address/tables.hpp"
#include "address/western.hpp"
#include "evidence.hpp"
#include "text/texts.hpp"

namespace ordervet::address {

// Characters from start to stop of one of the reader's texts.
struct Slice {
    int start = 0, stop = 0;

    int size() const { return stop - start; }
    bool empty() const { return start == stop; }
};

struct Name {
    Slice text;            // of `names`
    bool is_road;
    bool is_relative;      // it tells no more than a direction and a numeral: 东一巷, 西
    bool is_place;         // it ends, or ended before what many names end with was left out, like a location
    int n_groups_before;   // groups of numbers before it
};

struct Number {
    Unit unit;
    Slice text;  // of `numbers`
};

// One number of a group, as a308: what it is made of.
struct Element {
    Slice text;      // of `element_points`
    int source_end;  // where the address goes on
    int n_digits;    // of its canonical text; 0 for letters alone
    int n_source;    // digits and numerals of the address
    int n_prefix, n_suffix;
    bool is_arabic;
    bool is_f;       // its suffix is an f alone, as in 5f
    bool is_cut;     // numerals that the digits of another number follow: 十二501
};

// Numbers joined by dashes or spaces, and the unit after the last.
struct Group {
    int n = 0;                // elements
    int first_with_unit = 0;  // the first element that belongs to the unit: no space follows it
    int end = 0;              // where the address goes on
    Unit unit = NO_UNIT;
    int word = -1;            // row of unit_words
    bool is_trapped = false;  // a unit word is there but belongs to a name: 三号路
    bool is_dashed = false;
    bool is_dialled = false;  // the country or area code of a phone number that follows
};

// A division, and where its name ends.
struct Region {
    std::int32_t division;
    int end;
};

// What `write` has written: bytes of the door text and of the place text, which is its beginning but for the code of the
// region and the zone behind it; 0 where there is none.
struct Written {
    int n_door = 0, n_place = 0;
    int n_zone = 0;  // bytes of the zone, if the place has none
    std::int32_t place_region = COUNTRY;
};

class Reader {
public:
    explicit Reader(const Tables& tables) : western(tables), tables_(tables) {}

    // Fold an address, before all else; say whether a platform has hidden part of it.
    bool fold(Bytes text);

    // Whether the folded address has words, and none of them in Chinese characters: `western` reads it.
    bool is_western() const;
    WesternReader western;

    // Read the folded address.
    void scan();

    // The kind of place of the address that was read.
    std::int8_t place_type() const;

    // Write the door text.
    Written write();
    Bytes door_text(const Written& written) const { return Bytes(out_).first(std::size_t(written.n_door)); }

    // Write the skeleton, region and numbers without names; empty of an address that counts too little.
    Bytes write_skeleton();

    // Put the place's region in; the door text is gone then.
    Bytes place_text(const Written& written);

private:
    // fold.cpp
    void put(Point point, Mark mark) {
        points_[std::size_t(n_)] = point;
        marks_[std::size_t(n_++)] = mark;
    }

    // region.cpp
    Region read_region(int at, std::int32_t region, bool is_short_allowed) const;
    Region read_first_region(int at, bool is_short_allowed) const;
    int match_short(int at) const;
    bool is_trap(int at) const;
    Region match_region(std::int32_t parent, int at, bool is_short_allowed) const;
    Region match_slot(std::int32_t parent, int at) const;
    bool is_numbered_street(int at) const;
    bool names_place(std::int32_t division, int at) const;
    bool ends_name(int start, int stop, bool is_any) const;
    bool is_undone(std::int32_t ending, int at) const;
    bool is_in_division(std::int32_t inner, std::int32_t outer) const;
    int longest_word(WordList list, int at) const;

    // scan.cpp
    void close_run(bool is_road);
    void drop_run();
    bool close_zone(int end);
    bool is_relative(bool is_road) const;
    bool is_skipped() const;
    bool is_recipient();
    int ending_of_run(WordList list) const;
    int end_of_aside(int at) const;
    void drop_recipient();
    void close_if_ended(int next_at);
    void append_raw(int start, int stop);
    void append_number(int start, int stop);
    int skip(int at, Class low, Class high) const;

    // numbers.cpp
    int read_number(int at);
    int restart(int at);
    bool drop_extension(const Group& group);
    bool read_plain_number(int at, int& end);
    bool read_group(int at, Unit last, Group& group);
    int end_of_mobile(int at) const;
    void drop_ordinal();
    Unit resolve_floor(Unit unit, const UnitWord* word, int start, int stop);
    bool read_element(int at, Element& element, int text_start);
    int end_of_numerals(int at, int stop) const;
    bool is_code(const Element& code, Class joiner, bool is_behind_room) const;
    void settle_floor(int start, int stop, bool is_stair);
    bool read_unit(Group& group, Unit last) const;
    int evaluate(Slice source, int text_end);
    bool is_number(const Group& group, Unit last) const;
    bool is_embedded(const Group& group, int at) const;
    void count_group(const Group& group);
    void count_bare(int start, int stop);
    void add_number(Unit unit, int start, int stop, Point word_end = 0);
    Unit resolve_number_word() const;

    // write.cpp
    struct Regions {
        std::int32_t door, place, town;
        bool has_zone, has_zone_of_place;
    };
    bool is_note(const Name& name) const;
    std::span<const Point> points_of(const Name& name) const;
    bool has_seen(Unit unit) const { return units_seen_ >> unit & 1; }
    void sort_names();
    Regions choose_regions() const;
    void write_names(int first, int stop, bool are_notes = false);
    void write_numbers(Unit unit);
    void write_points(std::span<const Point> points);
    void write_byte(std::uint8_t byte) { out_[std::size_t(n_out_++)] = byte; }

    Point point(int at) const { return points_[std::size_t(at)]; }
    Mark mark(int at) const { return marks_[std::size_t(at)]; }
    Class kind(int at) const { return class_of(marks_[std::size_t(at)]); }

    // A folded address is closed by characters of class END; no word and no name reaches beyond so many.
    static constexpr int kAfterEnd = 16;

    const Tables& tables_;
    int n_ = 0;
    std::array<Point, kMaxChars + kAfterEnd> points_{};
    std::array<Mark, kMaxChars + kAfterEnd> marks_{};

    std::int32_t region_ = COUNTRY;
    int rest_at_ = 0;  // where the address goes on after its first region

    // The names, one after the other; the last, from run_ on, is still being read.
    Slice run_;
    int n_names_ = 0;
    std::array<Point, 2 * kMaxChars> name_points_{};
    std::array<Mark, 2 * kMaxChars> name_marks_{};
    std::array<Name, kMaxChars> names_{};

    // A zone right behind the region: all of its name, and what of it is written before its word's first and last character.
    Slice zone_, short_zone_;

    int n_groups_ = 0, n_numbers_ = 0, numbers_end_ = 0;
    std::uint32_t units_seen_ = 0;
    std::array<Point, 8 * kMaxChars> number_points_{};
    std::array<Number, kMaxChars> numbers_{};
    std::array<Point, 8 * kMaxChars> element_points_{};
    std::array<Element, kMaxChars> elements_{};

    // What stands directly before: a number (what it counts), a road, or neither.
    Unit last_ = NO_UNIT;
    bool is_after_road_ = false;
    bool is_after_label_ = false;   // a word that announces the recipient stands before,
    bool is_after_code_ = false;    // or one that announces a code
    bool may_be_building_ = false;  // the last floor may turn out to be a building

    // The names that say where, sorted; behind them the notes, sorted.
    int n_places_ = 0;
    std::array<int, kMaxChars> order_{};

    int n_out_ = 0;
    std::array<std::uint8_t, 64 * kMaxChars> out_{};
};

// What is known of an address, beside its ids.
struct AddressReading {
    Evidence door, place;
    std::int8_t place_type;
};

// Read an address, and hand its canonical texts, where it has them, to hash_door and hash_place.
template <typename HashDoor, typename HashPlace>
AddressReading key_address(Reader& reader, Bytes text, HashDoor&& hash_door, HashPlace&& hash_place) {
    if (text.empty()) return {Evidence::absent, Evidence::absent, UNKNOWN_PLACE};
    const bool is_hidden = reader.fold(text);
    const auto find_evidence = [](bool is_known) { return is_known ? Evidence::known : Evidence::unusable; };
    if (reader.is_western()) {
        const WesternAddress read = reader.western.read(text);
        if (is_hidden) return {Evidence::masked, Evidence::masked, read.place_type};
        if (!read.door.empty()) hash_door(to_bytes(read.door));
        if (!read.place.empty()) hash_place(to_bytes(read.place));
        return {find_evidence(!read.door.empty()), find_evidence(!read.place.empty()), read.place_type};
    }
    reader.scan();
    const std::int8_t place_type = reader.place_type();
    if (is_hidden) return {Evidence::masked, Evidence::masked, place_type};
    const Written written = reader.write();
    if (written.n_door > 0) hash_door(reader.door_text(written));
    if (written.n_place > 0) hash_place(reader.place_text(written));
    return {find_evidence(written.n_door > 0), find_evidence(written.n_place > 0), place_type};
}

}  // namespace ordervet::address
