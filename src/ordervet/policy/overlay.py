"""What lists, hard rules and test orders say about a batch, beside the scores."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ordervet.policy.codes import ACTIONS, Action
from ordervet.words import format_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    import numpy.typing as npt

    from ordervet.entities.order_ids import KeyedOrder
    from ordervet.policy.policy import Policy
    from ordervet.policy.rules import Read
    from ordervet.words import Lang

_PASS, _REVIEW = ACTIONS.index(Action.PASS), ACTIONS.index(Action.REVIEW)
#: What the keyed ids of the orders themselves are called among those of entities.
ORDER = "order"


@dataclass(frozen=True, slots=True)
class Overlay:
    """What holds for the orders of a batch whatever their scores.

    Parameters
    ----------
    least : shape (n_orders,), index into ACTIONS: the least severe action
    is_allowed : shape (n_orders,): the score raises no alarm; rules, the deny list and kinds a person judges still do
    routes : row → who looks at the order
    applied : row → codes of what was found, such as ``deny_phone``, ``allow_buyer``, ``rule_NAME``
    is_drawn : shape (n_orders,): drawn for the audit, should it pass; None where the policy has none
    """

    least: npt.NDArray[np.int8]
    is_allowed: npt.NDArray[np.bool_]
    routes: dict[int, str]
    applied: dict[int, tuple[str, ...]]
    is_drawn: npt.NDArray[np.bool_] | None = None


class OneOverlay(NamedTuple):
    """What holds for one order whatever its score; see `Overlay`."""

    least: int
    is_allowed: bool
    route: str | None
    applied: tuple[str, ...]
    is_drawn: bool = False


def build_overlay(
    policy: Policy,
    at_us: npt.NDArray[np.int64],
    *,
    ids: Mapping[str, npt.NDArray[np.uint64]] | None = None,
    columns: Mapping[str, npt.NDArray[Any]] | None = None,
    beyond: Mapping[int, tuple[str, ...]] | None = None,
) -> Overlay:
    """Look a batch up in the lists, work out the rules, and add what is beyond quotas.

    The deny list comes before the allow list. Of the routes of several rules and quotas the first one's counts.

    Parameters
    ----------
    policy : with lists, rules and quotas
    at_us : shape (n_orders,), UTC microseconds: entries and rules count before they expire
    ids : entity → shape (n_orders,), keyed ids, 0 where not known; those of the orders as `ORDER`, for an audit
    columns : order fields and features that rules read, as for `Expression.holds`
    beyond : row → codes of the quotas that the order is beyond

    Returns
    -------
    Overlay, shape (n_orders,)
    """
    n_orders = len(at_us)
    least = np.full(n_orders, ACTIONS.index(Action.PASS), np.int8)
    is_allowed = np.zeros(n_orders, bool)
    routes: dict[int, str] = {}
    applied: dict[int, tuple[str, ...]] = {}

    def note(code: str, is_hit: npt.NDArray[np.bool_]) -> list[int]:
        rows: list[int] = np.flatnonzero(is_hit).tolist()
        applied.update({row: (*applied.get(row, ()), code) for row in rows})
        return rows

    is_denied = np.zeros(n_orders, bool)
    for (name, entity), is_hit in sorted(policy.key_lists.find(ids or {}, at_us).items(), key=lambda e: e[0]):
        note(f"{name}_{entity}", is_hit)
        if name == "deny":
            is_denied |= is_hit
            least[is_hit] = np.maximum(least[is_hit], ACTIONS.index(policy.lists.deny))
        elif name == "watch":
            least[is_hit] = np.maximum(least[is_hit], ACTIONS.index(Action.REVIEW))
        else:
            is_allowed |= is_hit
    for rule in policy.rules:
        is_hit = rule.expression.holds(columns or {}, n_orders)
        if rule.expires is not None:
            is_hit &= at_us < _read_expiry_us(rule.expires)
        rows = note(f"rule_{rule.name}", is_hit)
        if rule.action is not None:
            least[rows] = np.maximum(least[rows], ACTIONS.index(rule.action))
        for row in rows if rule.route else ():
            routes.setdefault(row, rule.route or "")
    by_code = {quota.code: quota for quota in policy.quotas}
    for row, codes in (beyond or {}).items():
        for quota in (by_code[code] for code in codes):
            applied[row] = (*applied.get(row, ()), quota.code)
            least[row] = max(least[row], ACTIONS.index(quota.action))
            if quota.route:
                routes.setdefault(row, quota.route)
    is_drawn = None if policy.audit is None else (ids or {})[ORDER] < np.uint64(policy.audit.below)
    return Overlay(least, is_allowed & ~is_denied, routes, applied, is_drawn)


class LiveOverlay:
    """Looks single orders up in a policy's lists, works out its rules, and adds what is beyond quotas.

    Parameters
    ----------
    policy : with lists, rules and quotas

    References
    ----------
    Truth: `build_overlay`.
    """

    def __init__(self, policy: Policy) -> None:
        # SPEED: what a policy works out is asked for once, not by every order (bench_policies.py).
        self._lists = policy.key_lists if policy.lists.entries else None
        self._least = {"deny": ACTIONS.index(policy.lists.deny), "watch": _REVIEW, "allow": _PASS}
        self._rules = [
            (
                f"rule_{rule.name}",
                rule.expression,
                None if rule.expires is None else _read_expiry_us(rule.expires),
                _PASS if rule.action is None else ACTIONS.index(rule.action),
                rule.route,
            )
            for rule in policy.rules
        ]
        self._quotas = {quota.code: (ACTIONS.index(quota.action), quota.route) for quota in policy.quotas}
        self._below = 0 if policy.audit is None else policy.audit.below

    def find(
        self, at_us: int, order_id: int, keyed: KeyedOrder, read: Read, beyond: tuple[str, ...] = ()
    ) -> OneOverlay | None:
        """Find what holds for one order; None where nothing does.

        Parameters
        ----------
        at_us : UTC microseconds
        order_id : keyed id that it is known by, unsigned
        keyed : the ids of its entities
        read : name → its value, as for `Expression.holds_for`
        beyond : codes of the quotas that the order is beyond
        """
        least, is_allowed, is_denied = _PASS, False, False
        route: str | None = None
        applied: list[str] = []
        for name, entity in self._lists.find_one(keyed.read_id, at_us) if self._lists is not None else ():
            applied.append(f"{name}_{entity}")
            is_denied |= name == "deny"
            is_allowed |= name == "allow"
            least = max(least, self._least[name])
        for code, expression, expires_us, action, way in self._rules:
            if not expression.holds_for(read) or (expires_us is not None and at_us >= expires_us):
                continue
            applied.append(code)
            least = max(least, action)
            route = route or way
        for code in beyond:
            action, way = self._quotas[code]
            applied.append(code)
            least = max(least, action)
            route = route or way
        is_drawn = self._below > 0 and order_id < self._below
        if not applied and not is_drawn:
            return None
        return OneOverlay(least, is_allowed and not is_denied, route, tuple(applied), is_drawn)


@lru_cache(maxsize=256)
def _read_expiry_us(expires: date) -> int:
    """Return when a rule expires, UTC microseconds."""
    return int(datetime.combine(expires, time(), UTC).timestamp()) * 1_000_000


def explain_applied(code: str, lang: Lang = "zh") -> str:
    """Explain in a few words what a list or rule found, what the desk knew, or what its capacity did.

    Parameters
    ----------
    code : such as ``deny_phone`` or ``capacity_full``
    lang : "zh" or "en"

    Returns
    -------
    one clause, for the desk only
    """
    # NOT: at the top. The registry is read only when somebody asks.
    from ordervet.policy.reason_registry import load_registry

    what, _, name = code.partition("_")
    if what in {"desk", "capacity", "audit", "trust"}:
        return format_text(f"applied.{code}", lang)
    if what == "quota":
        most, _, name = name.partition("_")
        return format_text("applied.quota", lang, n=most, name=name)
    shown = name if what in {"rule", "invalid"} else load_registry().name_entity(name, lang)
    return format_text(f"applied.{what}", lang, name=shown)
