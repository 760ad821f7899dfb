// The canonical texts of an address that has been scanned, and its kind of place. Truth: `_Scan.door_text`,
// `_Scan.place_text` and `_Scan.place_type` of entities/address/parser.py.

#include <algorithm>
#include <functional>
#include <numeric>
#include <ranges>

#include "address/reader.hpp"
#include "text/utf8.hpp"

namespace ordervet::address {

bool Reader::is_note(const Name& name) const {
    if (region_ == COUNTRY || name.is_road || n_groups_ == 0 || name.n_groups_before != n_groups_) return false;
    return name_marks_[std::size_t(name.text.start)] & NOTE_START || !name.is_place;
}

std::span<const Point> Reader::points_of(const Name& name) const {
    return std::span(name_points_).subspan(std::size_t(name.text.start), std::size_t(name.text.size()));
}

// `split_notes`: part the names that say where from the notes after the last number, and sort both.
void Reader::sort_names() {
    const auto names = std::span(order_).first(std::size_t(n_names_));
    int n_notes = 0;
    n_places_ = 0;
    for (int at = 0; at < n_names_; ++at) {
        if (is_note(names_[std::size_t(at)])) names[std::size_t(n_names_ - ++n_notes)] = at;
        else names[std::size_t(n_places_++)] = at;
    }
    if (n_places_ == 0) n_places_ = n_names_;
    const auto precedes = [&](int one, int other) {
        return std::ranges::lexicographical_compare(points_of(names_[std::size_t(one)]),
                                                    points_of(names_[std::size_t(other)]));
    };
    std::ranges::sort(names.first(std::size_t(n_places_)), precedes);
    std::ranges::sort(names.subspan(std::size_t(n_places_)), precedes);
}

void Reader::write_points(std::span<const Point> points) {
    for (const Point point : points) {
        if (0x800 <= point && point < 0x10000) {  // SPEED: most characters are Chinese (bench_addresses.py)
            const auto three = std::span(out_).subspan(std::size_t(n_out_)).first<3>();
            three[0] = std::uint8_t(0xE0 | point >> 12);
            three[1] = std::uint8_t(0x80 | (point >> 6 & 0x3F));
            three[2] = std::uint8_t(0x80 | (point & 0x3F));
            n_out_ += 3;
        } else {
            encode(point, [this](std::uint8_t byte) { write_byte(byte); });
        }
    }
}

// Write names in order, each once; of notes not those to the courier.
void Reader::write_names(int first, int stop, bool are_notes) {
    std::span<const Point> before;
    for (int position = first; position < stop; ++position) {
        const Name& found = names_[std::size_t(order_[std::size_t(position)])];
        const auto name = points_of(found);
        const bool is_to_courier = name_marks_[std::size_t(found.text.start)] & NOTE_START && !found.is_place;
        if ((are_notes && is_to_courier) || std::ranges::equal(name, before)) continue;
        if (!before.empty()) write_byte(',');
        write_points(name);
        before = name;
    }
}

// Write the numbers of a unit as they came, each once.
void Reader::write_numbers(Unit unit) {
    const auto points_of = [&](const Number& number) {
        return std::span<const Point>(number_points_)
            .subspan(std::size_t(number.text.start), std::size_t(number.text.size()));
    };
    const auto numbers = std::span(numbers_).first(std::size_t(n_numbers_));
    bool is_first = true;
    for (std::size_t at = 0; at < numbers.size(); ++at) {
        if (numbers[at].unit != unit) continue;
        const auto text = points_of(numbers[at]);
        const bool is_repeated = std::ranges::any_of(numbers.first(at), [&](const Number& other) {
            return other.unit == unit && std::ranges::equal(points_of(other), text);
        });
        if (is_repeated) continue;
        if (!is_first) write_byte(',');
        write_points(text);
        is_first = false;
    }
}

// `_region_text`: of the door text, of the place text, the town of both, or 0, and the zone of each.
Reader::Regions Reader::choose_regions() const {
    bool has_road = false, is_told = true;
    for (const int name : std::span(order_).first(std::size_t(n_places_))) {
        const Name& found = names_[std::size_t(name)];
        has_road |= found.is_road && !found.is_relative;
        is_told &= !found.is_relative;
    }
    Regions regions{region_, region_, COUNTRY, false, false};
    if (tables_.divisions[std::size_t(region_)].level == TOWN) {
        regions.town = region_;
        regions.door = regions.place = tables_.divisions[std::size_t(region_)].parent;
    }
    const Division& division = tables_.divisions[std::size_t(regions.door)];
    // A road is unique in its whole city.
    const bool is_in_city = has_road && (has_seen(NUMBER) || has_seen(LANE)), is_redundant = is_told && (has_road || has_seen(BUILDING));
    if (division.traits & IS_DISTRICT && is_in_city) regions.place = division.parent;
    if (tables_.divisions[std::size_t(regions.town)].traits & IS_SUBDISTRICT && is_redundant) regions.town = COUNTRY;
    regions.has_zone = !zone_.empty() && !(division.traits & IS_DISTRICT && is_redundant);
    regions.has_zone_of_place = regions.has_zone && !(division.level == CITY && is_in_city);
    return regions;
}

Written Reader::write() {
    n_out_ = 0;
    sort_names();
    if (n_names_ == 0) return {};
    const Regions regions = choose_regions();
    if (regions.door != COUNTRY)
        for (const std::uint8_t byte : tables_.divisions[std::size_t(regions.door)].code) write_byte(byte);
    Written written;
    if (regions.has_zone) {
        const int code_end = n_out_;
        write_points(std::span(name_points_).subspan(std::size_t(short_zone_.start), std::size_t(short_zone_.size() + 1)));
        write_points(std::span(name_points_).subspan(std::size_t(zone_.stop - 1), 1));
        if (!regions.has_zone_of_place) written.n_zone = n_out_ - code_end;
    }
    if (regions.town != COUNTRY)
        for (const char byte : tables_.towns[std::size_t(regions.town)]) write_byte(std::uint8_t(byte));
    write_byte('|');
    write_names(0, n_places_);
    written.place_region = regions.place;
    for (int unit = NUMBER; unit < kUnits; ++unit) {
        write_byte('|');
        if (has_seen(Unit(unit))) write_numbers(Unit(unit));
        if (unit == BUILDING) written.n_place = n_out_;
    }
    const auto names = std::span(order_).first(std::size_t(n_places_));
    const bool is_counted = has_seen(NUMBER) || has_seen(LANE) || has_seen(GROUP) || has_seen(BUILDING);
    const bool is_named = std::ranges::any_of(names, [&](int name) { return !names_[std::size_t(name)].is_road; });
    if (!is_counted && !is_named) written.n_place = 0;  // all of a road
    write_byte('|');
    if (!has_seen(ROOM)) write_names(n_places_, n_names_, true);
    const bool is_door = units_seen_ & ~(1u << SECTION);
    written.n_door = is_door ? n_out_ : 0;
    return written;
}

Bytes Reader::write_skeleton() {
    constexpr std::array kUnits{NUMBER, LANE, GROUP, BUILDING, STAIR, ROOM};
    constexpr int kFewest = 3;
    n_out_ = 0;
    if (std::ranges::count_if(kUnits, [this](Unit unit) { return has_seen(unit); }) < kFewest) return {};
    const Division& division = tables_.divisions[std::size_t(region_)];
    const std::int32_t region = division.level == TOWN ? division.parent : region_;
    if (region == COUNTRY) return {};
    for (const std::uint8_t byte : tables_.divisions[std::size_t(region)].code) write_byte(byte);
    for (const Unit unit : kUnits) {
        write_byte('|');
        if (has_seen(unit)) write_numbers(unit);
    }
    return Bytes(out_).first(std::size_t(n_out_));
}

Bytes Reader::place_text(const Written& written) {
    // NOTE: codes are equally long. A place's region is its door's or the one above, so one has a code if the other has.
    if (written.place_region != COUNTRY)
        std::ranges::copy(tables_.divisions[std::size_t(written.place_region)].code, out_.begin() + written.n_zone);
    return Bytes(out_).subspan(std::size_t(written.n_zone), std::size_t(written.n_place - written.n_zone));
}

std::int8_t Reader::place_type() const {
    // SPEED: a loop without an early end looks at eight characters at once (bench_addresses.py). PLACE_SECOND is the bit
    // above PLACE_START.
    static_assert(PLACE_SECOND == PLACE_START << 1);
    const auto marks = std::span(marks_).subspan(std::size_t(rest_at_), std::size_t(n_ - rest_at_ + 1));
    const auto starts = marks.first(marks.size() - 1), seconds = marks.subspan(1);
    const Mark found = std::inner_product(starts.begin(), starts.end(), seconds.begin(), Mark{0}, std::bit_or<>{},
                                          [](Mark start, Mark second) { return start & second >> 1; });
    if (found & PLACE_START) {
        std::size_t best = tables_.place_types.size();
        for (int start = rest_at_; start < n_; ++start) {
            if (!(mark(start) & PLACE_START && mark(start + 1) & PLACE_SECOND)) continue;
            Step step{tables_.list(PLACES), -1};
            for (int at = start; step = tables_.trie.follow(step.node, point(at)), step.node >= 0; ++at)
                if (step.payload >= 0) best = std::min(best, std::size_t(step.payload));
        }
        if (best < tables_.place_types.size()) return tables_.place_types[best];
    }
    if (has_seen(BUILDING) || has_seen(STAIR) || has_seen(ROOM)) return HOUSEHOLD;
    if (has_seen(GROUP)) return VILLAGE;
    const bool is_village = std::ranges::any_of(std::span(names_).first(std::size_t(n_names_)), [&](const Name& name) {
        return name_marks_[std::size_t(name.text.stop - 1)] & VILLAGE_END;
    });
    return is_village ? VILLAGE : UNKNOWN_PLACE;
}

}  // namespace ordervet::address
