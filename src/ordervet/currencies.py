"""The currencies of ISO 4217: their minor units, and what they are roughly worth.

Amounts of several currencies are never compared as they stand: features measure them all in one, at fixed rates. Fixed,
because features must be the same whenever they are computed; rough, because a factor of 20 between yen and yuan
confuses a model and a tenth does not. A mapping can give other rates (``[rates]``).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

EXPONENTS: Final = {
    **dict.fromkeys(
        (
            *("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG"),
            *("RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"),
        ),
        0,
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
"""The digits of the minor unit, of the currencies that do not have two."""

DOTTED: Final = frozenset({"CLP", "COP", "IDR", "PYG", "VND"})
"""Currencies whose amounts group thousands with dots and are whole in practice: 150.000 is no amount of 150."""

UNKNOWN: Final = "XXX"
"""What ISO 4217 writes where no currency is known."""

CODES: Final = (
    *("AED", "ARS", "AUD", "BHD", "BRL", "CAD", "CHF", "CLP", "CNY", "COP", "CZK", "DKK", "EGP", "EUR", "GBP", "HKD"),
    *("HUF", "IDR", "ILS", "INR", "ISK", "JOD", "JPY", "KRW", "KWD", "MOP", "MXN", "MYR", "NOK", "NZD", "OMR", "PEN"),
    *("PHP", "PKR", "PLN", "PYG", "QAR", "RMB", "RON", "RUB", "SAR", "SEK", "SGD", "THB", "TND", "TRY", "TWD", "UAH"),
    *("USD", "VND", "ZAR"),
)
"""Currencies that amounts name beside the number."""

SIGNS: Final = r"(?:US|CA|AU|NZ|HK|NT|MX|R|S|A|C)? ?\$|[￥¥€£₱฿₫₩₹₺₽₪₴]|Rp\.?|RM|zł|Kč|Ft|kr\.?"
"""A pattern of the signs that stand beside amounts."""


def find_exponent(currency: str) -> int:
    """Return how many digits the minor unit of a currency has."""
    return EXPONENTS.get(currency.upper(), 2)


REFERENCE: Final = "CNY"
"""The currency in which features measure amounts."""

# fmt: off
PER_DOLLAR: Final = {
    "AED": 3.67, "AFN": 68.09, "ALL": 82.43, "AMD": 383.3, "ANG": 1.79, "AOA": 924.9, "ARS": 1462, "AUD": 1.5,
    "AWG": 1.79, "AZN": 1.7, "BAM": 1.66, "BBD": 2, "BDT": 121.7, "BGN": 1.66, "BHD": 0.376, "BIF": 2986, "BMD": 1,
    "BND": 1.28, "BOB": 6.91, "BRL": 5.33, "BSD": 1, "BTN": 88.2, "BWP": 13.71, "BYN": 3.26, "BZD": 2, "CAD": 1.38,
    "CDF": 2867, "CHF": 0.795, "CLP": 953.2, "CNY": 7.12, "COP": 3893, "CRC": 503.1, "CUP": 24, "CVE": 93.76,
    "CZK": 20.68, "DJF": 177.7, "DKK": 6.34, "DOP": 63.26, "DZD": 129.6, "EGP": 48.18, "ERN": 15, "ETB": 142.5,
    "EUR": 0.85, "FJD": 2.23, "FKP": 0.735, "GBP": 0.735, "GEL": 2.7, "GHS": 12.6, "GIP": 0.735, "GMD": 73.31,
    "GNF": 8688, "GTQ": 7.66, "GYD": 209.2, "HKD": 7.78, "HNL": 26.17, "HRK": 6.41, "HTG": 130.9, "HUF": 331.2,
    "IDR": 16410, "ILS": 3.35, "INR": 88.2, "IQD": 1308, "IRR": 42420, "ISK": 121.9, "JMD": 160.4, "JOD": 0.709,
    "JPY": 147.4, "KES": 129.1, "KGS": 87.45, "KHR": 4010, "KMF": 418.3, "KPW": 900, "KRW": 1386, "KWD": 0.305,
    "KYD": 0.833, "KZT": 540.6, "LAK": 21690, "LBP": 89500, "LKR": 301.6, "LRD": 177.7, "LSL": 17.36, "LYD": 5.41,
    "MAD": 9, "MDL": 16.58, "MGA": 4460, "MKD": 52.48, "MMK": 2098, "MNT": 3559, "MOP": 8.01, "MRU": 40, "MUR": 45.51,
    "MVR": 15.41, "MWK": 1742, "MXN": 18.37, "MYR": 4.2, "MZN": 63.68, "NAD": 17.36, "NGN": 1499, "NIO": 36.76,
    "NOK": 9.83, "NPR": 141.1, "NZD": 1.68, "OMR": 0.384, "PAB": 1, "PEN": 3.49, "PGK": 4.2, "PHP": 57.15,
    "PKR": 283.3, "PLN": 3.61, "PYG": 7117, "QAR": 3.64, "RON": 4.3, "RSD": 99.62, "RUB": 82.84, "RWF": 1454,
    "SAR": 3.75, "SBD": 8.27, "SCR": 15.05, "SDG": 453.9, "SEK": 9.28, "SGD": 1.28, "SHP": 0.735, "SLE": 23.33,
    "SOS": 571.8, "SRD": 39.25, "SSP": 4720, "STN": 20.83, "SVC": 8.75, "SYP": 13070, "SZL": 17.36, "THB": 31.8,
    "TJS": 9.45, "TMT": 3.5, "TND": 2.9, "TOP": 2.38, "TRY": 41.32, "TTD": 6.76, "TWD": 30.18, "TZS": 2456,
    "UAH": 41.23, "UGX": 3503, "USD": 1, "UYU": 40.03, "UZS": 12310, "VES": 160.4, "VND": 26240, "VUV": 117.6,
    "WST": 2.73, "XAF": 557.8, "XCD": 2.7, "XCG": 1.79, "XOF": 557.8, "XPF": 101.5, "YER": 239.3, "ZAR": 17.36,
    "ZMW": 23.8, "ZWG": 26.73, UNKNOWN: 7.12,
}
# fmt: on
"""How many units one US dollar bought in September 2025, as published by exchangerate-api.com, to four digits; KPW and
SVC are official rates. Amounts of no known currency count as they stand. The codes here are those that an order may
have."""


def find_rate(currency: str, given: Mapping[str, float] = MappingProxyType({})) -> float:
    """Return what a minor unit of a currency is worth, in minor units of `REFERENCE`.

    Parameters
    ----------
    currency : its code
    given : what a unit of some currencies is worth in `REFERENCE`, where not what `PER_DOLLAR` says

    Raises
    ------
    KeyError
        The code is none of `PER_DOLLAR`.
    """
    units = given.get(currency) or PER_DOLLAR[REFERENCE] / PER_DOLLAR[currency]
    return units * 10.0 ** (find_exponent(REFERENCE) - find_exponent(currency))
