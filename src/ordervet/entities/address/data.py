"""The stored tables of divisions and characters; ``tools/build_address_data.py`` rebuilds them."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Final, TypedDict

__all__ = ["DATA_FILE", "AddressData", "load_address_data"]

DATA_FILE: Final = Path(__file__).with_name("data.json.gz")


class AddressData(TypedDict):
    """What the file holds.

    source: where it comes from; divisions: one per line, depth by tabs, then name, code and short name; renamed: old
    province, city and county, then the new ones; former: likewise, of all that were renamed or merged since 1981;
    folds: character → what it stands for; junk: ranges of code points that only decorate.
    """

    source: str
    divisions: list[str]
    renamed: list[list[str]]
    former: list[list[str]]
    folds: dict[str, str]
    junk: list[list[int]]


@cache
def load_address_data() -> AddressData:
    """Read the tables, once per process.

    Returns
    -------
    the tables; shared, so not to be changed
    """
    tables: AddressData = json.loads(gzip.decompress(DATA_FILE.read_bytes()))
    return tables
