#include "address/western_words.hpp"

#include <algorithm>
#include <stdexcept>

namespace ordervet::address {
namespace {

constexpr int kMostPlaceTypes = 11, kMostNumbers = 100, kMostStates = 8, kMostDigits = 16;

void check(bool is_good) {
    if (!is_good) throw std::invalid_argument("the words of western addresses are broken");
}

Unit to_unit(int value) {
    check(0 <= value && value < kUnits);
    return static_cast<Unit>(value);
}

Phrase split(std::string_view text) {
    Phrase phrase;
    for (std::size_t start = 0; start <= text.size();) {
        const std::size_t stop = std::min(text.find(' ', start), text.size());
        phrase.emplace_back(text.substr(start, stop - start));
        start = stop + 1;
    }
    return phrase;
}

}  // namespace

WesternWords::WesternWords(const WesternArrays& arrays) {
    const std::size_t n = arrays.lists.size();
    check(arrays.values.size() == n && arrays.offsets.size() == 2 * n + 1 && std::ranges::is_sorted(arrays.offsets) &&
          arrays.offsets.front() == 0 && std::size_t(arrays.offsets.back()) == arrays.bytes.size());
    const auto text = [&](std::size_t at) {
        const auto bytes = arrays.bytes.subspan(std::size_t(arrays.offsets[at]),
                                                std::size_t(arrays.offsets[at + 1] - arrays.offsets[at]));
        return std::string(bytes.begin(), bytes.end());
    };
    for (std::size_t row = 0; row < n; ++row) {
        check(0 <= arrays.lists[row] && arrays.lists[row] < std::int8_t(WesternList::kLists) && arrays.values[row] >= 0);
        add(static_cast<WesternList>(arrays.lists[row]), text(2 * row), arrays.values[row], text(2 * row + 1));
    }
}

void WesternWords::add(WesternList list, std::string_view text, int value, std::string_view target) {
    const auto word = [&]() -> WesternWord& { return words_[std::string(text)]; };
    const auto country = [&](std::string_view code) -> WesternCountry& { return countries_[std::string(code)]; };
    switch (list) {
        case WesternList::SHORT_FORMS:
            word().short_form = target;
            word().is_short = words_[std::string(target)].is_short = true;
            break;
        case WesternList::ROAD_TYPES: word().is_road_type = true; break;
        case WesternList::JOINED: word().joined = target; break;
        case WesternList::SUFFIXES: suffixes.emplace_back(text, target); break;
        case WesternList::ROAD_PREFIXES: word().is_road_prefix = true; break;
        case WesternList::ROAD_SUFFIXES: road_suffixes.emplace_back(text); break;
        case WesternList::PARTICLES: word().is_particle = true; break;
        case WesternList::DROPPED_BEFORE_NUMBER: word().is_dropped = true; break;
        case WesternList::UNIT_WORDS: word().unit = to_unit(value); break;
        case WesternList::POSTFIX_UNITS: word().postfix_unit = to_unit(value); break;
        case WesternList::UNIT_FIRST:
            check(target.size() == 1);
            country(text).unit_first = target.front();
            break;
        case WesternList::UNIT_BEHIND_SLASH: country(text).is_unit_behind_slash = true; break;
        case WesternList::UMLAUTS: country(text).has_umlauts = true; break;
        case WesternList::BOX_WORDS: boxes.push_back(split(text)); break;
        case WesternList::CARE_OF: persons.push_back(split(text)); break;
        case WesternList::WORD_NUMBERS:
            check(value < kMostNumbers);
            word().number = static_cast<std::int8_t>(value);
            break;
        case WesternList::MONTHS: word().is_month = true; break;
        case WesternList::REPEATED: word().is_repeated = true; break;
        case WesternList::PLACE_WORDS:
            check(value < kMostPlaceTypes);
            word().place_type = static_cast<std::int8_t>(value);
            break;
        case WesternList::POSTCODES: country(target).postcodes.emplace_back(text); break;
        case WesternList::ZIP_DIGITS:
            check(value < kMostDigits);
            country(text).zip_digits = std::size_t(value);
            break;
        case WesternList::STATES: {
            WesternCountry& of = country(target);
            if (of.states == 0) {
                check(countries_with_states.size() < kMostStates);
                of.states = static_cast<std::uint8_t>(1 << countries_with_states.size());
                countries_with_states.emplace_back(target);
            }
            word().states |= of.states;
            break;
        }
        case WesternList::COUNTRIES: word().country = target; break;
        case WesternList::kLists: break;
    }
}

}  // namespace ordervet::address
