// All that one order says of who is involved, keyed in one call.
//
//   texts   buyer, device, payment, phone, ip, recipient | phone group, address group, address | order | country | plain …
//   words   ids of buyer, device, payment, phone, ip, network, recipient | of the plain texts | door, place | 0, order, event
//   codes   Evidence of each of these but the last three; undecided where the definitions in Python are asked
//
// A platform's own equality group, where present, takes the place of a phone and of a door: the platform knows more than
// a masked text shows. The place still comes from the address where that names one. A phone of an order that tells its
// country is left to the definition. The event is the text by which history/identity.py knows an order.

#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "address/reader.hpp"
#include "keys/forms.hpp"
#include "keys/siphash.hpp"

namespace ordervet {

class OrderKeyer {
public:
    enum Text { BUYER, DEVICE, PAYMENT, PHONE, IP, RECIPIENT, PHONE_GROUP, ADDRESS_GROUP, ADDRESS, ORDER, COUNTRY, kTexts };
    enum Entity { OF_BUYER, OF_DEVICE, OF_PAYMENT, OF_PHONE, OF_IP, OF_NETWORK, OF_RECIPIENT, kForms };

    using Forms = std::array<const Form*, kForms + 1>;

    // Keys of namespaces in this order; those of the plain texts follow.
    enum Namespace { IN_PHONE_GROUP = kForms, IN_DOOR_GROUP, IN_PLACE_GROUP, IN_DOOR, IN_PLACE, IN_ORDER, IN_EVENT, IN_PLAIN };

    // The forms of the first entities, in their order, and that of plain texts; they and the tables must outlive the keyer.
    OrderKeyer(const Forms& forms, const address::Tables& tables, std::vector<SipKey> keys);

    std::size_t n_texts() const { return kTexts + n_plain_; }
    std::size_t n_words() const { return n_codes() + 3; }
    std::size_t n_codes() const { return kForms + n_plain_ + 2; }

    // Key the texts of one order, an empty one where there is none; the place type is returned.
    std::int8_t key(std::span<const Bytes> texts, std::span<std::uint64_t> words, std::span<Evidence> codes);

private:
    Reading read_plain(Bytes text) { return forms_[kForms]->read(text, buffer_); }

    Forms forms_;
    std::vector<SipKey> keys_;
    std::size_t n_plain_;
    std::unique_ptr<address::Reader> reader_;
    FormBuffer buffer_{};
    std::string event_;
};

// A text without the white space at its ends, as Python's str.strip leaves it.
Bytes trim(Bytes text);

}  // namespace ordervet
