// Addresses in Python: columns are keyed by ordervet._core.AddressTables, which entities/address/arrays.py loads.

#include <memory>

#include "arrays.hpp"
#include "address/reader.hpp"
#include "bindings.hpp"
#include "keys/siphash.hpp"

namespace nb = nanobind;

namespace ordervet {
namespace {

using namespace address;

// Where a column of n addresses writes: ids (0 = no key), codes of Evidence, and codes of PlaceType.
struct AddressColumns {
    std::span<std::uint64_t> doors, places;
    std::span<std::int8_t> door_evidence, place_evidence, place_types;
};

void key_addresses(const Tables& tables, const Texts<std::int64_t>& texts, SipKey door_key, SipKey place_key,
                   const AddressColumns& columns) {
    const auto reader = std::make_unique<Reader>(tables);
    LaneHasher doors(door_key, columns.doors), places(place_key, columns.places);
    for (std::size_t row = 0; row < texts.size(); ++row) {
        columns.doors[row] = columns.places[row] = 0;
        const AddressReading reading = key_address(
            *reader, texts[row], [&](Bytes door) { doors.add(door, row); }, [&](Bytes place) { places.add(place, row); });
        columns.door_evidence[row] = static_cast<std::int8_t>(reading.door);
        columns.place_evidence[row] = static_cast<std::int8_t>(reading.place);
        columns.place_types[row] = reading.place_type;
    }
    doors.flush();
    places.flush();
}

void key_skeletons(const Tables& tables, const Texts<std::int64_t>& texts, SipKey key, std::span<std::uint64_t> ids,
                   std::span<std::int8_t> evidence) {
    const auto reader = std::make_unique<Reader>(tables);
    LaneHasher hasher(key, ids);
    for (std::size_t row = 0; row < texts.size(); ++row) {
        ids[row] = 0;
        const bool is_hidden = reader->fold(texts[row]);
        Evidence found = texts[row].empty() ? Evidence::absent : is_hidden ? Evidence::masked : Evidence::unusable;
        if (found == Evidence::unusable && !reader->is_western()) {
            reader->scan();
            if (const Bytes skeleton = reader->write_skeleton(); !skeleton.empty()) {
                hasher.add(skeleton, row);
                found = Evidence::known;
            }
        }
        evidence[row] = static_cast<std::int8_t>(found);
    }
    hasher.flush();
}

nb::tuple write_texts(const Tables& tables, Bytes text) {
    const auto reader = std::make_unique<Reader>(tables);
    nb::bytes door("", 0), place("", 0);
    const auto copy = [](Bytes bytes) { return nb::bytes(bytes.data(), bytes.size()); };
    key_address(*reader, text, [&](Bytes bytes) { door = copy(bytes); }, [&](Bytes bytes) { place = copy(bytes); });
    return nb::make_tuple(door, place);
}

nb::tuple read_western(const Tables& tables, Bytes text) {
    const auto reader = std::make_unique<WesternReader>(tables);
    const auto copy = [](std::string_view bytes) { return nb::bytes(bytes.data(), bytes.size()); };
    const WesternAddress read = reader->read(text);
    nb::list numbers;
    for (const WesternReader::Number& number : reader->numbers())
        numbers.append(nb::make_tuple(int{number.unit}, copy(reader->text_of(number))));
    return nb::make_tuple(copy(read.door), copy(read.place), copy(read.words), numbers, int{read.place_type});
}

// The arrays of tables.npz by name, and how their elements are read.
Tables load_tables(const nb::dict& arrays) {
    const auto find = [&]<typename Value>(const char* name, std::span<const Value>& array) {
        array = view(nb::cast<Array<const Value>>(arrays[name]));
    };
    TableArrays found;
    find("pages", found.pages);
    find("folds", found.folds);
    find("nodes", found.nodes);
    find("edges", found.edges);
    find("starts", found.starts);
    find("region_slots", found.region_slots);
    find("lists", found.lists);
    find("list_starts", found.list_starts);
    find("exceptions", found.exceptions);
    find("parents", found.parents);
    find("levels", found.levels);
    find("traits", found.traits);
    find("codes", found.codes);
    find("town_bytes", found.town_bytes);
    find("town_offsets", found.town_offsets);
    find("unit_words", found.unit_words);
    find("place_types", found.place_types);
    find("values", found.values);
    find("western_lists", found.western.lists);
    find("western_values", found.western.values);
    find("western_offsets", found.western.offsets);
    find("western_bytes", found.western.bytes);
    return Tables(found);
}

nb::dict list_marks() {
    nb::dict marks;
    marks["mark_shift"] = kMarkShift;
    marks["second_shift"] = kSecondShift;
    marks["value_shift"] = kValueShift;
    marks["unit_shift"] = kUnitShift;
    marks["unit_trap"] = UNIT_TRAP;
    marks["estate_ending"] = ESTATE_ENDING;
    marks["note_start"] = NOTE_START;
    marks["place_start"] = PLACE_START;
    marks["place_second"] = PLACE_SECOND;
    marks["name_end"] = NAME_END;
    marks["undoes_end"] = UNDOES_END;
    marks["village_end"] = VILLAGE_END;
    marks["full_trap"] = FULL_TRAP;
    marks["skip_start"] = SKIP_START;
    marks["unit_start"] = UNIT_START;
    marks["unit_second"] = UNIT_SECOND;
    marks["region_start"] = REGION_START;
    return marks;
}

nb::tuple list_classes() {
    return nb::make_tuple("NAME", "DIGIT", "NUMERAL", "LETTER", "SPACE", "HYPHEN", "BREAK", "HASH", "STAR", "JUNK", "COMMA");
}

nb::list list_western() {
    nb::list names;
    for (const char* name : kWesternLists) names.append(name);
    return names;
}

nb::tuple list_units() {
    return nb::make_tuple("NUMBER", "LANE", "SECTION", "GROUP", "BUILDING", "STAIR", "FLOOR", "ROOM");
}

template <typename Value>
nb::object to_numpy(std::span<const Value> values) {
    return nb::cast(nb::ndarray<nb::numpy, const Value, nb::ndim<1>>(values.data(), {values.size()}),
                    nb::rv_policy::copy);
}

}  // namespace

void bind_address(nb::module_& module) {
    module.attr("ADDRESS_MARKS") = list_marks();
    module.attr("ADDRESS_CLASSES") = list_classes();
    module.attr("ADDRESS_UNITS") = list_units();
    module.attr("WESTERN_LISTS") = list_western();
    nb::class_<Tables>(module, "AddressTables", "The words and divisions that addresses are read by.")
        .def("__init__", [](Tables* tables, const nb::dict& arrays) { new (tables) Tables(load_tables(arrays)); })
        .def(
            "key",
            [](const Tables& tables, Array<const std::uint8_t> data, Array<const std::int64_t> offsets,
               const nb::bytes& door_key, const nb::bytes& place_key, Array<std::uint64_t> doors,
               Array<std::uint64_t> places, Array<std::int8_t> door_evidence, Array<std::int8_t> place_evidence,
               Array<std::int8_t> place_types) {
                const SipKey for_doors = SipKey::from_bytes(view(door_key)), for_places = SipKey::from_bytes(view(place_key));
                const nb::gil_scoped_release released;
                const Texts<std::int64_t> texts(view(data), view(offsets));
                const std::size_t n = texts.size();
                key_addresses(tables, texts, for_doors, for_places,
                              {view(doors, n), view(places, n), view(door_evidence, n), view(place_evidence, n),
                               view(place_types, n)});
            },
            "Key every address of a column.")
        .def(
            "key_skeletons",
            [](const Tables& tables, Array<const std::uint8_t> data, Array<const std::int64_t> offsets, const nb::bytes& key,
               Array<std::uint64_t> ids, Array<std::int8_t> evidence) {
                const SipKey subkey = SipKey::from_bytes(view(key));
                const nb::gil_scoped_release released;
                const Texts<std::int64_t> texts(view(data), view(offsets));
                key_skeletons(tables, texts, subkey, view(ids, texts.size()), view(evidence, texts.size()));
            },
            "Key the skeleton of every address of a column.")
        .def(
            "write_texts", [](const Tables& tables, const nb::bytes& text) { return write_texts(tables, view(text)); },
            "Return the door text and the place text of one address, in UTF-8.")
        .def(
            "read_western", [](const Tables& tables, const nb::bytes& text) { return read_western(tables, view(text)); },
            "Return door text, place text, words, numbers with their units, and kind of place of a western address.");
    module.def(
        "build_trie",
        [](Array<const std::uint32_t> points, Array<const std::int64_t> offsets, Array<const std::int32_t> roots,
           Array<const std::int32_t> payloads, std::int32_t n_roots, int edge_bits) {
            const Trie trie = Trie::build(view(points), view(offsets), view(roots), view(payloads), n_roots, edge_bits);
            return nb::make_tuple(to_numpy<std::int64_t>(trie.nodes()), to_numpy<std::uint64_t>(trie.edges()));
        },
        "Build the trie of words: its nodes and its edges.");
    module.def(
        "build_starts",
        [](Array<const std::uint32_t> points, Array<const std::int64_t> offsets, Array<const std::int32_t> roots, int bits) {
            return to_numpy<std::uint8_t>(Starts::build(view(points), view(offsets), view(roots), bits).bits());
        },
        "Build the filter of the first two characters of words.");
}

}  // namespace ordervet
