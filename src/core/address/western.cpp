#include "address/western.hpp"

#include <algorithm>
#include <bitset>

#include "text/utf8.hpp"

namespace ordervet::address {
namespace {

constexpr std::size_t kLongestCountry = 6, kLongestState = 3, kLongestStateCode = 3;  // in words, words and letters
constexpr std::size_t kPostcodeDigits = 4;
constexpr Point kMasculine = 0xBA, kFeminine = 0xAA;

bool is_digit(char byte) { return '0' <= byte && byte <= '9'; }
bool is_small(char byte) { return 'a' <= byte && byte <= 'z'; }
bool is_part(Class kind) { return kind == LETTER || kind == DIGIT || kind == NAME; }
bool is_word(Class kind) { return kind == LETTER || kind == NAME; }
bool has_digit(std::string_view text) { return std::ranges::any_of(text, is_digit); }

std::size_t count_chars(std::string_view text) {
    return std::size_t(std::ranges::count_if(text, [](char byte) { return (byte & 0xC0) != 0x80; }));
}

std::size_t count_first_digits(std::string_view text) {
    return std::size_t(std::ranges::find_if_not(text, is_digit) - text.begin());
}

// How many digits an ordinal number has, as 3rd; 0 of any other text.
std::size_t digits_of_ordinal(std::string_view text) {
    const std::size_t n = count_first_digits(text);
    const std::string_view end = text.substr(n);
    return end == "st" || end == "nd" || end == "rd" || end == "th" || end == "er" || end == "eme" ? n : 0;
}

bool is_floor(std::string_view text) {
    const std::size_t n = count_first_digits(text);
    const std::string_view end = text.substr(n);
    const bool is_ordinal = end == "st" || end == "nd" || end == "rd" || end == "th";
    return 1 <= n && n <= 3 && (end.empty() || is_ordinal || (end.size() == 1 && is_small(end[0])));
}

// Whether a postal code fits a mask of POSTCODES.
bool fits(std::string_view mask, std::string_view code) {
    std::size_t at = 0;
    for (const char sign : mask) {
        const char byte = at < code.size() ? code[at] : '\0';
        if (sign == '-' && byte != '-') continue;
        const bool is_fit = sign == '#' ? is_digit(byte) : sign == '@' ? is_small(byte)
                          : sign == '?' ? is_digit(byte) || is_small(byte) : byte == sign;
        if (!is_fit) return false;
        ++at;
    }
    return at == code.size();
}

}  // namespace

WesternAddress WesternReader::read(Bytes text) {
    country_.clear();
    postcode_.clear();
    words_.clear();
    numbers_.clear();
    number_bytes_.clear();
    units_seen_ = 0;
    has_house_ = is_after_prefix_ = is_after_house_ = false;

    fold(text);
    split();
    drop_remarks();
    drop_persons();
    const std::int8_t place_type = find_place_type();
    take_country();
    rules_ = &words_of_.country(country_);
    take_postcode();
    split_marked();
    for (std::size_t at = read_unit_first(); at < tokens_.size();) {
        std::size_t next = read_box(at);
        if (next == 0) next = read_unit(at);
        if (next == 0) next = read_plain(at);
        at = next;
    }
    return write(place_type);
}

void WesternReader::fold(Bytes text) {
    chars_.clear();
    for (std::size_t at = 0; at < text.size() && chars_.size() < std::size_t(kMaxChars);) {
        const Decoded raw = decode(text, at);
        at = raw.end;
        if (raw.point == kMasculine || raw.point == kFeminine) continue;
        for (Folds folds = tables_.fold(raw.point);; folds = tables_.fold(folds.second), folds.second = 0) {
            const Class kind = class_of(folds.mark);
            if (kind != JUNK && kind != STAR && chars_.size() < std::size_t(kMaxChars)) chars_.push_back({folds.point, kind});
            if (folds.second == 0) break;
        }
    }
}

// Whether a dot stands behind a single letter and before another, as in P.O.
bool WesternReader::is_dot_of_initial(std::size_t at) const {
    if (chars_[at].point != '.' || at == 0 || at + 1 == chars_.size()) return false;
    const bool is_single = at == 1 || !is_part(chars_[at - 2].kind);
    return is_single && is_word(chars_[at - 1].kind) && is_word(chars_[at + 1].kind);
}

// Split into words and numbers; a letter beside a digit belongs to it, a character of another script does not.
void WesternReader::split() {
    tokens_.clear();
    bytes_.clear();
    std::size_t start = 0;  // of the token that is being read; it is empty where the bytes end there
    std::uint8_t before = 0;
    int bracket = 0, n_brackets = 0;
    Class last = NAME;
    const auto close = [&] {
        if (start == bytes_.size()) return;
        add_token(start, before, bracket ? n_brackets : 0);
        start = bytes_.size();
        before = 0;
    };
    for (std::size_t at = 0; at < chars_.size(); ++at) {
        const auto [point, kind] = chars_[at];
        if (is_dot_of_initial(at)) continue;
        if (is_part(kind)) {
            if ((kind == NAME && last == DIGIT) || (kind == DIGIT && last == NAME)) close();
            encode(point, [&](std::uint8_t byte) { bytes_.push_back(char(byte)); });
            last = kind;
            continue;
        }
        close();
        std::uint8_t sign = 0;
        if (point == '/' || point == '\\') sign = SLASHES;
        else if (point == '\n' || point == '|' || kind == COMMA) sign = COMMAS;
        else if (kind == SPACE) sign = SPACES;
        else if (kind == HYPHEN) sign = HYPHENS;
        else if (kind == BREAK) sign = BRACKETS;
        else if (kind == HASH) sign = HASHES;
        if (sign != 0) before |= std::uint8_t(sign | (before != 0 ? SEVERAL : 0));
        if (kind == BREAK) {
            bracket = 1 - bracket;
            n_brackets += bracket;
        }
    }
    close();
}

void WesternReader::add_token(std::size_t start, std::uint8_t before, int bracket) {
    tokens_.push_back(make_token(std::string_view(bytes_).substr(start), before, bracket));
}

WesternReader::Token WesternReader::make_token(std::string_view text, std::uint8_t before, int bracket) const {
    return {text, &words_of_.find(text), before, has_digit(text), bracket};
}

// Drop what stands in brackets, unless it has a number or nothing else is left.
void WesternReader::drop_remarks() {
    std::bitset<kMaxChars + 1> is_telling;
    is_telling.set(0);
    for (const Token& token : tokens_)
        if (token.is_number) is_telling.set(std::size_t(token.bracket));
    kept_.clear();
    for (const Token& token : tokens_)
        if (is_telling[std::size_t(token.bracket)]) kept_.push_back(token);
    if (!kept_.empty()) tokens_.swap(kept_);
}

// Drop parts that begin with c/o, unless nothing else is left.
void WesternReader::drop_persons() {
    kept_.clear();
    for (std::size_t start = 0; start < tokens_.size();) {
        std::size_t stop = start + 1;
        while (stop < tokens_.size() && !(tokens_[stop].before & COMMAS)) ++stop;
        const auto part = std::span(tokens_).subspan(start, stop - start);
        if (begins(part, words_of_.persons) == 0) kept_.insert(kept_.end(), part.begin(), part.end());
        start = stop;
    }
    if (!kept_.empty()) tokens_.swap(kept_);
}

// The tokens of the first of some phrases that tokens begin with; 0 if they begin with none.
std::size_t WesternReader::begins(std::span<const Token> tokens, const std::vector<Phrase>& phrases) {
    const auto is_same = [](const std::string& word, const Token& token) { return word == token.text; };
    for (const Phrase& phrase : phrases)
        if (phrase.size() <= tokens.size() && std::equal(phrase.begin(), phrase.end(), tokens.begin(), is_same))
            return phrase.size();
    return 0;
}

std::int8_t WesternReader::find_place_type() const {
    std::int8_t found = UNKNOWN_PLACE;
    for (const Token& token : tokens_) {
        const std::int8_t type = token.word->place_type;
        if (type != UNKNOWN_PLACE && (found == UNKNOWN_PLACE || type < found)) found = type;
    }
    return found;
}

// Part a unit from its number: apt4.
void WesternReader::split_marked() {
    kept_.clear();
    for (const Token& token : tokens_) {
        const auto first = std::size_t(std::ranges::find_if(token.text, is_digit) - token.text.begin());
        if (first < token.text.size() && count_chars(token.text.substr(0, first)) > 1) {
            const WesternWord& word = words_of_.find(token.text.substr(0, first));
            if (word.unit != NO_UNIT || word.is_dropped) {
                kept_.push_back(make_token(token.text.substr(0, first), token.before, token.bracket));
                kept_.push_back(make_token(token.text.substr(first), 0, token.bracket));
                continue;
            }
        }
        kept_.push_back(token);
    }
    tokens_.swap(kept_);
}

// The texts of tokens as one.
std::string_view WesternReader::join(std::size_t start, std::size_t stop) const {
    scratch_.clear();
    for (std::size_t at = start; at < stop; ++at) scratch_ += tokens_[at].text;
    return scratch_;
}

// One token, or two that belong together, as one code; "" for two that do not.
std::string_view WesternReader::join_code(std::size_t start, std::size_t stop) const {
    scratch_.assign(tokens_[start].text);
    for (std::size_t at = start + 1; at < stop; ++at) {
        if (!tokens_[at].is_beside() && !tokens_[at].is_dashed()) return {};
        if (tokens_[at].is_dashed()) scratch_ += '-';
        scratch_ += tokens_[at].text;
    }
    return scratch_;
}

// Take the country's name or code from the end, unless nothing else is there.
void WesternReader::take_country() {
    const std::size_t n = tokens_.size();
    for (std::size_t length = std::min(kLongestCountry, std::max<std::size_t>(n, 1) - 1); length > 0; --length) {
        const WesternWord& found = words_of_.find(join(n - length, n));
        if (found.country.empty()) continue;
        country_ = found.country;
        tokens_.resize(n - length);
        return;
    }
    infer_country();
}

// Find the country where a state's code and a postal code of the same country end the address: IL 62704.
void WesternReader::infer_country() {
    const std::size_t n = tokens_.size();
    for (const std::string& country : words_of_.countries_with_states) {
        rules_ = &words_of_.country(country);
        for (std::size_t length = 1; length <= 2 && length + 1 < n; ++length) {
            const Token& state = tokens_[n - length - 1];
            const bool is_state = state.word->states & rules_->states && state.text.size() <= kLongestStateCode;
            if (is_state && is_postcode(join_code(n - length, n))) {
                country_ = country;
                return;
            }
        }
    }
}

bool WesternReader::is_postcode(std::string_view code) const {
    return std::ranges::any_of(rules_->postcodes, [&](const std::string& mask) { return fits(mask, code); });
}

// Take the last postal code behind the first word, and with it the state, which it tells.
void WesternReader::take_postcode() {
    if (rules_->postcodes.empty()) return;
    const auto is_number = [](const Token& token) { return token.is_number; };
    const auto first_word = std::size_t(std::ranges::find_if_not(tokens_, is_number) - tokens_.begin());
    for (std::size_t stop = tokens_.size(); stop > first_word + 1; --stop) {
        for (std::size_t start = std::max(stop - 2, first_word + 1); start < stop; ++start) {
            if (!is_postcode(join_code(start, stop)) || is_house(start, stop)) continue;
            for (const char byte : join_code(start, stop))
                if (byte != '-') postcode_ += byte;
            if (rules_->zip_digits > 0) postcode_.resize(std::min(postcode_.size(), rules_->zip_digits));
            drop_state(start, stop);
            return;
        }
    }
}

// Whether what looks like a postal code is the one number of a road or a box: 70000 Elm Road, Elm Road 70000.
bool WesternReader::is_house(std::size_t start, std::size_t stop) const {
    std::size_t first = start, last = stop;
    while (last < tokens_.size() && tokens_[last].is_beside()) ++last;
    while (first > 0 && tokens_[first].is_beside()) --first;
    const auto before = std::span(tokens_).subspan(first, start - first);
    if (last > stop + 1 && is_road(tokens_[last - 1])) return true;
    const bool has_number = std::ranges::any_of(before, [](const Token& token) { return token.is_number; });
    if (!has_number && std::ranges::any_of(before, [&](const Token& token) { return is_road(token); })) return true;
    const auto is_same = [](const std::string& word, const Token& token) { return word == token.text; };
    return std::ranges::any_of(words_of_.boxes, [&](const Phrase& phrase) {
        return phrase.size() <= start && std::equal(phrase.rbegin(), phrase.rend(),
                                                    tokens_.rend() - std::ptrdiff_t(start), is_same);
    });
}

bool WesternReader::is_road(const Token& token) const {
    const std::string_view word = shorten(token, false);
    return words_of_.find(word).is_road_type ||
           std::ranges::any_of(words_of_.road_suffixes, [&](const std::string& suffix) { return word.ends_with(suffix); });
}

// Drop the tokens of a postal code, and a state before or behind it; what follows is a part of its own.
void WesternReader::drop_state(std::size_t start, std::size_t stop) {
    const std::size_t n = tokens_.size();
    const auto is_state = [&](std::size_t from, std::size_t to) {
        return rules_->states != 0 && words_of_.find(join(from, to)).states & rules_->states;
    };
    for (std::size_t length = kLongestState; length > 0; --length) {
        if (is_state(stop, std::min(stop + length, n))) {
            stop = std::min(stop + length, n);
            break;
        }
        if (start > length && is_state(start - length, start)) {
            start -= length;
            break;
        }
    }
    if (stop < n) tokens_[stop].before = COMMAS;
    tokens_.erase(tokens_.begin() + std::ptrdiff_t(start), tokens_.begin() + std::ptrdiff_t(stop));
}

// Read 5/12 High Street, where a country writes the unit so.
std::size_t WesternReader::read_unit_first() {
    const Token &first = at(0), &second = at(1), &third = at(2);
    const std::uint8_t sign = rules_->unit_first == '/' ? SLASHES : HYPHENS;
    const bool is_pair = first.is_number && second.is_number && rules_->unit_first != 0 && second.before == sign;
    if (!is_pair || third.is_number || tokens_.size() < 3) return 0;
    add_number(ROOM, first.text);
    return 1;
}

std::size_t WesternReader::read_box(std::size_t start) {
    const std::size_t n = begins(std::span(tokens_).subspan(start), words_of_.boxes);
    if (n == 0) return 0;
    const std::size_t stop = start + n + at(start + n).word->is_dropped;
    if (!at(stop).is_number || at(stop).before & COMMAS) return 0;
    number_.assign("box").append(at(stop).text);
    add_number(NUMBER, number_);
    has_house_ = true;
    return stop + 1;
}

// Read a unit's word with its number, before or behind it: apt 4, # 4b, 3rd floor.
std::size_t WesternReader::read_unit(std::size_t start) {
    const Token &token = at(start), &after = at(start + 1);
    const bool is_slashed_floor = after.text == "f" && after.before == SLASHES;  // 12/F
    const bool is_postfix = after.word->postfix_unit != NO_UNIT && (after.is_beside() || after.is_dashed());
    if (token.is_number && (is_slashed_floor || is_postfix)) {
        const Unit unit = is_slashed_floor ? FLOOR : after.word->postfix_unit;
        const bool is_ascii = std::ranges::all_of(after.text, [](char byte) { return (byte & 0x80) == 0; });
        if (!is_ascii || is_slashed_floor || !is_value(at(start + 2), unit, false)) {
            const std::size_t n = digits_of_ordinal(token.text);
            add_number(unit, n > 0 ? token.text.substr(0, n) : token.text);
            return start + 2;
        }
    }
    std::size_t stop = start;
    Unit unit = token.word->unit;
    if (unit != NO_UNIT) {
        for (++stop; at(stop).word->is_dropped; ++stop) {}
    } else if (token.before & HASHES) {
        unit = has_house_ || (after.is_number && after.is_beside()) ? ROOM : NUMBER;
    } else {
        return 0;
    }
    if (!is_value(at(stop), unit, stop == start)) return 0;
    stop = join_letter(stop);
    add_number(unit, number_);
    has_house_ |= unit == NUMBER;
    return stop;
}

// Whether a token can be what a unit's word counts: a number, or a letter or two.
bool WesternReader::is_value(const Token& token, Unit unit, bool is_first) const {
    if (token.text.empty() || (token.before & COMMAS && !is_first)) return false;
    if (token.is_number) return unit != FLOOR || is_floor(token.text);
    const std::size_t n = count_chars(token.text);
    return unit != FLOOR && (n == 1 || (n == 2 && !token.word->is_short));
}

// Join what belongs to a number: 4-2, 4-b, 4/2, and 4 b where another number or part follows.
std::size_t WesternReader::join_letter(std::size_t start) {
    const std::size_t stop = join_dashed(start);
    const Token &letter = at(stop), &after = at(stop + 1);
    const bool is_unit = after.word->unit != NO_UNIT;
    const bool ends = !(after.is_beside() || after.is_dashed()) ||
                      (letter.word->unit != NO_UNIT ? is_unit : after.is_number || is_unit);
    if (!letter.is_letter() || !letter.is_beside() || !is_digit(number_.back()) || !ends) return stop;
    number_ += letter.text;
    return stop + 1;
}

// Join what a dash or a slash joins; a letter after a space may be a road's name: 12 A Street.
std::size_t WesternReader::join_dashed(std::size_t start) {
    number_ = at(start).text;
    std::size_t stop = start + 1;
    for (; at(stop).is_joined() && (at(stop).is_number || at(stop).is_letter()); ++stop) {
        if (at(stop).is_number) number_ += at(stop).is_dashed() ? '-' : '/';
        number_ += at(stop).text;
    }
    return stop;
}

std::size_t WesternReader::read_plain(std::size_t start) {
    const Token &token = at(start), &after = at(start + 1);
    if (!token.is_number) {
        is_after_house_ = false;
        return read_word(start);
    }
    const bool is_day = after.word->is_month || (after.text == "de" && at(start + 2).word->is_month);
    if (digits_of_ordinal(token.text) > 0 || (is_day && after.is_beside())) {
        add_word(token.text);
        return start + 1;
    }
    const bool is_short = std::size_t(std::ranges::count_if(token.text, is_digit)) < kPostcodeDigits;
    if (is_after_house_ && is_short && !(token.before & BRACKETS)) {  // right behind the house number: Mayor 50, 3b
        const std::size_t stop = join_letter(start);
        add_number(ROOM, number_);
        return stop;
    }
    std::size_t stop = words_.empty() ? join_dashed(start) : join_letter(start);
    if (at(stop).word->is_repeated && (at(stop).is_beside() || at(stop).is_dashed())) number_ += at(stop++).text;
    if (const std::size_t slash = number_.find('/'); slash != std::string::npos && rules_->is_unit_behind_slash) {
        add_number(ROOM, std::string_view(number_).substr(slash + 1));
        number_.resize(slash);
    }
    add_number(NUMBER, number_);
    has_house_ |= !is_after_prefix_;
    is_after_house_ = !words_.empty() && !is_after_prefix_;
    is_after_prefix_ = false;
    return stop;
}

std::size_t WesternReader::read_word(std::size_t start) {
    const Token &token = at(start), &after = at(start + 1);
    if (token.word->is_dropped && after.is_number) return start + 1;
    const bool is_followed = start + 1 < tokens_.size() && !after.is_number && after.is_beside();
    if (start == 0 && token.word->number > 0 && is_followed) {
        number_ = std::to_string(token.word->number);
        add_number(NUMBER, number_);
        has_house_ = true;
        return 1;
    }
    const std::string_view last = std::string_view(words_).substr(std::min(last_word_, words_.size()));
    if (token.word->is_particle && !words_.empty() && words_of_.find(last).is_road_type && after.is_beside()) return start + 1;
    const std::string_view word = shorten(token, rules_->has_umlauts);
    if (!words_.empty() && !token.word->joined.empty() && (token.is_beside() || token.is_dashed())) words_ += word;
    else add_word(word);
    is_after_prefix_ = words_of_.find(word).is_road_prefix && after.is_number && after.is_beside();
    return start + 1;
}

// The form that stands for a word and its abbreviations; with umlauts ae, oe and ue stand for ä, ö and ü, which fold to
// a, o and u.
std::string_view WesternReader::shorten(const Token& token, bool has_umlauts) const {
    std::string_view text = token.text;
    const WesternWord* word = token.word;
    if (has_umlauts && text.find('e') != std::string_view::npos) {
        short_.clear();
        for (std::size_t at = 0; at < text.size(); ++at) {
            short_ += text[at];
            const bool is_vowel = text[at] == 'a' || text[at] == 'o' || text[at] == 'u';
            if (is_vowel && at + 1 < text.size() && text[at + 1] == 'e') ++at;
        }
        text = short_;
        word = &words_of_.find(text);
    }
    if (!word->joined.empty()) return word->joined;
    for (const auto& [suffix, form] : words_of_.suffixes) {
        if (!text.ends_with(suffix)) continue;
        text.remove_suffix(suffix.size());
        scratch_.assign(text).append(form);
        short_.swap(scratch_);
        return short_;
    }
    return word->short_form.empty() ? text : std::string_view(word->short_form);
}

void WesternReader::add_word(std::string_view word) {
    if (!words_.empty()) words_ += ' ';
    last_word_ = words_.size();
    words_ += word;
}

// Add a number without its first zeros; a unit is often told twice, in both lines, but of numbers of the place none is
// dropped.
void WesternReader::add_number(Unit unit, std::string_view text) {
    const auto first = std::min(text.find_first_not_of('0'), text.size());
    text = first < text.size() ? text.substr(first) : std::string_view("0");
    const bool is_known = unit != NUMBER && std::ranges::any_of(numbers_, [&](const Number& number) {
        return number.unit == unit && text_of(number) == text;
    });
    if (is_known) return;
    const std::size_t start = number_bytes_.size();
    number_bytes_ += text;
    numbers_.push_back({unit, start, number_bytes_.size()});
    units_seen_ |= 1u << unit;
}

WesternAddress WesternReader::write(std::int8_t place_type) {
    if (place_type == UNKNOWN_PLACE && counts(ROOM)) place_type = HOUSEHOLD;
    out_.assign(country_).append(postcode_).append(1, '|').append(words_);
    std::size_t n_place = 0;
    for (int unit = NUMBER; unit < kUnits; ++unit) {
        out_ += '|';
        const std::size_t start = out_.size();
        for (const Number& number : numbers_) {
            if (number.unit != unit) continue;
            if (out_.size() > start) out_ += ',';
            out_ += text_of(number);
        }
        if (unit == BUILDING) n_place = out_.size();
    }
    out_ += '|';
    const bool has_building = has_house_ || counts(BUILDING), is_named = !words_.empty();
    const std::string_view door = out_;
    return {is_named && (has_building || counts(ROOM)) ? door : "", is_named && has_building ? door.substr(0, n_place) : "",
            words_, place_type};
}

}  // namespace ordervet::address
