#include "keys/forms.hpp"

#include <algorithm>
#include <string_view>

namespace ordervet {
namespace {

constexpr Reading kAbsent{Evidence::absent, {}}, kUnusable{Evidence::unusable, {}}, kUndecided{Evidence::undecided, {}};

// First bytes of U+4000 to U+9FFF in UTF-8; no white space, no letter with a case, no mask is among these.
constexpr std::uint8_t kFirstLead = 0xE4, kLastLead = 0xE9;
constexpr std::uint32_t kFirstCjk = 0x4E00;

constexpr bool is_digit(std::uint8_t byte) { return '0' <= byte && byte <= '9'; }

// What a byte of an id is.
enum Trait : std::uint8_t {
    kUnsure = 1,  // white space, a control character, a star, or the sign of an e-mail address
    kWide = 2,    // part of a character beyond ASCII
    kUpper = 4,   // a capital letter
};

constexpr std::array<std::uint8_t, 256> kTraits = [] {
    std::array<std::uint8_t, 256> traits{};
    for (std::size_t byte = 0; byte < 256; ++byte) {
        if (byte <= ' ' || byte == '*' || byte == '@' || byte == 0x7F) traits[byte] = kUnsure;
        else if (byte >= 0x80) traits[byte] = kWide;
        else if ('A' <= byte && byte <= 'Z') traits[byte] = kUpper;
    }
    return traits;
}();

// Whether all characters beyond ASCII are of three bytes, U+4000 to U+9FFF.
bool is_chinese(Bytes text) {
    for (std::size_t at = 0; at < text.size();) {
        if (text[at] < 0x80) at += 1;
        else if (kFirstLead <= text[at] && text[at] <= kLastLead) at += 3;
        else return false;
    }
    return true;
}

// First octets for which there are rules of their own (RFC 6890); 240 to 254 are those of made-up orders.
constexpr std::array<bool, 256> kIsRuled = [] {
    std::array<bool, 256> is_ruled{};
    for (const int octet : {0, 10, 100, 127, 169, 172, 192, 198, 203, 255}) is_ruled[octet] = true;
    for (int octet = 224; octet < 240; ++octet) is_ruled[octet] = true;
    return is_ruled;
}();

}  // namespace

NobodyFilter::NobodyFilter(const std::vector<Bytes>& placeholders) {
    for (const Bytes placeholder : placeholders) {
        if (placeholder.empty() || placeholder.size() > kLongest)
            throw std::invalid_argument("a placeholder has 1 to 63 bytes");
        const bool has_digit = std::ranges::any_of(placeholder, [](std::uint8_t byte) { return '1' <= byte && byte <= '9'; });
        lengths_[has_digit][placeholder.front()] |= std::uint64_t{1} << placeholder.size();
    }
}

bool NobodyFilter::may_be(Bytes text) const {
    if (text.empty() || text.front() == '-') return true;
    std::size_t n = 0;
    std::uint8_t first = 0;
    bool is_telling = false, has_digit = false;
    for (const std::uint8_t byte : text) {
        const bool is_upper = 'A' <= byte && byte <= 'Z';
        if (!is_upper && byte < 0x80 && !is_digit(byte) && !('a' <= byte && byte <= 'z')) continue;
        if (n++ == 0) first = is_upper ? byte | 0x20 : byte;
        is_telling |= byte != '0';
        has_digit |= '1' <= byte && byte <= '9';
        if (n > kLongest && is_telling) return false;
    }
    return !is_telling || lengths_[has_digit][first] >> n & 1;
}

Reading PlainForm::read(Bytes text, FormBuffer&) const {
    if (text.empty()) return kAbsent;
    return nobody_.may_be(text) ? kUndecided : Reading{Evidence::known, text};
}

Reading IdForm::read(Bytes text, FormBuffer& buffer) const {
    if (text.empty()) return kAbsent;
    const std::uint8_t first = text.front();
    if (text.size() > buffer.size() || first == '#' || first == '$' || first == '~' || first == '=' || first == '\'')
        return kUndecided;
    std::uint8_t seen = 0;
    for (const std::uint8_t byte : text) seen |= kTraits[byte];
    if (seen & kUnsure || (seen & kWide && !is_chinese(text)) || nobody_.may_be(text)) return kUndecided;
    if (is_case_kept_ || !(seen & kUpper)) return {Evidence::known, text};
    for (std::size_t at = 0; at < text.size(); ++at)
        buffer[at] = kTraits[text[at]] & kUpper ? text[at] | 0x20 : text[at];
    return {Evidence::known, Bytes(buffer).first(text.size())};
}

Reading PhoneForm::read(Bytes text, FormBuffer& buffer) const {
    constexpr std::size_t n_digits = 11, longest_extension = 6;
    if (text.empty()) return kAbsent;
    if (text.size() < n_digits || text[0] != '1' || text[1] < '3') return kUndecided;
    std::int64_t number = 0;
    for (const std::uint8_t byte : text.first(n_digits)) {
        if (!is_digit(byte)) return kUndecided;
        number = 10 * number + (byte - '0');
    }
    if (text.size() > n_digits) {
        const Bytes extension = text.subspan(n_digits + 1);
        const bool is_virtual = text[n_digits] == '-' && !extension.empty() && extension.size() <= longest_extension &&
                                std::ranges::all_of(extension, is_digit);
        return is_virtual ? kUnusable : kUndecided;
    }
    if (std::ranges::find(placeholders_, number) != placeholders_.end()) return kUndecided;
    std::ranges::copy(std::string_view("+86"), buffer.begin());
    std::ranges::copy(text, buffer.begin() + 3);
    return {Evidence::known, Bytes(buffer).first(3 + n_digits)};
}

Reading RecipientForm::read(Bytes text, FormBuffer&) const {
    if (text.empty()) return kAbsent;
    if (text.size() < 6 || text.size() % 3 != 0) return kUndecided;
    std::uint8_t kind = 0;
    for (std::size_t at = 0; at < text.size(); at += 3) {
        if (text[at] < kFirstLead || text[at] > kLastLead) return kUndecided;
        const std::uint32_t point = (text[at] & 0x0Fu) << 12 | (text[at + 1] & 0x3Fu) << 6 | (text[at + 2] & 0x3Fu);
        kind = point >= kFirstCjk && point - kFirstCjk < in_name_.size() ? in_name_[point - kFirstCjk] : 0;
        if (kind == 0) return kUndecided;
    }
    return kind == 1 ? Reading{Evidence::known, text} : kUndecided;
}

Reading NetworkForm::read(Bytes text, FormBuffer& buffer) const {
    constexpr std::size_t longest = 15;
    if (text.empty()) return kAbsent;
    if (text.size() > longest) return kUndecided;
    int n_dots = 0, n_digits = 0, octet = 0, first = 0;
    std::size_t after_dot = 0;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (is_digit(text[at])) {
            if (n_digits > 0 && octet == 0) return kUndecided;  // a leading zero, which `ipaddress` refuses
            octet = 10 * octet + (text[at] - '0');
            ++n_digits;
            if (octet > 255) return kUndecided;
            continue;
        }
        if (text[at] != '.' || n_digits == 0) return kUndecided;
        if (n_dots == 0) first = octet;
        ++n_dots;
        after_dot = at + 1;
        n_digits = octet = 0;
    }
    if (n_dots != 3 || n_digits == 0 || kIsRuled[first]) return kUndecided;
    if (!is_network_) return {Evidence::known, text};
    constexpr std::string_view mask = "0/24";
    std::ranges::copy(text.first(after_dot), buffer.begin());
    std::ranges::copy(mask, buffer.begin() + after_dot);
    return {Evidence::known, Bytes(buffer).first(after_dot + mask.size())};
}

}  // namespace ordervet
