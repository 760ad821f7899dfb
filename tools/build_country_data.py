"""Rebuild ``countries.json``, what phones and addresses have to know of countries.

One command, in an environment of its own that has the two libraries and the package:

    pip install phonenumbers==9.0.43 babel==2.19.0
    python tools/build_country_data.py

From phonenumbers (Apache-2.0, the metadata of Google's libphonenumber) come calling codes, trunk prefixes, prefixes of
calls abroad and the lengths of national numbers; from Babel (BSD, Unicode CLDR) the names of countries in English,
Chinese and the country's own languages, and three-letter codes. The result is stored, so that a key does not change
with the version of a library.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.languages import get_official_languages
from phonenumbers import SUPPORTED_REGIONS, PhoneMetadata

from ordervet.entities.characters import fold_char
from ordervet.entities.countries import COUNTRIES_FILE

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["main"]

_SOURCE: Final = "phonenumbers 9.0.43 (Apache-2.0, libphonenumber); Babel 2.19.0 (BSD, CLDR)"
_ALPHA2: Final = 2
_MORE_NAMES: Final = {
    "usa": "US",
    "unitedstatesofamerica": "US",
    "america": "US",
    "uk": "GB",
    "greatbritain": "GB",
    "britain": "GB",
    "england": "GB",
    "scotland": "GB",
    "wales": "GB",
    "northernireland": "GB",
    "holland": "NL",
    "czechia": "CZ",
    "korea": "KR",
    "southkorea": "KR",
    "republicofireland": "IE",
    "eire": "IE",
    "brasil": "BR",
    "russianfederation": "RU",
    "mainlandchina": "CN",
    "chinamainland": "CN",
    "prchina": "CN",
    "中国大陆": "CN",
    "中国": "CN",
    "中华人民共和国": "CN",
    "hongkong": "HK",
    "hongkongsar": "HK",
    "macau": "MO",
    "macao": "MO",
    "中国香港": "HK",
    "中国澳门": "MO",
    "中国台湾": "TW",
    "台湾": "TW",
    "香港": "HK",
    "澳门": "MO",
}
"""Names in use that CLDR does not give: parts of the United Kingdom, short and old forms."""


def main(path: Path = COUNTRIES_FILE) -> None:
    """Write the file.

    Parameters
    ----------
    path : of the file
    """
    regions = sorted(SUPPORTED_REGIONS)
    tables = {"source": _SOURCE, "phones": dict(map(_read_phones, regions)), "names": _read_names(regions)}
    lines = [f'"{name}": {json.dumps(table, ensure_ascii=False, sort_keys=True)}' for name, table in tables.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _read_phones(region: str) -> tuple[str, list[Any]]:
    metadata = PhoneMetadata.metadata_for_region(region)
    abroad = (metadata.preferred_international_prefix or metadata.international_prefix or "").replace("~", "")
    return region, [
        str(metadata.country_code),
        metadata.national_prefix or "",
        abroad if abroad.isdigit() else "00",
        min(metadata.general_desc.possible_length),
        max(metadata.general_desc.possible_length),
    ]


def _read_names(regions: list[str]) -> dict[str, str]:
    names = {_fold(region): region for region in regions}
    for alias, targets in get_global("territory_aliases").items():
        if alias.isalpha() and len(targets) == 1 and targets[0] in regions:
            names.setdefault(_fold(alias), targets[0])
    for region in regions:
        languages = ["en", "zh", *get_official_languages(region, de_facto=True)]
        for locale in filter(None, map(_find_locale, languages)):
            name = _fold(locale.territories.get(region, ""))
            if len(name) > _ALPHA2 or not name.isascii():
                names.setdefault(name, region)
    return names | _MORE_NAMES


def _find_locale(language: str) -> Locale | None:
    try:
        return Locale.parse(language)
    except (UnknownLocaleError, ValueError):
        return None


def _fold(name: str) -> str:
    return "".join(folded for char in name for folded in fold_char(char) if folded.isalnum())


if __name__ == "__main__":
    main()
