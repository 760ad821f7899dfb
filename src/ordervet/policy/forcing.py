"""Orders that always get the decision their id names, for whoever builds on the scorer; see docs/testing.md."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ordervet.contract import MaliceKind
from ordervet.policy.codes import BANDS, Band, DecisionCode

PREFIX: Final = "ORDERVET-TEST-"
"""What the id of a test order begins with."""

_WORDS: Final = {
    **{f"BAND-{band.upper()}": (band, None, DecisionCode.SCORED) for band in Band},
    **{f"KIND-{kind.upper()}": (Band.SEVERE, kind, DecisionCode.SCORED) for kind in MaliceKind},
    **{f"CODE-{code}": (None, None, code) for code in DecisionCode if code is not DecisionCode.SCORED},
}
_ID: Final = re.compile(re.escape(PREFIX) + r"([A-Z]+-[A-Z_]+)(?:-.*)?")
_PROBABILITIES: Final = (0.01, 0.10, 0.45, 0.95)
_RISK_SCORES: Final = (100, 400, 650, 950)


@dataclass(frozen=True, slots=True)
class TestOrder:
    """What a test order is to get.

    Parameters
    ----------
    band : None where the order is to be left unscored
    kind : the kind to name, if any
    code : how the decision is to come about
    """

    __test__ = False  # pytest takes classes named Test… for its own

    band: Band | None
    kind: MaliceKind | None
    code: DecisionCode

    @property
    def p_malicious(self) -> float:
        """A probability to show; only with a band."""
        return _PROBABILITIES[BANDS.index(self.band or Band.LOW)]

    @property
    def risk_score(self) -> int:
        """A risk score to show; only with a band."""
        return _RISK_SCORES[BANDS.index(self.band or Band.LOW)]


def find_test_order(order_id: str) -> TestOrder | None:
    """Read what a test order's id asks for. Whether it gets it is up to the policy (`allow_test_orders`).

    Parameters
    ----------
    order_id : such as ``ORDERVET-TEST-BAND-SEVERE``, ``ORDERVET-TEST-KIND-COUPON_FARMING-7`` or
        ``ORDERVET-TEST-CODE-UNSCORED_LATE``; whatever follows a further ``-`` is left alone

    Returns
    -------
    what is asked for; None for every other id
    """
    found = _ID.fullmatch(order_id)
    return TestOrder(*_WORDS[found[1]]) if found and found[1] in _WORDS else None


def list_test_orders() -> dict[str, TestOrder]:
    """List every test order there is.

    Returns
    -------
    id → what it gets: one per band, kind and fail-open code
    """
    return {PREFIX + word: TestOrder(*parts) for word, parts in _WORDS.items()}
