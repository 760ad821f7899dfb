"""Format numbers, amounts and times as a person at the desk reads them, in Chinese and English."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from ordervet.currencies import UNKNOWN, find_exponent
from ordervet.words import find_words, format_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ordervet.words import Lang

_MINUTE_S: Final = 60.0
_HOUR_S: Final = 3600.0
_DAY_S: Final = 86400.0
# A unit begins where the smaller one would need three digits to say the same.
_UNITS: Final = (
    (1.5 * _MINUTE_S, 1.0, "s"),
    (1.5 * _HOUR_S, _MINUTE_S, "min"),
    (2.0 * _DAY_S, _HOUR_S, "h"),
    (float("inf"), _DAY_S, "d"),
)
# From here on single-precision features no longer carry cents: 2**24 minor units are 167,772.16.
_CENTS_BELOW: Final = 100_000.0
_TEN_THOUSANDS_FROM: Final = 1_000_000.0


def format_number(value: float, lang: Lang) -> str:
    """Format a count or a ratio, such as ``1,204`` or ``4.25``: at most two decimals."""
    del lang
    return _trim(f"{value:,.2f}")


def format_percent(value: float, lang: Lang) -> str:
    """Format a share (1.0 is 100 %), such as ``67%`` or ``2.5%``: one decimal below ten percent."""
    del lang
    percent = 100.0 * value
    return (f"{percent:,.0f}" if abs(percent) >= 9.95 else _trim(f"{percent:.1f}")) + "%"  # 10 when rounded


def format_money(value: float, lang: Lang, currency: str = "CNY") -> str:
    """Format an amount in major units, with cents as far as a single-precision feature carries them.

    Parameters
    ----------
    value : minor units
    lang : "zh" or "en"
    currency : three capital letters

    Returns
    -------
    such as ``1,234.50 元``, ``123.5 万元`` or ``CNY 1,234.50``; the number alone where the currency is not known
    """
    exponent = find_exponent(currency)
    major = value / 10.0**exponent
    if lang == "zh" and currency == "CNY":
        if abs(major) >= _TEN_THOUSANDS_FROM:
            return f"{_trim(f'{major / 10_000.0:,.1f}')} 万元"
        return f"{_round_major(major, exponent).removesuffix('.00')} 元"
    amount = _round_major(major, exponent)
    return amount if currency == UNKNOWN else f"{currency} {amount}"


def format_seconds(value: float, lang: Lang) -> str:
    """Format a duration in the unit that suits it, such as ``45 s``, ``3 分钟``, ``12 days``."""
    for below, unit_s, unit in _UNITS:
        if abs(value) < below:
            return f"{value / unit_s:,.0f} {find_words('numbers.units', lang)[unit]}"
    raise ValueError(f"a duration must be finite, got {value}")


def format_days(value: float, lang: Lang) -> str:
    """Format a duration given in days, as `format_seconds`."""
    return format_seconds(value * _DAY_S, lang)


def format_hour(value: float, lang: Lang) -> str:
    """Format an hour of the day, such as ``20 点`` or ``20:00``."""
    return format_text("numbers.hour", lang, hour=int(value))


def format_weekday(value: float, lang: Lang) -> str:
    """Format a day of the week, 0 for Monday."""
    weekday: str = find_words("numbers", lang)["weekdays"][int(value) % 7]
    return weekday


def format_flag(value: float, lang: Lang) -> str:
    """Format yes or no: 0 is no."""
    return format_text("numbers.yes" if value else "numbers.no", lang)


def format_time(at: datetime, time_zone: str, *, timespec: str = "minutes") -> str:
    """Format a time as the local clock shows it, with its offset, such as ``2025-11-11 20:10+08:00``.

    Parameters
    ----------
    at : aware
    time_zone : IANA name
    timespec : of `datetime.isoformat`
    """
    return at.astimezone(ZoneInfo(time_zone)).isoformat(sep=" ", timespec=timespec)


def format_window(window: str, lang: Lang) -> str:
    """Format a trailing window such as ``10m`` or ``7d``: ``近 7 天``, ``in the last 7 days``; empty for none."""
    parts = re.fullmatch(r"(\d+)([mhd])", window)
    if parts is None:
        return window
    unit = find_words("numbers.window_units", lang)[parts[2]]
    if parts[1] == "1":
        return format_text("numbers.window_of_one", lang, unit=unit.removesuffix("s"))
    return format_text("numbers.window", lang, n=parts[1], unit=unit)


def _round_major(major: float, exponent: int) -> str:
    return f"{major:,.{exponent}f}" if abs(major) < _CENTS_BELOW else f"{major:,.0f}"


def _trim(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


FORMS: Final[dict[str, Callable[[float, Lang], str]]] = {
    "number": format_number,
    "percent": format_percent,
    "money": format_money,
    "seconds": format_seconds,
    "days": format_days,
    "hour": format_hour,
    "weekday": format_weekday,
    "flag": format_flag,
}
"""How a value may be written, by the names reasons.yaml uses."""
