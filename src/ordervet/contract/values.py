"""One value at a time: what a text, a number, a money amount or an instant is.

These plain-Python parsers are the definition. `columns.py` and `instants.py` hold their vectorised twins, and the
parity tests hold the two together. A value is *missing* when it is None, NaN, NaT or a blank text; the parsers are for
values that are not.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ordervet.currencies import CODES, DOTTED, SIGNS, find_exponent
from ordervet.errors import ContractError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)

#: An instant, or a column of them.
Micros = TypeVar("Micros", int, "NDArray[np.int64]")
MINUTE_US = 60_000_000
DEFAULT_TIME_ZONE = "Asia/Shanghai"
FIRST_INSTANT = datetime(1990, 1, 1, tzinfo=UTC)
LAST_INSTANT = datetime(2100, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)

# What is trimmed from both ends of a text: control characters, white space of Unicode, zero-width ones, the BOM.
TRIMMED = "".join(map(chr, range(0x20))) + (
    " \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u200b\u200c\u200d\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
)
_HALVES = dict.fromkeys(range(0xD800, 0xE000))
MAX_EXACT_FLOAT = 2**53  # below it every integer is a float of its own
MAX_DECIMAL = 10**38
MAX_MONEY = 10**15  # in major units, for whole numbers and texts; the fields have tighter bounds
MAX_FLOAT_MONEY = 10**11  # in major units: up to it the nearest whole minor unit is never in doubt
MAX_FLOAT_ERROR = 2.0**-50  # relative, four steps of a float: what one or two multiplications leave behind

INTEGER_PATTERN = r"^[+-]?[0-9]{1,18}$"
NUMBER_PATTERN = r"^[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,2})?$"
_MARK = rf"(?:{SIGNS}|{'|'.join(CODES)})"
_MINOR_DIGITS = {2: "[0-9]{1,2}0{0,18}", 3: "[0-9]{1,3}0{0,18}", 0: "0{1,18}", 4: "[0-9]{1,4}0{0,18}"}
#: After a comma three digits are thousands, so a fraction has fewer or more.
_MINOR_AFTER_COMMA = {
    2: "[0-9]{1,2}|[0-9]{2}0{2,18}",
    3: "[0-9]{1,2}|[0-9]{3}0{1,18}",
    0: "0{1,2}|0{4,18}",
    4: "[0-9]{1,2}|[0-9]{4}0{0,18}",
}
_APART = "\u00a0\u2009\u202f'\u2019"  # between thousands, whatever the decimal sign


def _money_pattern(exponent: int) -> str:
    """Build the pattern of amounts: 1,234.50 or 1.234,50; groups whole and minor, or their twins of decimal commas."""
    after, after_comma = _MINOR_DIGITS[exponent], _MINOR_AFTER_COMMA[exponent]
    groups = r"[0-9]{1,3}(?:[%s][0-9]{3}){1,4}"
    usual = rf"(?P<whole>[0-9]{{1,15}}|{groups % (',' + _APART)})(?:\.(?P<minor>{after}))?"
    comma = rf"(?P<whole2>[0-9]{{1,15}}),(?P<minor2>{after_comma})"
    grouped = rf"(?P<whole3>{groups % ('. ' + _APART)}),(?P<minor3>{after})"
    dots = r"(?P<whole4>[0-9]{1,3}(?:\.[0-9]{3}){2,4})"
    space = "[ \u00a0]?"
    mark = rf"(?:{_MARK}{space})?"
    return (
        rf"^(?:(?P<sign>[+-]?){mark}|{mark}(?P<sign2>[+-]))"
        rf"(?:{usual}|{comma}|{grouped}|{dots}){space}(?:元|{_MARK})?$"
    )


MONEY_PATTERN = _money_pattern(2)
MONEY_GROUPS = (("sign", "sign2"), ("whole", "whole2", "whole3", "whole4"), ("minor", "minor2", "minor3"))
"""The groups of `MONEY_PATTERN` that are a sign, whole units and their fraction; one of each is filled at most."""
INSTANT_PATTERN = (
    r"^([0-9]{4})(?:-([0-9]{2})-([0-9]{2})|/([0-9]{1,2})/([0-9]{1,2}))"
    r"(?:[ T]([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?"
    r"(?:(Z)| ?([+-])([0-9]{2}):?([0-9]{2}))?)?$"
)
_LOOSE_INSTANT = re.compile(
    r"^([0-9]{4})(?:([-/.])([0-9]{1,2})\2([0-9]{1,2})|年([0-9]{1,2})月([0-9]{1,2})日?)"
    r"(?:[ T]?[ ]*(上午|下午|中午|凌晨|晚上|[AP]M)?[ ]*([0-9]{1,2})[:时点]([0-9]{1,2})(?:分)?"
    r"(?::?([0-9]{1,2})(\.[0-9]{1,9})?秒?)?[ ]*([AP]M)?[ ]*(Z|[+-][0-9]{2}:?[0-9]{2})?)?$",
    re.IGNORECASE,
)
_NAMED_MONTH = re.compile(
    r"^(?:(?P<month>[A-Z]{3})[A-Z]*\.?[ -](?P<day>[0-9]{1,2}),?"
    r"|(?P<first>[0-9]{1,2})[ -](?P<after>[A-Z]{3})[A-Z]*\.?,?)"
    r"[ -](?P<year>(?:20)?[0-9]{2})(?P<time>,?[ ]+[0-9].*)?$",
    re.IGNORECASE,
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MORNINGS, _EVENINGS = ("上午", "凌晨", "am"), ("下午", "晚上", "pm")
TRUE_WORDS = ("true", "1", "yes", "是")
FALSE_WORDS = ("false", "0", "no", "否")

END_OF_OFFSETS = 15 * 60  # minutes: no place on earth is that far from UTC
_INTEGER = re.compile(INTEGER_PATTERN)
_NUMBER = re.compile(NUMBER_PATTERN)
_MONEY = {exponent: re.compile(_money_pattern(exponent)) for exponent in _MINOR_DIGITS}
_DOTTED_THOUSANDS = re.compile(rf"^([+-]?(?:{_MARK} ?)?[0-9]{{1,3}})\.([0-9]{{3}})( ?(?:{_MARK})?)$")
_INSTANT = re.compile(INSTANT_PATTERN)


def is_missing(value: Any) -> bool:
    """Return whether a value counts as missing: None, NaN, NaT, pandas.NA or a text that is blank once trimmed."""
    if value is None:
        return True
    if isinstance(value, str):
        return not drop_halves(value).strip(TRIMMED)
    if type(value).__name__ == "NAType":  # pandas.NA, which may not be compared
        return True
    return isinstance(value, (float, Decimal, datetime)) and bool(value != value)  # noqa: PLR0124 - NaN and NaT differ from themselves


def drop_halves(text: str) -> str:
    """Drop half characters of UTF-16, as a cut inside an emoji leaves them: no file and no table can hold one."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.translate(_HALVES)
    return text


def parse_text(value: object) -> str:
    """Read a text, trimmed; whole numbers count as text because tables often hold ids as numbers.

    Raises
    ------
    ContractError
        The value is neither a text nor a whole number that is exact (below 2**53 when it is a float).
    """
    if isinstance(value, str):
        return drop_halves(value).strip(TRIMMED)
    whole = _whole_number(value)
    if whole is None:
        raise ContractError("not a text")
    return str(whole)


def parse_integer(value: object) -> int:
    """Read a whole number: an integer, a float or decimal without a fraction, or ASCII digits with a sign.

    Raises
    ------
    ContractError
        Anything else, booleans, floats of 2**53 and above, and texts of more than 18 digits included.
    """
    if isinstance(value, str):
        text = value.strip(TRIMMED)
        if _INTEGER.match(text):
            return int(text)
        raise ContractError("not a whole number")
    whole = _whole_number(value)
    if whole is None:
        raise ContractError("not a whole number")
    return whole


def parse_number(value: object) -> float:
    """Read a finite number: any int, float or decimal, or a text such as ``-1.5e3``.

    Raises
    ------
    ContractError
        Anything else, booleans, infinities and numbers with thousands separators included.
    """
    if isinstance(value, str):
        text = value.strip(TRIMMED)
        if _NUMBER.match(text):
            return float(text)
    elif not isinstance(value, bool) and isinstance(value, (Real, Decimal)):
        try:
            number = float(value)
        except OverflowError:
            number = float("inf")
        if abs(number) < float("inf"):
            return number
    raise ContractError("not a finite number")


def parse_boolean(value: object) -> bool:
    """Read a yes or no: a bool, 0 or 1, or one of true, false, 1, 0, yes, no, 是, 否 in any case.

    Raises
    ------
    ContractError
        Anything else.
    """
    if isinstance(value, bool) or type(value).__name__ == "bool":  # the second is NumPy's
        return bool(value)
    if isinstance(value, str):
        word = value.strip(TRIMMED).lower()
        if word in TRUE_WORDS:
            return True
        if word in FALSE_WORDS:
            return False
    elif _whole_number(value) in {0, 1}:
        return bool(value)
    raise ContractError("not a yes or no")


def parse_money(value: object, currency: str = "CNY") -> int:
    """Read an amount in major units (元) as exact minor units (分).

    Parameters
    ----------
    value : a text such as ``￥1,234.50元`` or ``1.234,50 €``; an integer or decimal; or a float that is an amount with
        two decimals but for the error of float arithmetic (5 * 12.33 is 61.65)
    currency : three letters; says how many digits the minor unit has

    Returns
    -------
    minor units, exact: a text never passes through a binary float

    Raises
    ------
    ContractError
        Not an amount, a thousands separator out of place, or a fraction of a minor unit.

    Examples
    --------
    >>> parse_money("￥1,234.50元"), parse_money("1.234,50 €", "EUR"), parse_money("12.345", "KWD")
    (123450, 123450, 12345)
    """
    if isinstance(value, str) and currency.upper() in DOTTED:
        value = _DOTTED_THOUSANDS.sub(r"\1\2\3", value.strip(TRIMMED))
    minor = _money_minor(value, find_exponent(currency))
    if minor is None:
        raise ContractError("not an amount of money, or with more decimals than its currency has")
    return minor


def floor_minute(at_us: Micros) -> Micros:
    """Round microseconds down to whole minutes: spreadsheets lose the seconds, so times are compared by minutes."""
    return at_us // MINUTE_US * MINUTE_US


def to_micros(instant: datetime) -> int:
    """Return an instant as UTC microseconds."""
    return (instant - _EPOCH) // _MICROSECOND


def parse_instant(value: object, time_zone: str | ZoneInfo = DEFAULT_TIME_ZONE) -> datetime:
    """Parse a time and return it in UTC.

    Parameters
    ----------
    value : a datetime, a date (midnight), or a text ``YYYY-MM-DD[ T]HH:MM[:SS[.f]]`` with ``-`` or ``/``, with or
        without a time and an offset (``Z``, ``+08:00``); or one that `normalize_instant` knows
    time_zone : where a value without an offset is read; a local time that occurs twice means the earlier instant

    Returns
    -------
    UTC; anything below a microsecond is cut off

    Raises
    ------
    ContractError
        Not such a value (a bare number never is), a local time that does not exist, or outside the years 1990 to 2100.
    """
    zone = load_zone(time_zone) if isinstance(time_zone, str) else time_zone
    if isinstance(value, datetime):
        local = datetime(
            value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond, value.tzinfo
        )
    elif isinstance(value, date):
        local = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - read in the zone below
    elif isinstance(value, str):
        local = _read_local(value.strip(TRIMMED))
    else:
        raise ContractError("not a time")
    if not FIRST_INSTANT.year - 1 <= local.year <= LAST_INSTANT.year + 1:
        raise ContractError("a time outside the years 1990 to 2100")
    instant = _in_utc(local, zone)
    if not FIRST_INSTANT <= instant <= LAST_INSTANT:
        raise ContractError("a time outside the years 1990 to 2100")
    return instant


def normalize_instant(text: str) -> str:
    """Write a time of a less usual notation in the usual one; "" where it is none.

    Parameters
    ----------
    text : year, month and day with dots, slashes, dashes or 年月日, digits as they come; or with the month's English
        name; a clock of 24 or 12 hours

    Examples
    --------
    >>> [normalize_instant(text) for text in ("2025年1月5日 下午 8:05", "2025.11.11", "Nov 11, 2025, 8:00:05 PM")]
    ['2025-01-05 20:05:00', '2025-11-11', '2025-11-11 20:00:05']
    """
    named = _NAMED_MONTH.match(text)
    if named:
        month, day = (named["month"] or named["after"]).lower(), named["day"] or named["first"]
        if month not in _MONTHS:
            return ""
        time = (named["time"] or "").lstrip(",")
        text = f"20{named['year'][-2:]}-{_MONTHS.index(month) + 1:02}-{int(day):02}{time}"
    match = _LOOSE_INSTANT.match(text)
    if match is None:
        return ""
    year, _, *days, before, hour, minute, second, fraction, after, offset = match.groups()
    date = "-".join([year, *(f"{int(number):02}" for number in days if number)])
    if hour is None:
        return date
    half = (before or after or "").lower()
    hours = int(hour)
    if half in _EVENINGS and hours < 12:
        hours += 12
    elif half in _MORNINGS and hours == 12:
        hours = 0
    return f"{date} {hours:02}:{int(minute):02}:{int(second or 0):02}{fraction or ''}{offset or ''}"


@lru_cache(maxsize=64)
def load_zone(name: str) -> ZoneInfo:
    """Find a time zone by its IANA name.

    Raises
    ------
    ContractError
        There is no zone of that name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ContractError(
            f"there is no time zone '{name}'",
            hint='use a name of the IANA table, such as "Asia/Shanghai" or "UTC"',
        ) from None


def _whole_number(value: object) -> int | None:
    """Convert an exact whole number to an int, None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        number = float(value)
        return int(number) if abs(number) < MAX_EXACT_FLOAT and number.is_integer() else None
    if isinstance(value, Decimal) and value.is_finite() and abs(value) < MAX_DECIMAL:
        return int(value) if value == value.to_integral_value() else None
    return None


def _money_minor(value: object, exponent: int) -> int | None:
    factor = 10**exponent
    if isinstance(value, str):
        found = _MONEY[exponent].match(value.strip(TRIMMED))
        return None if found is None else _money_from_text(found, exponent)
    if isinstance(value, float):
        minor = round(value * factor) if abs(value) <= MAX_FLOAT_MONEY else None
        return minor if minor is not None and abs(minor / factor - value) <= abs(value) * MAX_FLOAT_ERROR else None
    if isinstance(value, Decimal):
        exact = Fraction(value) * factor if value.is_finite() and abs(value) <= MAX_MONEY else Fraction(1, 2)
        return exact.numerator if exact.denominator == 1 else None
    whole = _whole_number(value)
    return None if whole is None or abs(whole) > MAX_MONEY else whole * factor


def _money_from_text(found: re.Match[str], exponent: int) -> int:
    sign, whole, fraction = ("".join(filter(None, found.group(*names))) for names in MONEY_GROUPS)
    minor = int(re.sub(r"[^0-9]", "", whole) + fraction[:exponent].ljust(exponent, "0"))
    return -minor if sign == "-" else minor


def _read_local(text: str) -> datetime:
    """Read the notation; the result has an offset only where the text has one."""
    match = _INSTANT.match(text) or _INSTANT.match(normalize_instant(text))
    if match is None:
        raise ContractError("not a time")
    year, month, day, slash_month, slash_day, hour, minute, second, fraction, *offset = match.groups()
    try:
        return datetime(
            int(year),
            int(month or slash_month),
            int(day or slash_day),
            int(hour or 0),
            int(minute or 0),
            int(second or 0),
            int((fraction or "")[:6].ljust(6, "0")),
            _read_offset(*offset),
        )
    except ValueError:
        raise ContractError("not a time") from None


def _read_offset(is_utc: str | None, sign: str | None, hours: str, minutes: str) -> timezone | None:
    if is_utc or not sign:
        return UTC if is_utc else None
    offset = int(hours) * 60 + int(minutes)
    if offset >= END_OF_OFFSETS or int(minutes) > 59:
        raise ValueError
    return timezone(timedelta(minutes=-offset if sign == "-" else offset))


def _in_utc(local: datetime, zone: ZoneInfo) -> datetime:
    if local.tzinfo is not None:
        return local.astimezone(UTC)
    instant = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) != local:
        raise ContractError("a local time that does not exist")
    return instant
