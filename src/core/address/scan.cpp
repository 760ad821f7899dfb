// The names of a folded address, and the way through it. Truth: entities/address/parser.py; each function here is named
// after its method of `_Scan`.

#include <algorithm>

#include "address/reader.hpp"

namespace ordervet::address {
namespace {

constexpr std::array<Point, 10> kHanDigits{U'零', U'一', U'二', U'三', U'四', U'五', U'六', U'七', U'八', U'九'};
constexpr Point kHanTen = U'十';
constexpr Point kFirstHan = 0x3400, kAfterHan = 0xA000, kFirstRareHan = 0x20000, kAfterRareHan = 0x40000;
constexpr int kLongestSkipped = 4;  // characters of SKIPPED_NAMES
constexpr std::array<Point, 17> kRelativeSigns{U'东', U'西', U'南', U'北', U'中', U'大', U'小', U'新', U'老',
                                               U'前', U'后', U'上', U'下', U'横', U'正', U'纵', U'胡'};
constexpr int kCallDigits = 7;

// The last six bits of the relative signs: most characters that begin a name have others.
constexpr std::uint64_t kRelativeBits = [] {
    std::uint64_t bits = 0;
    for (const Point sign : kRelativeSigns) bits |= std::uint64_t{1} << (sign & 63);
    return bits;
}();
bool is_relative_sign(Point point) {
    return kRelativeBits >> (point & 63) & 1 && std::ranges::find(kRelativeSigns, point) != kRelativeSigns.end();
}

constexpr Point kHanAnd = U'与', kHanReceive = U'收';
constexpr int kFewestOfReceiver = 3, kMostOfReceiver = 5;  // characters of 李芳收
constexpr int kLongestName = 4, kShortestName = 2;  // characters of a person's name, and of any
constexpr int kFewestOfCode = 3, kMostOfCode = 6, kPrivacyDigits = 4;

bool is_opening(Point point) { return point == '(' || point == '[' || point == '{' || point == '<'; }
bool is_closing(Point point) { return point == ')' || point == ']' || point == '}' || point == '>'; }

}  // namespace

bool Reader::is_western() const {
    bool has_words = false;
    for (int at = 0; at < n_; ++at) {
        const Class kind = this->kind(at);
        const bool is_han = point(at) - kFirstHan < kAfterHan - kFirstHan ||
                            point(at) - kFirstRareHan < kAfterRareHan - kFirstRareHan;
        if (is_han || kind == NUMERAL) return false;  // SPEED: mostly the first (bench_addresses.py)
        has_words |= kind == NAME || kind == LETTER;
    }
    return has_words;
}

// Where characters of the classes from low to high end.
int Reader::skip(int at, Class low, Class high) const {
    while (low <= kind(at) && kind(at) <= high) ++at;
    return at;
}

void Reader::scan() {
    run_ = {};
    n_names_ = n_groups_ = n_numbers_ = numbers_end_ = 0;
    units_seen_ = 0;
    last_ = NO_UNIT;
    is_after_road_ = is_after_label_ = is_after_code_ = may_be_building_ = false;
    zone_ = {};
    const Region first = read_first_region(0, true);
    region_ = first.division;
    rest_at_ = first.end;
    for (int at = rest_at_; at < n_;) {
        const Class kind = this->kind(at);
        if (kind == COMMA) {
            close_run(false);
            ++at;
            continue;
        }
        if (kind == BREAK) {
            close_run(false);
            const int end = end_of_aside(at);
            if (end == at) last_ = NO_UNIT, is_after_road_ = false;
            else is_after_code_ = false;
            at = std::max(end, at + 1);
            continue;
        }
        if (kind == HYPHEN || kind == SPACE || kind == HASH) {
            ++at;
            continue;
        }
        if (run_.empty() && (kind == NAME || kind == NUMERAL)) {  // no region begins with a digit or a letter
            const Region region = read_region(at, region_, false);
            if (region.end > at) {
                if (region_ == COUNTRY) drop_recipient();
                region_ = region.division;
                last_ = NO_UNIT;
                is_after_road_ = false;
                at = region.end;
                continue;
            }
        }
        if (kind == NAME) {
            const int start = at;
            while ((mark(at) & (kClass | NAME_END)) == NAME) ++at;
            const bool is_end = (mark(at) & (kClass | NAME_END)) == (NAME | NAME_END);
            at += is_end;
            append_raw(start, at);
            if (is_end) close_if_ended(at);
            continue;
        }
        int end = read_number(at);
        if (end < 0) {
            end = kind == LETTER ? skip(at, LETTER, LETTER) : skip(at, DIGIT, NUMERAL);
            append_raw(at, end);
            close_if_ended(end);
        }
        at = end;
    }
    close_run(false);
    if (!zone_.empty() && n_names_ == 0) {
        names_[std::size_t(n_names_++)] = {zone_, false, false, true, 0};
        zone_ = {};
    }
}

void Reader::drop_run() {
    run_.stop = run_.start;
    last_ = NO_UNIT;
    is_after_road_ = false;
}

void Reader::close_run(bool is_road) {
    if (run_.empty()) return;
    if (!is_road && is_recipient()) {
        drop_run();
        return;
    }
    is_after_code_ = !is_road && ending_of_run(EXTENSIONS) == run_.size();
    if (is_after_code_) {
        drop_run();
        return;
    }
    if (is_road && name_points_[std::size_t(run_.start)] == kHanAnd && n_names_ > 0 && names_[std::size_t(n_names_ - 1)].is_road)
        ++run_.start;  // 陇海路与大学路
    const bool is_place = name_marks_[std::size_t(run_.stop - 1)] & ESTATE_ENDING;
    bool names_nothing = is_skipped();
    if (const int ending = is_road || names_nothing ? 0 : ending_of_run(GENERIC_ENDINGS);
        ending > 0 && run_.size() - ending >= kShortestName) {
        run_.stop -= ending;
        names_nothing = is_skipped();
    }
    if (names_nothing) {
        run_.stop = run_.start;
    } else {
        names_[std::size_t(n_names_++)] = {run_, is_road, is_relative(is_road), is_place, n_groups_};
        run_.start = run_.stop;
    }
    last_ = NO_UNIT;
    is_after_road_ = is_road;
}

// Whether the run tells only directions and numerals: 东一巷, 三街, 西.
bool Reader::is_relative(bool is_road) const {
    for (int at = run_.start; at < run_.stop - is_road; ++at)
        if (class_of(name_marks_[std::size_t(at)]) != NUMERAL && !is_relative_sign(name_points_[std::size_t(at)])) return false;
    return true;
}

// Close the run if it is a zone right behind the region: 苏州高新区.
bool Reader::close_zone(int end) {
    if (region_ == COUNTRY || n_names_ > 0 || n_groups_ > 0 || !zone_.empty()) return false;
    const int length = ending_of_run(ZONES);
    if (length == 0 || is_trap(end)) return false;
    const int at = std::max(0, end - run_.size()), city_end = match_short(at);
    zone_ = run_;
    short_zone_ = {run_.start + (city_end <= end - length ? city_end - at : 0), run_.stop - length};
    run_.start = run_.stop;
    last_ = NO_UNIT;
    is_after_road_ = false;
    return true;
}

// Whether the run is a word that announces the recipient, or a person: 收件人李芳, 李芳收.
bool Reader::is_recipient() {
    int label = 0;
    Step step{tables_.may_start(RECIPIENTS, name_points_[std::size_t(run_.start)]) ? tables_.list(RECIPIENTS) : -1, -1};
    for (int at = run_.start; at < run_.stop && step.node >= 0; ++at) {
        step = tables_.trie.follow(step.node, name_points_[std::size_t(at)]);
        if (step.payload >= 0) label = at + 1 - run_.start;
    }
    const int rest = run_.size() - label;
    const bool is_labelled = label > 0 || is_after_label_;
    is_after_label_ = label > 0 && rest == 0;
    const bool is_receiver = n_groups_ > 0 && kFewestOfReceiver <= rest && rest <= kMostOfReceiver &&
                             name_points_[std::size_t(run_.stop - 1)] == kHanReceive;
    return is_after_label_ || (is_labelled && rest <= kLongestName) || is_receiver;
}

// Whether the run names nothing.
bool Reader::is_skipped() const {
    if (run_.size() > kLongestSkipped || !tables_.may_start(SKIPPED_NAMES, name_points_[std::size_t(run_.start)])) return false;
    Step step{tables_.list(SKIPPED_NAMES), -1};
    for (int at = run_.start; at < run_.stop && step.node >= 0; ++at)
        step = tables_.trie.follow(step.node, name_points_[std::size_t(at)]);
    return step.payload >= 0;
}

// The characters of the longest word of a list that the run ends with.
int Reader::ending_of_run(WordList list) const {
    int longest = 0;
    if (run_.empty() || !tables_.may_start(list, name_points_[std::size_t(run_.stop - 1)])) return 0;
    std::int32_t node = tables_.list(list);
    for (int at = run_.stop; at > run_.start;) {
        const Step step = tables_.trie.follow(node, name_points_[std::size_t(--at)]);
        if (step.node < 0) break;
        node = step.node;
        if (step.payload >= 0) longest = run_.stop - at;
    }
    return longest;
}

// Where brackets end that are no part of the address, a privacy code or a road behind the building; else where they begin.
int Reader::end_of_aside(int at) const {
    int close = at;
    while (close < n_ && !is_closing(point(close))) ++close;
    const int n = close - at - 1;
    if (!is_opening(point(at)) || n == 0) return at;
    bool is_number = true, has_number = false, has_road = false;
    for (int i = at + 1; i < close; ++i) {
        is_number &= kind(i) == DIGIT;
        has_number |= kind(i) == DIGIT;
    }
    const bool is_before_room = last_ == NUMBER || last_ == LANE || last_ == BUILDING || last_ == STAIR || last_ == FLOOR;
    if (is_number && point(at) == '[' && kFewestOfCode <= n && n <= kMostOfCode) return std::min(close + 1, n_);
    if (is_number && skip(close + 1, DIGIT, DIGIT) - close > kCallDigits) return close + 1;  // (025)52112345
    if (is_number && n == kPrivacyDigits && !is_before_room) return std::min(close + 1, n_);
    if (!has_seen(ROOM) && !(has_seen(BUILDING) && has_number)) return at;
    for (int stop = at + 3; stop <= close; ++stop) has_road |= ends_name(at + 2, stop, false);
    return has_road ? std::min(close + 1, n_) : at;
}

// Drop what stands before a phone or the region and can only be a person's name.
void Reader::drop_recipient() {
    if (n_groups_ > 0 || n_names_ != 1) return;
    const Name& name = names_[0];
    if (!name.is_road && name.text.size() <= kLongestName && !name.is_place) n_names_ = 0;
}

// `_append`, its second half: close the run if it ends a road or an estate, unless the next character undoes that.
void Reader::close_if_ended(int next_at) {
    if (close_zone(next_at)) return;
    std::int32_t node = tables_.list(ENDINGS);
    for (int at = run_.stop; at > run_.start;) {
        const Step step = tables_.trie.follow(node, name_points_[std::size_t(at - 1)]);
        if (step.node < 0) return;
        node = step.node;
        --at;
        if (step.payload < 0 || at == run_.start) continue;
        if (!is_undone(step.payload, next_at)) {
            close_run(step.payload & 1);
            return;
        }
    }
}

void Reader::append_raw(int start, int stop) {
    for (int at = start; at < stop; ++at) {
        name_points_[std::size_t(run_.stop)] = point(at);
        name_marks_[std::size_t(run_.stop)] = mark(at);
        ++run_.stop;
    }
}

// numbers.name_number: a number inside a name, of one or two digits as Chinese numerals (芙蓉7路 -> 芙蓉七路).
void Reader::append_number(int start, int stop) {
    if (stop - start > 2 || skip(start, DIGIT, DIGIT) < stop) {
        append_raw(start, stop);
        return;
    }
    const auto put = [&](Point point) {
        name_points_[std::size_t(run_.stop)] = point;
        name_marks_[std::size_t(run_.stop)] = NUMERAL;
        ++run_.stop;
    };
    const Point tens = stop - start == 2 ? point(start) - '0' : 0, ones = point(stop - 1) - '0';
    if (tens > 1) put(kHanDigits[tens]);
    if (tens > 0) put(kHanTen);
    if (ones > 0 || tens == 0) put(kHanDigits[ones]);
}

}  // namespace ordervet::address
