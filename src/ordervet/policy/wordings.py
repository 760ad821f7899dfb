"""Numbers as a person at the desk reads them, in Chinese and English."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from ordervet.policy.codes import Lang

_MINUTE_S: Final = 60.0
_HOUR_S: Final = 3600.0
_DAY_S: Final = 86400.0
# A unit begins where the smaller one would need three digits to say the same.
_UNITS: Final = (
    (1.5 * _MINUTE_S, 1.0, {"zh": "秒", "en": "s"}),
    (1.5 * _HOUR_S, _MINUTE_S, {"zh": "分钟", "en": "min"}),
    (2.0 * _DAY_S, _HOUR_S, {"zh": "小时", "en": "h"}),
    (float("inf"), _DAY_S, {"zh": "天", "en": "days"}),
)
_WEEKDAYS: Final = {
    "zh": ("周一", "周二", "周三", "周四", "周五", "周六", "周日"),
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
}
_WINDOW_UNITS: Final = {
    "m": {"zh": "分钟", "en": "minutes"},
    "h": {"zh": "小时", "en": "hours"},
    "d": {"zh": "天", "en": "days"},
}
# From here on single-precision features no longer carry cents: 2**24 minor units are 167,772.16.
_CENTS_BELOW: Final = 100_000.0
_TEN_THOUSANDS_FROM: Final = 1_000_000.0


def format_number(value: float, lang: Lang) -> str:
    """Write a count or a ratio: whole numbers whole, others with at most two decimals.

    Parameters
    ----------
    value : finite
    lang : "zh" or "en"; both write numbers alike

    Returns
    -------
    such as ``1,204`` or ``4.25``
    """
    del lang
    return _trim(f"{value:,.2f}")


def format_percent(value: float, lang: Lang) -> str:
    """Write a share as a percentage, with one decimal below ten percent.

    Parameters
    ----------
    value : share, 1.0 = 100 %
    lang : "zh" or "en"; both write percentages alike

    Returns
    -------
    such as ``67%`` or ``2.5%``
    """
    del lang
    percent = 100.0 * value
    return (f"{percent:,.0f}" if abs(percent) >= 9.95 else _trim(f"{percent:.1f}")) + "%"  # noqa: PLR2004  # 10 when rounded


def format_money(value: float, lang: Lang, currency: str = "CNY") -> str:
    """Write an amount in major units, with cents as far as a single-precision feature carries them.

    Parameters
    ----------
    value : minor units
    lang : "zh" or "en"
    currency : three capital letters

    Returns
    -------
    such as ``1,234.50 元``, ``123.5 万元`` or ``CNY 1,234.50``
    """
    major = value / 100.0
    if lang == "zh" and currency == "CNY":
        if abs(major) >= _TEN_THOUSANDS_FROM:
            return f"{_trim(f'{major / 10_000.0:,.1f}')} 万元"
        return f"{_trim(_round_major(major), '.00')} 元"
    return f"{currency} {_round_major(major)}"


def format_seconds(value: float, lang: Lang) -> str:
    """Write a duration in the unit that suits it.

    Parameters
    ----------
    value : seconds
    lang : "zh" or "en"

    Returns
    -------
    such as ``45 秒``, ``3 分钟``, ``5 小时``, ``12 天``
    """
    for below, unit_s, names in _UNITS:
        if abs(value) < below:
            return f"{value / unit_s:,.0f} {names[lang]}"
    raise ValueError(f"a duration must be finite, got {value}")


def format_days(value: float, lang: Lang) -> str:
    """Write a duration given in days in the unit that suits it.

    Parameters
    ----------
    value : days
    lang : "zh" or "en"

    Returns
    -------
    as format_seconds
    """
    return format_seconds(value * _DAY_S, lang)


def format_hour(value: float, lang: Lang) -> str:
    """Write an hour of the day.

    Parameters
    ----------
    value : 0..24
    lang : "zh" or "en"

    Returns
    -------
    such as ``20 点`` or ``20:00``
    """
    return f"{int(value)} 点" if lang == "zh" else f"{int(value)}:00"


def format_weekday(value: float, lang: Lang) -> str:
    """Write a day of the week.

    Parameters
    ----------
    value : 0 = Monday .. 6 = Sunday
    lang : "zh" or "en"

    Returns
    -------
    such as ``周一`` or ``Monday``
    """
    return _WEEKDAYS[lang][int(value) % 7]


def format_flag(value: float, lang: Lang) -> str:
    """Write yes or no.

    Parameters
    ----------
    value : 0 = no, anything else = yes
    lang : "zh" or "en"

    Returns
    -------
    ``是`` or ``否``, ``yes`` or ``no``
    """
    if lang == "zh":
        return "是" if value else "否"
    return "yes" if value else "no"


def format_window(window: str, lang: Lang) -> str:
    """Write a trailing window.

    Parameters
    ----------
    window : such as ``10m``, ``1h`` or ``30d``; empty for none
    lang : "zh" or "en"

    Returns
    -------
    such as ``近 7 天`` or ``in the last 7 days``; empty for none
    """
    parts = re.fullmatch(r"(\d+)([mhd])", window)
    if parts is None:
        return window
    number, unit = parts[1], _WINDOW_UNITS[parts[2]][lang]
    if lang == "zh":
        return f"近 {number} {unit}"
    return f"in the last {number} {unit}" if number != "1" else f"in the last {unit.removesuffix('s')}"


def _round_major(major: float) -> str:
    return f"{major:,.2f}" if abs(major) < _CENTS_BELOW else f"{major:,.0f}"


def _trim(text: str, zeros: str = "") -> str:
    if zeros:
        return text.removesuffix(zeros)
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
