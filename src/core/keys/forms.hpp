// The canonical forms of ids, phone numbers, names and addresses on the internet, for texts that plainly have one.
//
//   text  ->  read  ->  known       the form, to be hashed
//                       absent      there is no text
//                       unusable    no key
//                       undecided   left to identities.py and phones.py, which define the forms
//
// A form here may give up on any text, but must never differ from its definition.

#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "evidence.hpp"
#include "text/texts.hpp"

namespace ordervet {

struct Reading {
    Evidence evidence;
    Bytes form;  // of a known text: within the text, or within the form's buffer
};

// Where a form is written that differs from its text.
using FormBuffer = std::array<std::uint8_t, 256>;

class Form {
public:
    virtual ~Form() = default;
    virtual Reading read(Bytes text, FormBuffer& buffer) const = 0;
};

// What may stand for nobody: placeholders, and texts of zeros and signs alone; identities.is_nobody decides.
class NobodyFilter {
public:
    // Placeholders are in small letters, without ASCII signs.
    explicit NobodyFilter(const std::vector<Bytes>& placeholders);
    bool may_be(Bytes text) const;

private:
    static constexpr std::size_t kLongest = 63;
    // By first byte, of those without and with a digit other than 0: bit n is set where a placeholder has n bytes.
    std::array<std::array<std::uint64_t, 256>, 2> lengths_{};
};

// Ids of buyers, devices and accounts: without capital letters, unless case tells two ids apart.
class IdForm final : public Form {
public:
    IdForm(bool is_case_kept, const std::vector<Bytes>& placeholders) : is_case_kept_(is_case_kept), nobody_(placeholders) {}
    Reading read(Bytes text, FormBuffer& buffer) const override;

private:
    bool is_case_kept_;
    NobodyFilter nobody_;
};

// Texts that are taken as they are.
class PlainForm final : public Form {
public:
    explicit PlainForm(const std::vector<Bytes>& placeholders) : nobody_(placeholders) {}
    Reading read(Bytes text, FormBuffer& buffer) const override;

private:
    NobodyFilter nobody_;
};

// Mobile numbers of mainland China: eleven digits; with an extension, a hyphen and up to six more, they are no key.
class PhoneForm final : public Form {
public:
    explicit PhoneForm(std::vector<std::int64_t> placeholders) : placeholders_(std::move(placeholders)) {}
    Reading read(Bytes text, FormBuffer& buffer) const override;

private:
    std::vector<std::int64_t> placeholders_;
};

// Names of two or more Chinese characters.
class RecipientForm final : public Form {
public:
    // in_name: per character from U+4E00 on, 0 undecided, 1 part of a name, 2 part of a name unless it is the last.
    explicit RecipientForm(std::vector<std::uint8_t> in_name) : in_name_(std::move(in_name)) {}
    Reading read(Bytes text, FormBuffer& buffer) const override;

private:
    std::vector<std::uint8_t> in_name_;
};

// IPv4 addresses, or their /24 networks.
class NetworkForm final : public Form {
public:
    explicit NetworkForm(bool is_network) : is_network_(is_network) {}
    Reading read(Bytes text, FormBuffer& buffer) const override;

private:
    bool is_network_;
};

}  // namespace ordervet
