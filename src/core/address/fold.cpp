// From bytes to folded characters. Truth: entities/characters.py.

#include <algorithm>

#include "address/reader.hpp"
#include "text/utf8.hpp"

namespace ordervet::address {
namespace {

constexpr Point kHanOne = U'一';

// Whether a platform has put a cipher in place of a text: characters.is_cipher.
bool is_cipher(Bytes text) {
    if (text.size() < 2) return false;
    const std::uint8_t first = text[0];
    if (first == text[1] && (first == '#' || first == '$')) return true;
    if (text.size() == 2 || first != text.back() || (first != '~' && first != '$')) return false;
    for (const std::uint8_t byte : text) {
        const std::uint8_t upper = byte & 0xDF;
        const bool is_base64 = ('A' <= upper && upper <= 'Z') || ('/' <= byte && byte <= '9') || byte == '+' || byte == '=';
        if (!is_base64 && byte != '~' && byte != '$') return false;
    }
    return true;
}

bool is_joiner(Class kind) { return kind == SPACE || kind == HYPHEN || kind == COMMA; }
bool is_alnum(Class kind) { return DIGIT <= kind && kind <= LETTER; }

}  // namespace

bool Reader::fold(Bytes text) {
    bool is_hidden = is_cipher(text), is_after_star = false;
    Class joiner = NAME;   // the strongest separator since the last character: a hyphen, a comma, a space; NAME for none
    Class before = END;
    std::size_t n = 0;
    for (std::size_t at = 0; at < text.size();) {
        const Decoded raw = decode(text, at);
        at = raw.end;
        Folds folds = tables_.fold(raw.point);
        if (const Class kind = class_of(folds.mark); kind <= LETTER && joiner == NAME && folds.second == 0 &&
                                                     !(kind == DIGIT && before == NUMERAL)) {
            // SPEED: most characters are such (bench_addresses.py)
            is_after_star = false;
            if (n < kMaxChars - 1) {
                points_[n] = folds.point;
                marks_[n++] = folds.mark;
                before = kind;
            }
            continue;
        }
        n_ = static_cast<int>(n);
        for (;;) {
            const Class kind = class_of(folds.mark);
            const bool is_after_alnum = is_alnum(before);
            if (kind == STAR) {
                is_hidden |= is_after_star;
                is_after_star = true;
            } else if (kind != JUNK) {
                is_after_star = false;
                const bool is_dropped = n_ >= kMaxChars - 1 || (kind == HASH && !is_after_alnum);
                if (!is_dropped && is_joiner(kind)) {
                    if (joiner != HYPHEN && (joiner != COMMA || kind == HYPHEN)) joiner = kind;
                } else if (!is_dropped) {
                    if (joiner != NAME && is_after_alnum && is_alnum(kind)) {
                        if (joiner == HYPHEN) put('-', HYPHEN);
                        else put(' ', SPACE);
                    } else if (joiner == COMMA) {
                        put(',', COMMA);
                    } else if (kind == DIGIT && n_ > 1 && point(n_ - 1) == kHanOne && this->kind(n_ - 2) == DIGIT) {
                        // 3一2一502: between two digits 一 is a dash.
                        --n_;
                        put('-', HYPHEN);
                    }
                    joiner = NAME;
                    put(folds.point, folds.mark);
                    before = kind;
                }
            }
            if (folds.second == 0) break;
            folds = tables_.fold(folds.second);
            folds.second = 0;
        }
        n = static_cast<std::size_t>(n_);
    }
    n_ = static_cast<int>(n);
    std::ranges::fill(std::span(points_).subspan(n).first<kAfterEnd - 1>(), Point{0});
    std::ranges::fill(std::span(marks_).subspan(n).first<kAfterEnd - 1>(), Mark{END});
    return is_hidden;
}

}  // namespace ordervet::address
