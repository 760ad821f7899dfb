// The numbers of a folded address, and what they count. Truth: entities/address/address_numbers.py, and the counting in
// parser.py; each function here is named after its own.

#include <algorithm>

#include "address/reader.hpp"

namespace ordervet::address {
namespace {

constexpr int kMaxLetters = 2, kMaxMultiplied = 7, kRoomDigits = 3, kPostcodeDigits = 6, kPhoneDigits = 7;
constexpr int kFewestOfCode = 3, kMostOfCode = 6;

}  // namespace

// `read_group` and `_Scan._read_number`: where the address goes on, or -1 if here is (part of) a name.
int Reader::read_number(int at) {
    int end = 0;
    if (read_plain_number(at, end)) return end;
    Group group;
    const Unit last = run_.empty() ? last_ : NO_UNIT;
    if (!read_group(at, last, group)) return -1;
    const Element& first = elements_[0];
    const bool is_postcode = group.unit == NO_UNIT && group.n == 1 && first.n_prefix + first.n_suffix == 0 &&
                             first.n_source == kPostcodeDigits;
    const bool is_phone = group.is_dialled || first.n_digits >= kPhoneDigits;
    if (is_postcode || is_phone) {
        if (is_phone) run_.stop -= ending_of_run(EXTENSIONS);
        close_run(false);
        last_ = NO_UNIT;
        is_after_road_ = is_after_label_ = is_after_code_ = false;
        return is_phone && region_ == COUNTRY ? restart(group.end) : group.end;
    }
    if (group.unit == NO_UNIT && drop_extension(group)) return group.end;
    if (group.unit == NO_UNIT && is_embedded(group, at)) {
        append_number(at, first.source_end);
        close_if_ended(first.source_end);
        return first.source_end;
    }
    drop_ordinal();
    close_run(false);
    count_group(group);
    ++n_groups_;
    is_after_road_ = is_after_label_ = is_after_code_ = false;
    return group.end;
}

// `_restart`: read the region behind a phone number as if the address began there.
int Reader::restart(int at) {
    drop_recipient();
    while (at < n_ && (kind(at) == SPACE || kind(at) == HYPHEN || kind(at) == COMMA || kind(at) == BREAK)) ++at;
    const Region region = read_first_region(at, n_groups_ == 0 && n_names_ == 0);
    if (region.end > at) region_ = region.division, rest_at_ = region.end;
    return region.end;
}

// `_drop_extension`: drop 转7839, which belongs to a privacy number, and 取件码5-3-7839.
bool Reader::drop_extension(const Group& group) {
    const Element& first = elements_[0];
    const bool is_code = group.n == 1 && first.n_digits > 0 && first.n_prefix + first.n_suffix == 0 &&
                         kFewestOfCode <= first.n_source && first.n_source <= kMostOfCode;
    const int length = ending_of_run(EXTENSIONS);
    const bool is_announced = is_after_code_ && run_.empty();
    if (!is_announced && length < 2 && !(length > 0 && is_code)) return false;
    run_.stop -= length;
    close_run(false);
    is_after_code_ = false;
    return true;
}

// SPEED: most numbers are digits and a unit of one character, as in 502室 (bench_addresses.py).
bool Reader::read_plain_number(int at, int& end) {
    const int stop = skip(at, DIGIT, DIGIT);
    if (stop == at || stop - at >= kPhoneDigits || mark(stop) >> kUnitShift == 0 ||
        mark(stop + 1) & (UNIT_SECOND | UNIT_TRAP))
        return false;
    const UnitWord& word = tables_.unit_words[(mark(stop) >> kUnitShift) - 1];
    if (word.unit == SECTION || word.traits & IS_STAIR_WORD) return false;
    drop_ordinal();
    close_run(false);
    while (point(at) == '0' && at < stop - 1) ++at;
    elements_[0] = {.text = {0, stop - at}, .source_end = stop, .n_digits = stop - at, .n_source = 0, .n_prefix = 0,
                    .n_suffix = 0, .is_arabic = true, .is_f = false, .is_cut = false};
    std::copy(points_.begin() + at, points_.begin() + stop, element_points_.begin());
    const Unit unit = resolve_floor(word.traits & IS_NUMBER_WORD ? resolve_number_word() : word.unit, &word, 0, 1);
    add_number(unit, 0, 1);
    ++n_groups_;
    is_after_road_ = is_after_label_ = is_after_code_ = false;
    end = stop + 1;
    return true;
}

bool Reader::read_group(int at, Unit last, Group& group) {
    if (!read_element(at, elements_[0], 0)) return false;
    group.n = 1;
    group.end = elements_[0].source_end;
    int first_before = 0;             // first_with_unit without the last element
    Class joiner_before = HYPHEN;     // what stands before the last element
    for (;;) {
        const Element& before = elements_[std::size_t(group.n - 1)];
        if (!before.is_cut && kind(group.end) != HYPHEN && kind(group.end) != SPACE) break;
        const Class joiner = before.is_cut ? HYPHEN : kind(group.end);
        Element& element = elements_[std::size_t(group.n)];
        if (!read_element(group.end + !before.is_cut, element, before.text.stop)) break;
        const bool is_postcode = element.n_source == kPostcodeDigits && element.n_prefix + element.n_suffix == 0;
        if (is_postcode && joiner == SPACE) break;
        if (element.n_digits >= kPhoneDigits) {
            const bool is_behind_room = group.n > 1 ? elements_[std::size_t(group.n - 2)].n_digits >= kRoomDigits : last == ROOM;
            if (!is_code(before, joiner, is_behind_room)) break;
            group.is_dialled = group.n == 1;
            if (group.n > 1 && joiner_before == SPACE) {  // 502 0086-13912345678
                --group.n;
                group.first_with_unit = first_before;
            }
            break;
        }
        first_before = group.first_with_unit;
        joiner_before = joiner;
        if (joiner == HYPHEN) group.is_dashed = true;
        else group.first_with_unit = group.n;
        group.end = element.source_end;
        ++group.n;
    }
    const int length = read_unit(group, last) ? tables_.unit_words[std::size_t(group.word)].length : 0;
    if (group.word >= 0) group.unit = tables_.unit_words[std::size_t(group.word)].unit;
    Element& final = elements_[std::size_t(group.n - 1)];
    if (group.word < 0 && !group.is_trapped && final.is_f && final.n_digits > 0) {
        --final.text.stop;
        group.unit = FLOOR;
    }
    if (group.unit == FLOOR && final.n_digits == 0) group.unit = BUILDING;
    group.end += length;
    return is_number(group, last);
}

// `_is_code`: whether a number before a phone number is its country's or its area's code: 86-, 0571-, 502 +86 139….
bool Reader::is_code(const Element& code, Class joiner, bool is_behind_room) const {
    const bool is_plain = code.is_arabic && code.n_prefix + code.n_suffix == 0;
    const bool is_long = (code.n_source == 3 || code.n_source == 4) && point(code.source_end - code.n_source) == '0';
    const Point* text = &element_points_[std::size_t(code.text.start)];
    const bool is_china = code.text.size() == 2 && text[0] == '8' && text[1] == '6';
    return is_plain && (is_long || is_china) && (joiner == HYPHEN || (is_china && (is_long || is_behind_room)));
}

// Drop 第 before a number.
void Reader::drop_ordinal() {
    if (!run_.empty() && name_points_[std::size_t(run_.stop - 1)] == U'第') --run_.stop;
}

// Where a mobile number ends that is written as 139 1234 5678; 0 if none stands here.
int Reader::end_of_mobile(int at) const {
    constexpr int kFirst = 3, kPart = 4;
    const auto is_joiner = [&](int at) { return kind(at) == SPACE || kind(at) == HYPHEN; };
    const int first = skip(at, DIGIT, DIGIT);
    if (first - at != kFirst || point(at) != '1' || point(at + 1) < '3' || !is_joiner(first)) return 0;
    const int second = skip(first + 1, DIGIT, DIGIT);
    if (second - first != kPart + 1 || !is_joiner(second)) return 0;
    const int end = skip(second + 1, DIGIT, DIGIT);
    return end - second == kPart + 1 ? end : 0;
}

// Read one number; its text goes to the elements' characters from text_start on.
bool Reader::read_element(int at, Element& element, int text_start) {
    const auto put = [&](Point point) { element_points_[std::size_t(element.text.stop++)] = point; };
    element = {.text = {text_start, text_start}, .source_end = 0, .n_digits = 0, .n_source = 0, .n_prefix = 0,
               .n_suffix = 0, .is_arabic = false, .is_f = false, .is_cut = false};
    if (const int stop = end_of_mobile(at); stop > 0) {
        for (int i = at; i < stop; ++i)
            if (kind(i) == DIGIT) put(point(i));
        element.n_digits = element.n_source = element.text.size();
        element.source_end = stop;
        element.is_arabic = true;
        return true;
    }
    const int digits_at = skip(at, LETTER, LETTER);
    element.n_prefix = digits_at - at;
    if (element.n_prefix > kMaxLetters) return false;
    for (int i = at; i < digits_at; ++i) put(point(i));
    int digits_end = skip(digits_at, DIGIT, NUMERAL);
    if (const int cut = element.n_prefix > 0 ? 0 : end_of_numerals(digits_at, digits_end); cut > 0) {
        digits_end = cut;
        element.is_cut = true;
    }
    bool is_arabic = false;
    for (int i = digits_at; i < digits_end; ++i) is_arabic |= kind(i) == DIGIT;
    if (digits_end == digits_at || (element.n_prefix > 0 && !is_arabic)) {
        element.source_end = digits_at;
        return element.n_prefix > 0;
    }
    element.is_arabic = is_arabic;
    element.n_source = digits_end - digits_at;
    const int text_end = evaluate({digits_at, digits_end}, element.text.stop);
    if (text_end < 0) return false;
    element.n_digits = text_end - element.text.stop;
    element.text.stop = text_end;
    int end = skip(digits_end, LETTER, LETTER);
    if (element.is_cut || end - digits_end > kMaxLetters) end = digits_end;
    for (int i = digits_end; i < end; ++i) put(point(i));
    element.n_suffix = end - digits_end;
    element.is_f = element.n_suffix == 1 && point(digits_end) == 'f';
    element.source_end = end;
    return true;
}

// Where numerals end that digits of a room follow, as in 十二501 and 三B203; 0 where they do not.
int Reader::end_of_numerals(int at, int stop) const {
    const int cut = skip(at, NUMERAL, NUMERAL);
    if (cut == at) return 0;
    const int digits_at = skip(cut, LETTER, LETTER), digits_end = skip(digits_at, DIGIT, DIGIT), n = digits_end - digits_at;
    return kRoomDigits <= n && n < kPhoneDigits && digits_at - cut <= kMaxLetters && digits_end >= stop ? cut : 0;
}

// Write the digits of a number to the elements' characters: where they end, or -1 if it is none.
int Reader::evaluate(Slice source, int text_end) {
    const auto value = [&](int at) { return tables_.value_of(mark(at)); };
    const auto put = [&](std::int64_t digit) { element_points_[std::size_t(text_end++)] = '0' + Point(digit); };
    bool is_multiplied = false;
    for (int at = source.start; at < source.stop; ++at) is_multiplied |= value(at) >= 10;
    if (!is_multiplied) {
        int at = source.start;
        while (at < source.stop - 1 && value(at) == 0) ++at;
        for (; at < source.stop; ++at) put(value(at));
        return text_end;
    }
    if (source.size() > kMaxMultiplied) return -1;
    std::int64_t total = 0, pending = 0;
    for (int at = source.start; at < source.stop; ++at) {
        const std::int64_t each = value(at);
        if (each < 10) {
            pending = pending * 10 + each;
        } else if (each == 20 || each == 30) {  // 廿 and 卅 add
            total += each;
        } else {
            total += std::max<std::int64_t>(pending, 1) * each;
            pending = 0;
        }
    }
    total += pending;
    std::int64_t power = 1;
    while (total / power >= 10) power *= 10;
    for (; power > 0; power /= 10) put(total / power % 10);
    return text_end;
}

// Find the longest unit word at the end of a group, unless it is followed by what makes it a name.
bool Reader::read_unit(Group& group, Unit last) const {
    const int at = group.end;
    if (!(mark(at) & UNIT_START)) return false;
    const auto may_be = [&](std::int32_t word) {
        return word >= 0 && (last == BUILDING || !(tables_.unit_words[std::size_t(word)].traits & IS_STAIR_WORD));
    };
    int word = -1, word_length = 0;
    const auto is_doorway = [&](int length) { return point(at + length) == U'口' && point(at + length - 1) == U'门'; };
    if (!(mark(at + 1) & UNIT_SECOND)) {  // SPEED: most units are one character (bench_addresses.py)
        if (const int single = int(mark(at) >> kUnitShift) - 1; may_be(single) && !is_doorway(1)) word = single, word_length = 1;
    } else {
        Step step{tables_.list(UNIT_WORDS), -1};
        for (int length = 1;; ++length) {
            step = tables_.trie.follow(step.node, point(at + length - 1));
            if (step.node < 0) break;
            if (may_be(step.payload) && !is_doorway(length)) word = step.payload, word_length = length;
        }
    }
    if (word < 0) return false;
    if (mark(at + word_length) & UNIT_TRAP) {
        group.is_trapped = true;
        return false;
    }
    group.word = word;
    return true;
}

bool Reader::is_number(const Group& group, Unit last) const {
    const Element& first = elements_[0];
    if (group.word >= 0 && tables_.unit_words[std::size_t(group.word)].traits & IS_LANE_WORD && !first.is_arabic &&
        first.n_source > 1) {
        // A lane named after a day: 八一巷.
        const int stop = first.source_end - first.n_suffix;
        bool is_date = true;
        for (int at = stop - first.n_source; at < stop; ++at) is_date &= tables_.value_of(mark(at)) < 10;
        if (is_date) return false;
    }
    if (first.is_arabic || group.unit != NO_UNIT) return true;
    if (first.n_digits == 0) return group.n > 1 && elements_[1].is_arabic;
    if (group.is_dashed) return true;
    if (last == NO_UNIT || group.is_trapped || mark(group.end) & UNIT_TRAP) return false;
    return first.n_source >= (kind(group.end) == NAME ? kRoomDigits : 2);
}

// Whether a bare number is part of a name: 第3中学, 1912街区, 三号路.
bool Reader::is_embedded(const Group& group, int at) const {
    if (group.is_trapped) return group.n == 1;
    if (group.n > 1 || kind(elements_[0].source_end) != NAME) return false;
    if (!run_.empty()) return !(mark(at - 1) & ESTATE_ENDING);
    return last_ == NO_UNIT && !is_after_road_;
}

// `_count`: what each number of a group counts.
void Reader::count_group(const Group& group) {
    if (group.unit == NO_UNIT) {
        count_bare(0, group.n);
        return;
    }
    const int first = group.first_with_unit;
    if (first > 0) {
        count_bare(0, first);
        is_after_road_ = false;
    }
    const UnitWord* word = group.word >= 0 ? &tables_.unit_words[std::size_t(group.word)] : nullptr;
    const Unit unit = resolve_floor(word && word->traits & IS_NUMBER_WORD ? resolve_number_word() : group.unit, word,
                                    first, group.n);
    if (unit == ROOM && group.n - first > 1) {
        count_bare(first, group.n);
    } else if (unit == STAIR && group.n - first == 2 && !has_seen(BUILDING)) {  // 3-2单元
        add_number(BUILDING, first, first + 1);
        add_number(STAIR, first + 1, group.n);
    } else {
        add_number(unit, first, group.n, unit == SECTION && word ? word->last_point : 0);
    }
}

// What numbers without units count, by position: 3-2-502 is building, stair, room.
void Reader::count_bare(int start, int stop) {
    settle_floor(start, stop, false);
    bool has_building = has_seen(BUILDING);
    if (is_after_road_) {
        add_number(NUMBER, start, start + 1);
        ++start;
        has_building = true;
        if (start == stop) return;
    }
    const bool has_long_start = elements_[std::size_t(start)].n_digits >= kRoomDigits;
    const int n = stop - start;
    if (n == 1) {
        const bool is_room = has_building || last_ != NO_UNIT || has_long_start;
        add_number(is_room ? ROOM : BUILDING, start, stop);
    } else if (has_long_start || (has_building && has_seen(STAIR))) {
        add_number(ROOM, start, stop);
    } else {
        add_number(has_building ? STAIR : BUILDING, start, start + 1);
        if (n > 2) {
            add_number(has_building ? FLOOR : STAIR, start + 1, start + 2);
            ++start;
        }
        add_number(ROOM, start + 1, stop);
    }
}

// `_resolve`: what 号 counts: a number on a road, a building in a lane, a room in a building.
Unit Reader::resolve_number_word() const {
    if (is_after_road_) return NUMBER;
    if (has_seen(LANE)) return BUILDING;
    return last_ == BUILDING || last_ == STAIR || last_ == FLOOR ? ROOM : NUMBER;
}

// Where neither building nor room is told, 305楼 is a building, as no house has as many floors.
Unit Reader::resolve_floor(Unit unit, const UnitWord* word, int start, int stop) {
    const bool is_open = !has_seen(BUILDING) && !has_seen(ROOM), is_house = word && word->traits & IS_HOUSE_WORD;
    if (is_open && is_house && elements_[std::size_t(stop - 1)].n_digits >= kRoomDigits) unit = BUILDING;
    else if (unit == STAIR || unit == ROOM) settle_floor(start, stop, unit == STAIR);
    may_be_building_ = is_open && is_house;
    return unit;
}

// Make a building of the 楼 before a stair, or before a room that no house has there: 12楼2单元, 12楼501.
void Reader::settle_floor(int start, int stop, bool is_stair) {
    if (last_ != FLOOR || !may_be_building_) return;
    Number& floor = numbers_[std::size_t(n_numbers_ - 1)];
    int floor_at = floor.text.stop;
    while (floor_at > floor.text.start && number_points_[std::size_t(floor_at - 1)] != '-') --floor_at;
    const auto floor_text = std::span(number_points_).subspan(std::size_t(floor_at), std::size_t(floor.text.stop - floor_at));
    const Element& room = elements_[std::size_t(stop - 1)];
    const auto room_text = std::span(element_points_).subspan(std::size_t(room.text.start), std::size_t(room.text.size()));
    const auto is_digit = [](Point point) { return '0' <= point && point <= '9'; };
    const bool is_elsewhere = !floor_text.empty() && std::ranges::all_of(floor_text, is_digit) &&
                              (room_text.size() == 3 || room_text.size() == 4) && std::ranges::all_of(room_text, is_digit) &&
                              !std::ranges::equal(room_text.first(room_text.size() - 2), floor_text);
    const bool is_short = elements_[std::size_t(start)].n_digits < kRoomDigits;
    if (!is_stair && !(is_elsewhere && (stop - start == 1 || is_short))) return;
    floor.unit = last_ = BUILDING;
    const auto numbers = std::span(numbers_).first(std::size_t(n_numbers_));
    if (std::ranges::none_of(numbers, [](const Number& number) { return number.unit == FLOOR; })) units_seen_ &= ~(1u << FLOOR);
    units_seen_ |= 1u << BUILDING;
}

// `_add`: elements start to stop count a unit; the last character of a word, or 0, is part of the number.
void Reader::add_number(Unit unit, int start, int stop, Point word_end) {
    const int begin = numbers_end_;
    const auto put = [&](Point point) { number_points_[std::size_t(numbers_end_++)] = point; };
    for (int index = start; index < stop; ++index) {
        if (index > start) put('-');
        const Slice text = elements_[std::size_t(index)].text;
        for (int at = text.start; at < text.stop; ++at) put(element_points_[std::size_t(at)]);
    }
    if (word_end != 0) put(word_end);
    numbers_[std::size_t(n_numbers_++)] = {unit, {begin, numbers_end_}};
    units_seen_ |= 1u << unit;
    last_ = unit;
}

}  // namespace ordervet::address
