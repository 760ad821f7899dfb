"""The minor units of currencies, by ISO 4217."""

from __future__ import annotations

from typing import Final

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
