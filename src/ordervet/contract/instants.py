"""Whole columns of instants: the vectorised twin of `values.parse_instant`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract.values import END_OF_OFFSETS, FIRST_INSTANT, INSTANT_PATTERN, LAST_INSTANT, normalize_instant

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_DAY = 86_400 * _SECOND
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_MICROS = (FIRST_INSTANT - _EPOCH) // timedelta(microseconds=1)
LAST_MICROS = (LAST_INSTANT - _EPOCH) // timedelta(microseconds=1)
_UNREADABLE = np.int64(np.iinfo(np.int64).min)
_INSTANT = re.compile(INSTANT_PATTERN)
_PLAIN = len("2025-11-11 20:00:00")

Micros: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Mask: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]
Bytes: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]


def read_text_instants(texts: pa.Array, zone: ZoneInfo) -> pa.Array:
    """Read trimmed texts as instants; what is unreadable or null becomes null.

    Parameters
    ----------
    texts : shape (n,), strings
    zone : where a text without an offset is read

    Returns
    -------
    shape (n,), timestamp[us, UTC]
    """
    micros = _read_plain(texts)
    if micros is not None:
        given = np.flatnonzero(micros != _UNREADABLE)
        micros[given] = _local_to_utc(micros[given], zone)
        return _to_timestamps(micros)
    texts = _normalize(texts)
    micros = np.full(len(texts), _UNREADABLE)
    is_offset_given = np.zeros(len(texts), bool)
    rows = np.flatnonzero(to_mask(pc.match_substring_regex(texts, INSTANT_PATTERN)))
    matching = texts.take(pa.array(rows))
    lengths = pc.binary_length(matching).to_numpy()
    for length in np.unique(lengths):
        of_length = np.flatnonzero(lengths == length)
        characters = _bytes_of(matching.take(pa.array(of_length)), int(length))
        _read_same_length(characters, rows[of_length], micros, is_offset_given)
    local = np.flatnonzero(~is_offset_given & (micros != _UNREADABLE))
    micros[local] = _local_to_utc(micros[local], zone)
    return _to_timestamps(micros)


def _normalize(texts: pa.Array) -> pa.Array:
    """Write times of less usual notations in the usual one; what is no time stays as it is."""
    is_other = ~to_mask(pc.match_substring_regex(texts, INSTANT_PATTERN)) & to_mask(texts.is_valid())
    if not is_other.any():
        return texts
    encoded = texts.filter(pa.array(is_other)).dictionary_encode()
    usual = [normalize_instant(text) or text for text in encoded.dictionary.to_pylist()]
    return pc.replace_with_mask(texts, pa.array(is_other), pa.array(usual, pa.string()).take(encoded.indices))


def _read_plain(texts: pa.Array) -> Micros | None:
    """Read a column whose every text is like 2025-11-11 20:00:00; None when one is not.

    Returns
    -------
    shape (n,), local microseconds, unreadable where the text is null
    """
    # SPEED: nearly all exports write all their times so; Arrow's cast then takes a tenth of the time (bench_intake).
    given = texts.drop_null()
    if len(given) == 0 or pc.min_max(pc.binary_length(given)).as_py() != {"min": _PLAIN, "max": _PLAIN}:
        return None
    characters = _bytes_of(given, _PLAIN)
    is_plain = all(
        (characters[at] == ord(character)).all()
        for at, character in ((4, "-"), (7, "-"), (10, " "), (13, ":"), (16, ":"))
    )
    try:
        stamps = texts.cast(pa.timestamp("us")) if is_plain else None
    except pa.ArrowInvalid:
        return None
    return None if stamps is None else stamps.cast(pa.int64()).fill_null(int(_UNREADABLE)).to_numpy().copy()


def read_timestamps(stamps: pa.Array, zone: ZoneInfo) -> pa.Array:
    """Convert Arrow timestamps and dates to instants; nulls and what lies outside the bounds become null.

    Parameters
    ----------
    stamps : shape (n,), timestamp of any unit with or without a zone, or date
    zone : where a timestamp without a zone, or the midnight of a date, is read
    """
    is_date = pa.types.is_date(stamps.type)
    unit = ("D" if stamps.type == pa.date32() else "ms") if is_date else stamps.type.unit
    numbers = stamps.cast(pa.int32() if unit == "D" else pa.int64())
    raw = numbers.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    micros = np.where(to_mask(stamps.is_valid()), _to_micros(raw, unit), _UNREADABLE)
    if is_date:
        micros = np.where(micros == _UNREADABLE, micros, micros // _DAY * _DAY)
    if is_date or stamps.type.tz is None:
        local = np.flatnonzero(micros != _UNREADABLE)
        micros[local] = _local_to_utc(micros[local], zone)
    return _to_timestamps(micros)


def _to_micros(raw: Micros, unit: str) -> Micros:
    """Bring numbers of a unit to microseconds, cut downwards; out of any bound becomes unreadable, not an overflow."""
    if unit == "ns":
        return raw // 1000
    factor = {"D": _DAY, "s": _SECOND, "ms": 1000, "us": 1}[unit]
    is_near = (raw > (FIRST_MICROS - _DAY) // factor - 1) & (raw < (LAST_MICROS + _DAY) // factor + 1)
    return np.where(is_near, np.where(is_near, raw, 0) * factor, _UNREADABLE)


def _to_timestamps(micros: Micros) -> pa.Array:
    is_bad = (micros < FIRST_MICROS) | (micros > LAST_MICROS)
    return pa.array(micros, pa.int64(), mask=is_bad).cast(pa.timestamp("us", tz="UTC"))


def _read_same_length(characters: Bytes, rows: Micros, micros: Micros, is_offset_given: Mask) -> None:
    """Read texts of one length, one notation after the other, into `micros` and `is_offset_given`.

    Parameters
    ----------
    characters : shape (length, n), the bytes of texts that match the pattern
    rows : shape (n,), the row of each in `micros`
    """
    # SPEED: a file has one or two notations, so each costs one pass of plain array steps over its rows; a million
    # texts take 0.3 s, Arrow's cast to a timestamp would take 0.02 s but knows fewer notations and stops at a bad one.
    digits = characters - np.uint8(ord("0"))  # bytes below "0" wrap around to large numbers
    notation = np.where(digits <= 9, np.uint8(ord("9")), characters)
    while len(rows):
        first = notation[:, :1]
        match = _INSTANT.match(first.tobytes().decode("ascii"))
        if match is None:
            raise AssertionError("a notation of digits 9 matches whenever its texts do")
        is_same = (notation == first).all(axis=0)
        micros[rows[is_same]] = _read_notation(match, digits if is_same.all() else digits[:, is_same])
        is_offset_given[rows[is_same]] = bool(match[10] or match[11])
        rows, digits, notation = rows[~is_same], digits[:, ~is_same], notation[:, ~is_same]


def _read_notation(match: re.Match[str], digits: Bytes) -> Micros:
    """Read rows that all have the notation of `match`; an impossible date, time or offset becomes unreadable.

    Parameters
    ----------
    match : the pattern on the notation: its spans locate the digits of each part
    digits : shape (length, n), 0 to 9 where the notation has a digit

    Returns
    -------
    shape (n,), microseconds: UTC where the notation has an offset, local otherwise
    """

    def number(group: int, width: int = 9) -> Micros:
        start, end = match.span(group)  # an absent part has an empty span: zero
        value = np.zeros(digits.shape[1], np.int64)
        for column in digits[start : min(end, start + width)]:
            value *= 10
            value += column
        return value

    months = (number(1) - 1970) * 12 + number(2) + number(4) - 1
    month_start, month_end = _month_bounds(months)
    month, day = number(2) + number(4), number(3) + number(5)
    hour, minute, second, offset_minute = number(6), number(7), number(8), number(13)
    offset = (number(12) * 60 + offset_minute) * (-1 if match[11] == "-" else 1)
    is_bad = (month < 1) | (month > 12) | (day < 1) | (day > month_end - month_start)
    is_bad |= (hour > 23) | (minute > 59) | (second > 59)
    is_bad |= (np.abs(offset) >= END_OF_OFFSETS) | (offset_minute > 59)
    fraction_digits = min(match.end(9) - match.start(9), 6)
    below_second = number(9, width=6) * 10 ** (6 - fraction_digits)
    micros = (month_start + day - 1) * _DAY + (hour * 60 + minute - offset) * _MINUTE + second * _SECOND + below_second
    return np.where(is_bad, _UNREADABLE, micros)


def _month_bounds(months: Micros) -> tuple[Micros, Micros]:
    """Return the day number of the first of each month and of the one after, all counted from January 1970."""
    earliest = months.min()
    starts = np.arange(earliest, months.max() + 2).astype("M8[M]").astype("M8[D]").astype(np.int64)
    return starts[months - earliest], starts[months - earliest + 1]


def _local_to_utc(local: Micros, zone: ZoneInfo) -> Micros:
    """Convert local times to UTC: the earlier of two, unreadable where there is none."""
    changes, offsets = _offsets_of(zone)
    ends = changes + offsets[:-1]  # where each stretch of one offset ends, in its own local time
    stretch = np.searchsorted(ends, local, side="right")
    utc = local - offsets[stretch]
    starts = np.concatenate([[_UNREADABLE], changes])
    return np.where(utc >= starts[stretch], utc, _UNREADABLE)


@lru_cache(maxsize=64)
def _offsets_of(zone: ZoneInfo) -> tuple[Micros, Micros]:
    """List when a zone changes its offset within the bounds.

    Returns
    -------
    changes : shape (k,), UTC microseconds, ascending
    offsets : shape (k + 1,), microseconds east of UTC before, between and after the changes
    """
    day, last_day = FIRST_MICROS // _DAY - 2, LAST_MICROS // _DAY + 2
    changes, offsets = [], [_offset_at(day * 86_400, zone)]
    for next_day in range(day + 1, last_day + 1):
        offset = _offset_at(next_day * 86_400, zone)
        if offset != offsets[-1]:
            changes.append(_find_change(next_day * 86_400, zone) * _SECOND)
            offsets.append(offset)
    return np.array(changes, np.int64), np.array(offsets, np.int64) * _SECOND


def _offset_at(second: int, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(second, zone).utcoffset()
    return 0 if offset is None else round(offset.total_seconds())


def _find_change(end_of_day: int, zone: ZoneInfo) -> int:
    """Find the first second of the new offset within the day that ends with it, by halving."""
    before, after = end_of_day - 86_400, end_of_day
    while after - before > 1:
        middle = (before + after) // 2
        if _offset_at(middle, zone) == _offset_at(end_of_day, zone):
            after = middle
        else:
            before = middle
    return after


def _bytes_of(texts: pa.Array, length: int) -> Bytes:
    """View texts that all have one length, without nulls, as bytes of shape (length, n)."""
    _, offsets, data = texts.buffers()
    start = np.frombuffer(offsets, np.int32)[texts.offset]
    flat = np.frombuffer(data, np.uint8)[start : start + length * len(texts)]
    return np.ascontiguousarray(flat.reshape(len(texts), length).T)


def to_mask(condition: pa.Array) -> Mask:
    """Convert an Arrow condition to a NumPy mask; null is False."""
    return np.asarray(pc.fill_null(condition, fill_value=False).to_numpy(zero_copy_only=False), bool)
