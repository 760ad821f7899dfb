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


def find_exponent(currency: str) -> int:
    """Return how many digits the minor unit of a currency has."""
    return EXPONENTS.get(currency.upper(), 2)
