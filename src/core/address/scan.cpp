// The names of a folded address, and the way through it. Truth: entities/address/parser.py; each function here is named
// after its method of `_Scan`.

#include "address/reader.hpp"

namespace ordervet::address {
namespace {

constexpr std::array<Point, 10> kHanDigits{U'零', U'一', U'二', U'三', U'四', U'五', U'六', U'七', U'八', U'九'};
constexpr Point kHanTen = U'十';
constexpr Point kFirstHan = 0x3400, kAfterHan = 0xA000, kFirstRareHan = 0x20000, kAfterRareHan = 0x40000;
constexpr int kLongestSkipped = 2;  // characters of SKIPPED_NAMES

}  // namespace

bool Reader::read(Bytes text) {
    const bool is_hidden = fold(text);
    scan();
    return is_hidden;
}

bool Reader::is_western() const {
    // SPEED: a loop without an early end looks at several characters at once (bench_addresses.py).
    bool is_chinese = false, has_words = false;
    for (std::size_t at = 0; at < std::size_t(n_); ++at) {
        const Point point = points_[at];
        const Class kind = class_of(marks_[at]);
        is_chinese |= (point - kFirstHan < kAfterHan - kFirstHan) | (point - kFirstRareHan < kAfterRareHan - kFirstRareHan) | (kind == NUMERAL);
        has_words |= (kind == NAME) | (kind == LETTER);
    }
    return has_words && !is_chinese;
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
    is_after_road_ = false;
    const Region first = read_region(0, COUNTRY, true);
    region_ = first.division;
    rest_at_ = first.end;
    for (int at = rest_at_; at < n_;) {
        const Class kind = this->kind(at);
        if (kind == BREAK || kind == COMMA) {
            close_run(false);
            if (kind == BREAK) last_ = NO_UNIT, is_after_road_ = false;
            ++at;
            continue;
        }
        if (kind == HYPHEN || kind == SPACE || kind == HASH) {
            ++at;
            continue;
        }
        if (run_.empty() && (kind == NAME || kind == NUMERAL)) {  // no region begins with a digit or a letter
            const Region region = read_region(at, region_, false);
            if (region.end > at) {
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
}

void Reader::close_run(bool is_road) {
    if (run_.empty()) return;
    Step step{run_.size() > kLongestSkipped ? -1 : tables_.list(SKIPPED_NAMES), -1};
    for (int at = run_.start; at < run_.stop && step.node >= 0; ++at)
        step = tables_.trie.follow(step.node, name_points_[std::size_t(at)]);
    if (step.payload >= 0) {
        run_.stop = run_.start;
    } else {
        names_[std::size_t(n_names_++)] = {run_, is_road, n_groups_};
        run_.start = run_.stop;
    }
    last_ = NO_UNIT;
    is_after_road_ = is_road;
}

// `_append`, its second half: close the run if it ends a road or an estate, unless the next character undoes that.
void Reader::close_if_ended(int next_at) {
    std::int32_t node = tables_.list(ENDINGS);
    for (int at = run_.stop; at > run_.start;) {
        const Step step = tables_.trie.follow(node, name_points_[std::size_t(at - 1)]);
        if (step.node < 0) return;
        node = step.node;
        --at;
        if (step.payload < 0 || at == run_.start) continue;
        const std::int32_t exceptions = tables_.exceptions[std::size_t(step.payload >> 1)];
        const bool is_undone = mark(next_at) & UNDOES_END && tables_.trie.follow(exceptions, point(next_at)).node >= 0;
        if (!is_undone) {
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
        name_marks_[std::size_t(run_.stop)] = 0;
        ++run_.stop;
    };
    const Point tens = stop - start == 2 ? point(start) - '0' : 0, ones = point(stop - 1) - '0';
    if (tens > 1) put(kHanDigits[tens]);
    if (tens > 0) put(kHanTen);
    if (ones > 0 || tens == 0) put(kHanDigits[ones]);
}

}  // namespace ordervet::address
