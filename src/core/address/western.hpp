// Reading one address that is not written in Chinese characters. Truth: tests/reference/western_reference.py;
// docs/addresses.md A17 has the rules.
//
//   bytes    12 Birch Lane, Apt 4, Springfield, IL 62704, US
//   split    12 | birch | lane | apt | 4 | springfield | il | 62704 | us, each with the separators before it
//   region   US, postal code 62704, and with it the state il
//   read     NUMBER 12, ROOM 4; the words birch ln springfield
//   door     US62704|birch ln springfield|12|||||||4|
//   place    US62704|birch ln springfield|12||||
//
// A WesternReader is working memory for one address at a time, which reading the next overwrites.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "address/tables.hpp"
#include "text/texts.hpp"

namespace ordervet::address {

// What has been read of a western address: views of the reader's memory.
struct WesternAddress {
    std::string_view door, place;  // the canonical texts; "" where there is none
    std::string_view words;
    std::int8_t place_type;
};

class WesternReader {
public:
    explicit WesternReader(const Tables& tables) : tables_(tables), words_of_(tables.western) { bytes_.reserve(4 * kMaxChars); }

    WesternAddress read(Bytes text);

    // The numbers of the address that was read, in order, and what each counts.
    struct Number {
        Unit unit;
        std::size_t start, stop;  // of the text
    };
    std::span<const Number> numbers() const { return numbers_; }
    std::string_view text_of(const Number& number) const {
        return std::string_view(number_bytes_).substr(number.start, number.stop - number.start);
    }

private:
    // The separators before a token: which there are, and whether there are several signs.
    enum Separator : std::uint8_t { SPACES = 1, COMMAS = 2, HYPHENS = 4, BRACKETS = 8, HASHES = 16, SLASHES = 32, SEVERAL = 64 };

    struct Char {
        Point point;
        Class kind;
    };

    struct Token {
        std::string_view text;
        const WesternWord* word;
        std::uint8_t before = 0;
        bool is_number = false;
        int bracket = 0;  // the number of the brackets that it stands in; 0 for none

        bool is_beside() const { return (before & ~(SPACES | SEVERAL)) == 0; }  // no comma, bracket or # stands before it
        bool is_dashed() const { return before == HYPHENS; }
        bool is_joined() const { return before == HYPHENS || before == SLASHES; }
        bool is_letter() const { return text.size() == 1 && 'a' <= text[0] && text[0] <= 'z'; }
    };
    using Tokens = std::vector<Token>;

    // From the text to tokens.
    void fold(Bytes text);
    bool is_dot_of_initial(std::size_t at) const;
    void split();
    void add_token(std::size_t start, std::uint8_t before, int bracket);
    Token make_token(std::string_view text, std::uint8_t before, int bracket) const;
    void drop_remarks();
    void drop_persons();
    std::int8_t find_place_type() const;
    void split_marked();

    // Country, postal code and state.
    void take_country();
    void infer_country();
    void take_postcode();
    bool is_postcode(std::string_view code) const;
    bool is_house(std::size_t start, std::size_t stop) const;
    bool is_road(const Token& token) const;
    void drop_state(std::size_t start, std::size_t stop);
    std::string_view join(std::size_t start, std::size_t stop) const;
    std::string_view join_code(std::size_t start, std::size_t stop) const;

    // Street and town.
    std::size_t read_unit_first();
    std::size_t read_box(std::size_t at);
    std::size_t read_unit(std::size_t at);
    std::size_t read_plain(std::size_t at);
    std::size_t read_word(std::size_t at);
    std::size_t join_letter(std::size_t at);
    std::size_t join_dashed(std::size_t at);
    bool is_value(const Token& token, Unit unit, bool is_first) const;
    static std::size_t begins(std::span<const Token> tokens, const std::vector<Phrase>& phrases);
    const Token& at(std::size_t at) const { return at < tokens_.size() ? tokens_[at] : end_; }
    std::string_view shorten(const Token& token, bool has_umlauts) const;
    void add_word(std::string_view word);
    void add_number(Unit unit, std::string_view text);
    bool counts(Unit unit) const { return units_seen_ >> unit & 1; }

    WesternAddress write(std::int8_t place_type);

    const Tables& tables_;
    const WesternWords& words_of_;
    const WesternWord nothing_{};
    const Token end_{{}, &nothing_, COMMAS, false, 0};

    std::vector<Char> chars_;
    std::string bytes_;  // of the tokens, one after the other; never more than 4 * kMaxChars, so that views of it last
    Tokens tokens_, kept_;

    std::string country_, postcode_;
    const WesternCountry* rules_ = nullptr;

    std::string words_;
    std::size_t last_word_ = 0;  // where the last of the words begins
    std::vector<Number> numbers_;
    std::string number_bytes_;
    std::uint32_t units_seen_ = 0;
    bool has_house_ = false;
    // What stands directly before: a road's type after which a number is its name; a house number behind a road.
    bool is_after_prefix_ = false, is_after_house_ = false;

    std::string number_;                // the number that is being joined
    std::string out_;
    mutable std::string scratch_, short_;
};

}  // namespace ordervet::address
