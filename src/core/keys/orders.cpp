#include "keys/orders.hpp"

#include <stdexcept>

namespace ordervet {
namespace {

constexpr char kSeparator = '\x1f';
constexpr std::size_t kEmptyDetails = 7;  // of other events, in the text of an order's identity

// The text in which each entity is found.
constexpr std::array<OrderKeyer::Text, OrderKeyer::kForms> kTextOf{
    OrderKeyer::BUYER, OrderKeyer::DEVICE, OrderKeyer::PAYMENT, OrderKeyer::PHONE,
    OrderKeyer::IP,    OrderKeyer::IP,     OrderKeyer::RECIPIENT};

// Whether a character is white space to Python; of one to three bytes.
bool is_white(Bytes character) {
    switch (character.size()) {
        case 1: return character[0] == ' ' || (0x09 <= character[0] && character[0] <= 0x0D) ||
                       (0x1C <= character[0] && character[0] <= 0x1F);
        case 2: return character[0] == 0xC2 && (character[1] == 0x85 || character[1] == 0xA0);
        case 3: {
            const int point = (character[0] & 0x0F) << 12 | (character[1] & 0x3F) << 6 | (character[2] & 0x3F);
            return point == 0x1680 || (0x2000 <= point && point <= 0x200A) || point == 0x2028 || point == 0x2029 ||
                   point == 0x202F || point == 0x205F || point == 0x3000;
        }
        default: return false;
    }
}

std::size_t length_of_first(Bytes text) {
    std::size_t length = 1;
    while (length < text.size() && (text[length] & 0xC0) == 0x80) ++length;
    return length;
}

std::size_t length_of_last(Bytes text) {
    std::size_t length = 1;
    while (length < text.size() && (text[text.size() - length] & 0xC0) == 0x80) ++length;
    return length;
}

}  // namespace

Bytes trim(Bytes text) {
    while (!text.empty() && is_white(text.first(length_of_first(text)))) text = text.subspan(length_of_first(text));
    while (!text.empty() && is_white(text.last(length_of_last(text)))) text = text.first(text.size() - length_of_last(text));
    return text;
}

OrderKeyer::OrderKeyer(const Forms& forms, const address::Tables& tables, std::vector<SipKey> keys)
    : forms_(forms), keys_(std::move(keys)), reader_(std::make_unique<address::Reader>(tables)) {
    if (keys_.size() < IN_PLAIN) throw std::invalid_argument("a namespace of orders has no key");
    n_plain_ = keys_.size() - IN_PLAIN;
}

std::int8_t OrderKeyer::key(std::span<const Bytes> texts, std::span<std::uint64_t> words, std::span<Evidence> codes) {
    const auto put = [&](std::size_t at, std::uint64_t id, Evidence evidence) {
        words[at] = id;
        codes[at] = evidence;
    };
    const auto put_form = [&](std::size_t at, const Reading& reading, SipKey key) {
        put(at, reading.evidence == Evidence::known ? hash_text(reading.form, key) : 0, reading.evidence);
    };
    for (std::size_t at = 0; at < kForms; ++at) put_form(at, forms_[at]->read(texts[kTextOf[at]], buffer_), keys_[at]);
    if (!texts[PHONE].empty() && !texts[COUNTRY].empty()) put(OF_PHONE, 0, Evidence::undecided);
    if (const Reading group = read_plain(texts[PHONE_GROUP]); group.evidence != Evidence::absent)
        put_form(OF_PHONE, group, keys_[IN_PHONE_GROUP]);
    for (std::size_t at = 0; at < n_plain_; ++at)
        put_form(kForms + at, read_plain(texts[kTexts + at]), keys_[IN_PLAIN + at]);

    const std::size_t door = kForms + n_plain_, place = door + 1;
    put(door, 0, Evidence::absent);
    put(place, 0, Evidence::absent);
    const address::AddressReading reading = address::key_address(
        *reader_, texts[ADDRESS], [&](Bytes text) { words[door] = hash_text(text, keys_[IN_DOOR]); },
        [&](Bytes text) { words[place] = hash_text(text, keys_[IN_PLACE]); });
    codes[door] = reading.door;
    codes[place] = reading.place;
    const Reading group = read_plain(texts[ADDRESS_GROUP]);
    if (group.evidence == Evidence::undecided) {
        put(door, 0, Evidence::undecided);
        put(place, 0, Evidence::undecided);
    } else if (group.evidence == Evidence::known) {
        put_form(door, group, keys_[IN_DOOR_GROUP]);
        if (words[place] == 0) put_form(place, group, keys_[IN_PLACE_GROUP]);
    }

    const Bytes order = texts[ORDER];
    event_.assign("order").push_back(kSeparator);
    event_.append(order.begin(), order.end()).append(kEmptyDetails, kSeparator);
    words[place + 1] = 0;
    words[place + 2] = hash_text(order, keys_[IN_ORDER]);
    words[place + 3] = hash_text(to_bytes(event_), keys_[IN_EVENT]);
    return reading.place_type;
}

}  // namespace ordervet
