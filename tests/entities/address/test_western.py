"""Addresses that are not written in Chinese characters: no two houses are one place, one house is one door."""

# ruff: noqa: S311 - nothing here is secret

from __future__ import annotations

import random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from western_reference import read_western

from entities.address.western_makers import COUNTRIES, make_house, write_house
from ordervet.entities import Evidence, Key, PlaceType, Unit, hash_text, key_addresses, parse_address
from ordervet.entities.address.address_columns import DOOR, PLACE
from ordervet.entities.address.arrays import load_tables
from ordervet.entities.characters import MAX_CHARS

KEY = Key(bytes(range(16)))


def door(text: str) -> str:
    return parse_address(text).door_text


def place(text: str) -> str:
    return parse_address(text).place_text


@pytest.mark.parametrize(
    "form",
    [
        *("{} Kendall Town Blvd, Jacksonville, FL, US", "Birkenstraße {}, Berlin, DE", "PO Box {}, Austin, TX, US"),
        *("{} Rue de Rivoli, Paris, FR", "Birkenweg {}, Berlin, DE", "Calle Mayor {}, 28013 Madrid, ES", "{} Oak Rd"),
        *("Via 4 Novembre {}, 00184 Roma, IT", "Straße des 17. Juni {}, 10623 Berlin", "Unit 5, {} High St, Perth, AU"),
        *("{} Highway 5, Salem, OR, US", "Highway 5 {}, Salem, OR 97301, US", "Calle 50 # {}, Bogota, CO"),
        "{}, Elm Grove",
        *(
            "Blk {} Lot 3 Sampaguita St, Quezon City, PH",
            "ul. Długa {} m. 12, 00-238 Warszawa, PL",
            "Postfach {}, Bern",
        ),
        *(
            "ул. Ленина, д. {}, кв. 12, Москва, 101000, RU",
            "서울특별시 강남구 테헤란로 {} 502호",
            "Oxford St {}, London",
        ),
        *("12345 Elm St, Springfield, IL {}, US", "{} Elm St, Springfield, IL 12345, US", "c/o Lee, {} Elm St, York"),
    ],
)
@pytest.mark.parametrize(("one", "other"), [("3", "99"), ("1141", "9803"), ("12", "112"), ("7", "70000"), ("5", "5a")])
def test_two_houses_are_two_places_whatever_their_numbers(form: str, one: str, other: str) -> None:
    assert place(form.format(one)) != place(form.format(other))
    assert place(form.format(one)) != "" != door(form.format(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("12 Main St, Town, 54321, US", "54321 Main St, Town, 12345, US"),
        ("12 Main St Apt 4, Town, US", "4 Main St Apt 12, Town, US"),
        ("12 Main St, Dover, DE, US", "12 Main St, Dover, OH, US"),
        ("12 Main St, Boston, US", "12 Main St, Boston, UK"),
        ("12 N Main St, Fargo, US", "12 S Main St, Fargo, US"),
        ("12 Park Lane, Bath, GB", "12 Lane Park, Bath, GB"),
        ("12 A Street, Washington, DC, US", "12 B Street, Washington, DC, US"),
        ("12 5th Ave, New York, US", "12 6th Ave, New York, US"),
        ("12 Avenue C, New York, US", "12 Avenue D, New York, US"),
        ("Hauptstr. 3, 10115 Berlin, DE", "Hauptstr. 3, 20095 Hamburg, DE"),
        ("5 Highway 5, Salem, US", "5 Highway, Salem, US"),
    ],
)
def test_what_differs_in_one_thing_is_another_place(one: str, other: str) -> None:
    assert place(one) != place(other)
    assert door(one) != door(other)


@pytest.mark.parametrize(
    "ways",
    [
        (
            "1141 Kendall Town Blvd, Jacksonville, FL 32225, US",
            "1141 kendall town boulevard, Jacksonville, Florida, 32225-1234, USA",
            "1141 KENDALL TOWN BLVD.\nJACKSONVILLE FL 32225\nUnited States",
        ),
        (
            "Birkenstraße 3a, 10115 Berlin, DE",
            "Birkenstr. 3 a, 10115 Berlin, Germany",
            "BIRKENSTRASSE 3A, Berlin, 10115, Deutschland",
            "c/o Schmidt, Birkenstraße 3 A, 10115 Berlin, DE",
        ),
        ("Münchner Straße 5, Köln, DE", "Muenchner Str. 5, Koeln, DE", "Münchner Strasse 5, Köln, DE"),
        ("PO Box 123, Austin, TX 73301, US", "P.O. Box 123, Austin, TX 73301, US", "P O BOX 123, Austin, 73301, US"),
        (
            "125 Rue de Rivoli, 75001 Paris, FR",
            "125, rue de Rivoli, 75001 Paris, France",
            "125 RUE RIVOLI, Paris 75001, FR",
        ),
        (
            "12 High Street, Flat 4, London, SW1A 1AA, GB",
            "Flat 4, 12 High St, London, SW1A1AA, UK",
            "12 high st. flat 4 London SW1A 1AA, United Kingdom",
        ),
        (
            "12 Main St Apt 4B, Salem, US",
            "12 Main Street #4B, Salem, US",
            "12 Main St, Unit 4-B, Salem, US",
            "12 Main St, Apt. 4 B, Salem, US",
        ),
        ("5/12 High St, Perth WA 6000, AU", "Unit 5, 12 High Street, Perth, Western Australia, 6000, Australia"),
        ("10-123 Main St, Halifax NS B3H 2Y7, CA", "123 Main St Unit 10, Halifax, Nova Scotia, B3H2Y7, Canada"),
        ("Calle de Alcalá 50, 3º B, 28014 Madrid, ES", "C/ Alcalá, 50, 3B, Madrid, 28014, España"),
        ("350 Fifth Avenue, 34th Floor, New York, NY 10118, US", "350 5th Ave, Fl 34, New York, NY 10118, US"),
        ("Dluga 5/12, 00238 Warszawa, PL", "Długa 5 m. 12, 00-238 Warszawa, Polska"),
        ("12 Main St, Reno, NV 89501", "12 Main St, Reno NV 89501-1234", "12 Main St, Reno, Nevada, 89501, US"),
        ("12 High St, Perth WA 6000", "12 High Street, Perth, WA 6000, AU"),
        ("12 Main St, Halifax NS B3H 2Y7", "12 Main Street, Halifax, NS, B3H2Y7, Canada"),
        ("One Apple Park Way, Cupertino, US", "1 Apple Park Way, Cupertino, US"),
        ("12 Main St (ring twice), Salem, US", "12 Main St, Salem, US"),
    ],
)
def test_one_house_written_in_several_ways_is_one_door(ways: tuple[str, ...]) -> None:
    assert len({door(way) for way in ways}) == 1
    assert len({place(way) for way in ways}) == 1
    assert place(ways[0])


@pytest.mark.parametrize(
    "text", ["London, GB", "Highway 101, Eureka, CA, US", "5th Avenue, New York, US", "N/A", "Calle 50, Bogota"]
)
def test_a_road_or_a_town_alone_is_no_place(text: str) -> None:
    assert (door(text), place(text)) == ("", "")


def test_parts_of_an_address_are_told() -> None:
    address = parse_address("12 Birch Lane, Apt 4, Springfield, IL 62704, US")

    assert address.names == ("birch ln springfield",)
    assert address.numbers == {Unit.NUMBER: ("12",), Unit.ROOM: ("4",)}
    assert address.place_type is PlaceType.HOUSEHOLD
    assert parse_address("Packstation 123, 10115 Berlin, DE").place_type is PlaceType.PICK_UP


def test_houses_made_by_grammar_are_places_of_their_own_and_keep_their_door() -> None:
    rng = random.Random(4)
    houses = [make_house(rng, country) for country in COUNTRIES for _ in range(40)]

    plain = [parse_address(write_house(house, None)) for house in houses]
    again = [[door(write_house(house, rng)) for _ in range(2)] for house in houses]

    by_place = {address.place_text: replace_unit(house) for address, house in zip(plain, houses, strict=True)}
    assert all(
        by_place[address.place_text] == replace_unit(house) for address, house in zip(plain, houses, strict=True)
    )
    n_same = sum({address.door_text} == set(ways) for address, ways in zip(plain, again, strict=True))
    assert n_same >= 0.98 * len(houses)


def replace_unit(house: object) -> str:
    return repr(house).partition("unit=")[0] + repr(house).partition("city=")[2]


WORDS = (
    *(
        "12",
        "5/12",
        "3a",
        "70000",
        "3rd",
        "IL",
        "62704",
        "62704-1234",
        "SW1A 1AA",
        "US",
        "DE",
        "United",
        "Kingdom",
        "AT",
    ),
    *("Birken", "straße", "Muehlen", "Main", "St", "Rue", "de", "Calle", "Highway", "weg", "17.", "Juni", "9", "Julio"),
    *(
        "Apt",
        "apt4",
        "#",
        "No.",
        "Floor",
        "F",
        "og",
        "동",
        "호",
        "Top",
        "A",
        "b",
        "bis",
        "P.O.",
        "Box",
        "BP",
        "Postfach",
    ),
    *("c/o", "attn", "One", "д", "ул", "(", ")", ",", "-", "/", ".", "|", "\n", " ", "º", "ß", "½", "☃", "*"),
)


def read_by_core(text: str) -> tuple[object, ...]:
    door, place, words, numbers, place_type = load_tables().read_western(text.encode("utf-8", "surrogatepass"))
    counted: dict[Unit, list[str]] = {}
    for unit, number in numbers:
        counted.setdefault(Unit(unit), []).append(number.decode())
    texts = [each.decode("utf-8", "surrogatepass") for each in (door, place, words)]
    return (*texts, {unit: tuple(values) for unit, values in counted.items()}, place_type)


def read_by_twin(text: str) -> tuple[object, ...]:
    read = read_western(text)
    return read.door_text, read.place_text, " ".join(read.words), read.numbers, read.place_type


@settings(max_examples=400, deadline=None)
@given(
    text=st.lists(st.sampled_from(WORDS) | st.text(max_size=3), max_size=14).map("".join)
    | st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join)
    | st.text(max_size=40)
)
def test_core_equals_its_twin_on_any_text(text: str) -> None:
    assert read_by_core(text) == read_by_twin(text)


def test_core_equals_its_twin_on_houses_made_by_grammar() -> None:
    rng = random.Random(5)
    houses = [make_house(rng, country) for country in COUNTRIES for _ in range(30)]

    texts = [write_house(house, way) for house in houses for way in (None, rng)]

    assert [read_by_core(text) for text in texts] == [read_by_twin(text) for text in texts]


@pytest.mark.parametrize("unit", ["12 ", "a", "(", "ß", "12/", "Apt 4,", "P.O. Box ", "한", "-1"])
def test_a_long_text_is_read_to_a_bound(unit: str) -> None:
    text = "12 Main St, " + unit * MAX_CHARS

    assert read_by_core(text) == read_by_twin(text)
    assert read_by_core(text + " 12 Elm St") == read_by_core(text)


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet="12 ab,-/#().Apt'ßéST\n", max_size=30) | st.text(max_size=30))
def test_a_column_is_keyed_by_the_definition(text: str) -> None:
    keyed = key_addresses(pa.array([text, "南京市江宁区中山路5号", text]), KEY)

    parsed = parse_address(text)
    assert keyed.doors[0] == keyed.doors[2] == hash_text(parsed.door_text, KEY, DOOR)
    assert keyed.places[0] == keyed.places[2] == hash_text(parsed.place_text, KEY, PLACE)
    assert (keyed.door_evidence[0] == Evidence.KNOWN) == bool(parsed.door_text)
    assert keyed.place_types[0] == (parsed.place_type if text else PlaceType.UNKNOWN)
