"""Made-up addresses of ten countries, each house written in several ways: all from a seed.

The words are none of those that ``western_words.py`` lists, but for the types of roads and units, which the ways vary.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random

__all__ = ["COUNTRIES", "House", "make_house", "write_house"]


@dataclass(frozen=True)
class House:
    """A door before it is written."""

    country: str
    road: str
    number: str
    unit: str
    city: str
    state: int
    postcode: str


@dataclass(frozen=True)
class _Country:
    """How a country writes addresses: types of roads as their spellings, names, towns, order and units."""

    names: tuple[str, ...]
    roads: tuple[tuple[str, ...], ...]
    road_names: tuple[str, ...]
    cities: tuple[str, ...]
    units: tuple[str, ...]
    line: str
    town: str
    postcode: str
    states: tuple[tuple[str, ...], ...] = (("",),)
    is_glued: bool = False


_ENGLISH: Final = (
    *("Birch", "Maple", "Oakhurst", "Kendall", "Fairview", "Juniper", "Rosewood", "Ashgrove", "Willow", "Sycamore"),
    *(
        "St. James",
        "Mount Royal",
        "Martin Luther King",
        "Old Mill",
        "O'Connor",
        "5th",
        "42nd",
        "Bramble",
        "Cedar",
        "Elm",
    ),
)
_ENGLISH_ROADS: Final = (
    *(("Street", "St", "St.", "STREET"), ("Avenue", "Ave", "Ave.", "AVENUE"), ("Road", "Rd", "Rd.", "road")),
    *(("Lane", "Ln", "LANE", "Ln."), ("Drive", "Dr", "Dr.", "drive"), ("Boulevard", "Blvd", "Blvd.", "BLVD")),
    *(("Court", "Ct", "Ct.", "court"), ("Terrace", "Ter", "Terr.", "terrace"), ("Place", "Pl", "Pl.", "place")),
)
_GERMAN: Final = (
    "Birken",
    "Goethe",
    "Schiller",
    "Linden",
    "Mühlen",
    "Königs",
    "Berliner ",
    "Garten",
    "Rosen",
    "Schloß",
)
_GERMAN_ROADS: Final = (("straße", "strasse", "str.", "STRASSE"), ("weg", "weg", "WEG", "weg"), ("allee",) * 4)

COUNTRIES: Final = {
    "US": _Country(
        ("US", "USA", "United States"),
        _ENGLISH_ROADS,
        _ENGLISH,
        ("Springfield", "Dover", "Austin", "Salem", "Fargo"),
        ("Apt {}", "Apartment {}", "#{}", "Unit {}", "Apt. {}"),
        "{number} {road}",
        "{city}, {state}, {postcode}",
        "#####",
        (("IL", "Illinois"), ("TX", "Texas"), ("DE", "Delaware"), ("NY", "New York")),
    ),
    "GB": _Country(
        ("GB", "United Kingdom", "UK"),
        _ENGLISH_ROADS,
        _ENGLISH,
        ("London", "Bath", "Leeds", "York", "St Albans"),
        ("Flat {}", "Apartment {}", "Flat {}", "flat {}"),
        "{number} {road}",
        "{city}, {postcode}",
        "@@# #@@",
    ),
    "CA": _Country(
        ("CA", "Canada"),
        _ENGLISH_ROADS,
        _ENGLISH,
        ("Toronto", "Halifax", "Regina"),
        ("Unit {}", "Apt {}", "Suite {}"),
        "{number} {road}",
        "{city}, {state}, {postcode}",
        "@#@ #@#",
        (("ON", "Ontario"), ("NS", "Nova Scotia")),
    ),
    "AU": _Country(
        ("AU", "Australia"),
        _ENGLISH_ROADS,
        _ENGLISH,
        ("Sydney", "Perth", "Hobart"),
        ("Unit {}", "Apt {}", "Flat {}"),
        "{number} {road}",
        "{city}, {state}, {postcode}",
        "####",
        (("NSW", "New South Wales"), ("WA", "Western Australia")),
    ),
    "DE": _Country(
        ("DE", "Germany", "Deutschland"),
        _GERMAN_ROADS,
        _GERMAN,
        ("Berlin", "München", "Köln", "Halle"),
        ("Wohnung {}", "Whg. {}", "Apt {}"),
        "{road} {number}",
        "{postcode} {city}",
        "#####",
        is_glued=True,
    ),
    "AT": _Country(
        ("AT", "Austria", "Österreich"),
        _GERMAN_ROADS,
        _GERMAN,
        ("Wien", "Graz", "Linz"),
        ("Top {}", "Tür {}"),
        "{road} {number}",
        "{postcode} {city}",
        "####",
        is_glued=True,
    ),
    "NL": _Country(
        ("NL", "Netherlands", "Nederland"),
        (("straat", "str.", "STRAAT", "straat"), ("laan",) * 4, ("kade",) * 4),
        ("Kerk", "Molen", "Beatrix", "Wilhelmina", "Dorps", "Vijver"),
        ("Amsterdam", "Utrecht", "Delft"),
        ("Apt {}", "App. {}", "Unit {}"),
        "{road} {number}",
        "{postcode} {city}",
        "#### @@",
        is_glued=True,
    ),
    "FR": _Country(
        ("FR", "France"),
        (("Rue", "rue", "RUE", "Rue"), ("Avenue", "Av.", "av", "AVENUE"), ("Boulevard", "Bd", "Blvd", "bd.")),
        ("de Rivoli", "Victor Hugo", "de la Liberté", "Émile Zola", "des Lilas", "du 11 Novembre", "Saint-Michel"),
        ("Paris", "Lyon", "Nîmes", "Besançon"),
        ("Appt {}", "Appartement {}", "Apt {}"),
        "{number} {road}",
        "{postcode} {city}",
        "#####",
    ),
    "ES": _Country(
        ("ES", "Spain", "España"),
        (("Calle", "C/", "calle", "CALLE"), ("Avenida", "Avda.", "Av.", "avenida"), ("Plaza", "Pza.", "Plza", "PLAZA")),
        ("de Alcalá", "Mayor", "de la Constitución", "Cervantes", "del Carmen", "Goya"),
        ("Madrid", "Sevilla", "Málaga"),
        ("Piso {}", "piso {}", "Piso {}"),
        "{road} {number}",
        "{postcode} {city}",
        "#####",
    ),
    "IT": _Country(
        ("IT", "Italy", "Italia"),
        (("Via", "via", "VIA", "V."), ("Viale", "V.le", "viale", "VIALE"), ("Piazza", "P.za", "P.zza", "piazza")),
        ("Roma", "Garibaldi", "4 Novembre", "Dante Alighieri", "San Marco"),
        ("Milano", "Torino", "Forlì"),
        ("Interno {}", "Int. {}", "int {}"),
        "{road} {number}",
        "{postcode} {city}",
        "#####",
    ),
}


def make_house(rng: random.Random, country: str) -> House:
    """Make up a door."""
    kind = COUNTRIES[country]
    number = str(rng.randint(1, rng.choice((99, 999, 19_999 if country == "US" else 250))))
    return House(
        country=country,
        road=f"{rng.randrange(len(kind.roads))}:{rng.choice(kind.road_names)}",
        number=number + (rng.choice("abc") if rng.random() < 0.1 else ""),
        unit=str(rng.randint(1, 40)) + (rng.choice("ABCD") if rng.random() < 0.2 else "") if rng.random() < 0.5 else "",
        city=rng.choice(kind.cities),
        state=rng.randrange(len(kind.states)),
        postcode="".join(rng.choice({"#": "123456789", "@": "ABEHKMNPRT"}.get(sign, sign)) for sign in kind.postcode),
    )


def write_house(house: House, rng: random.Random | None) -> str:
    """Write a door plainly, or in a way that the generator chooses."""
    kind = COUNTRIES[house.country]

    def pick(choices: tuple[str, ...]) -> str:
        return rng.choice(choices) if rng else choices[0]

    which, name = house.road.split(":")
    road_type = pick(kind.roads[int(which)])
    is_first = house.country in {"FR", "ES", "IT"}
    road = f"{road_type} {name}" if is_first else f"{name}{road_type}" if kind.is_glued else f"{name} {road_type}"
    number = house.number
    if rng and number[-1].isalpha() and kind.line.endswith("{number}") and rng.random() < 0.5:
        number = f"{number[:-1]} {number[-1].upper()}"
    line = kind.line.format(number=number, road=road)
    if rng and house.country == "FR" and rng.random() < 0.3:
        line = f"{number}, {road}"
    if house.unit:
        unit = pick(kind.units).format(house.unit)
        line = pick((f"{line}, {unit}", f"{line} {unit}", f"{line},{unit}"))
    postcode = house.postcode.replace(" ", "") if rng and rng.random() < 0.3 else house.postcode
    town = kind.town.format(city=house.city, state=pick(kind.states[house.state]), postcode=postcode)
    text = f"{line}, {town}, {pick(kind.names)}"
    return _vary(text, rng) if rng else text


def _vary(text: str, rng: random.Random) -> str:
    """Change case, accents and white space, none of which tells houses apart."""
    text = rng.choice((str, str.upper, str.lower))(text)
    if rng.random() < 0.3:
        text = "".join(char for char in unicodedata.normalize("NFD", text) if not unicodedata.combining(char))
    return text.replace(", ", rng.choice((", ", ",", " , ", "\n")))
