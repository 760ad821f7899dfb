"""What phones and addresses have to know of countries; ``tools/build_country_data.py`` rebuilds the table."""

from __future__ import annotations

import json
from functools import cache, lru_cache
from pathlib import Path
from typing import Final, NamedTuple, TypedDict

from ordervet.entities.characters import fold_char

__all__ = ["CHINA", "COUNTRIES_FILE", "Dialling", "find_country", "find_dialling", "load_countries"]

COUNTRIES_FILE: Final = Path(__file__).with_name("countries.json")
CHINA: Final = "CN"


class Dialling(NamedTuple):
    """How a country's telephone numbers are dialled.

    Parameters
    ----------
    code : calling code, as 49
    trunk : what stands before a national number at home, as 0; "" for nothing
    abroad : what stands before a calling code, as 00
    shortest, longest : digits of a national number
    """

    code: str
    trunk: str
    abroad: str
    shortest: int
    longest: int


class _Countries(TypedDict):
    """What the file holds: country → its dialling; name, folded → country; and where both come from."""

    source: str
    phones: dict[str, tuple[str, str, str, int, int]]
    names: dict[str, str]


def find_country(name: str | None) -> str:
    """Find the country that a name or code means.

    Parameters
    ----------
    name : ISO 3166 code of two or three letters, or a name in English, Chinese or a language of the country

    Returns
    -------
    code of two letters; "" for any other text
    """
    return _find_country(name) if name else ""


@lru_cache(maxsize=65_536)
def _find_country(name: str) -> str:
    folded = "".join(part for char in name for part in fold_char(char) if part.isalnum())
    return load_countries()["names"].get(folded, "")


@cache
def find_dialling(country: str) -> Dialling | None:
    """Find how a country's numbers are dialled.

    Parameters
    ----------
    country : code of two letters

    Returns
    -------
    None for a text that is no country
    """
    found = load_countries()["phones"].get(country)
    return Dialling(*found) if found else None


@cache
def load_countries() -> _Countries:
    """Read the shipped table of countries, once per process.

    Returns
    -------
    dialling, and countries by every name that `find_country` knows, folded, without spaces and signs
    """
    countries: _Countries = json.loads(COUNTRIES_FILE.read_text(encoding="utf-8"))
    return countries
