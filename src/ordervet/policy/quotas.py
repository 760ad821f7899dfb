"""Quotas: at most so many of an item, a campaign or a coupon for one household, whoever of it orders.

A household is a buyer and everybody linked to that buyer (docs/definitions.md Q3). What an order is given follows from
the events before it alone, so that a replay of the history gives every order the same.

    households   buyer → the one that speaks for all who are linked, and key → the buyers that use it
    places       household → (quota, value) → what orders have taken and when they gave it back
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, model_validator

from ordervet.contract.values import TRIMMED, floor_minute
from ordervet.features.events import SHARED_PLACES
from ordervet.features.spec import GROUP_KEYS, MAX_LINKED
from ordervet.policy.codes import QUOTA, Action
from ordervet.policy.rules import Name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CANCELLED: Final = ("cancelled_unpaid", "cancelled_paid")
"""Outcomes that give an order's places back: nothing was shipped."""

_ZONE: Final = ZoneInfo("Asia/Shanghai")
_DAY_US: Final = 86_400_000_000
_OF_LINES: Final = ("item_id", "category")
_ADDRESS: Final = GROUP_KEYS.index("address")
_SHARED_PLACES: Final = frozenset(map(int, SHARED_PLACES))
FOREVER: Final = 1 << 62
"""Later than any event."""


def _read_start(value: object) -> object:
    return _read_time(value, timedelta())


def _read_end(value: object) -> object:
    return _read_time(value, timedelta(days=1))


def _read_time(value: object, after: timedelta) -> object:
    """Read a time, which without a zone is in Shanghai; of a date its beginning there, and so much after that."""
    if isinstance(value, str):
        value = (date if len(value) == len("2026-01-01") else datetime).fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time(), _ZONE) + after
    return value.replace(tzinfo=_ZONE) if isinstance(value, datetime) and value.tzinfo is None else value


class Quota(BaseModel):
    """A limit per household.

    Parameters
    ----------
    name : shown beside the decisions it touched
    of : the field whose value is limited: ``item_id``, ``category``, ``shop_id``, ``channel``, ``platform`` or
        ``campaign`` of an order, or a category that a mapping adds, such as ``category__coupon``
    ids : these values together; without any, each value by itself
    most : pieces or orders that one household gets
    counts : "pieces" or "orders"; by default pieces of items and categories, and orders of the rest
    days : counted over so many days back; None counts all
    since, until : orders seen from the first on and before the second count; a date is that whole day in Shanghai
    action : the least severe action of an order beyond it; "review", "confirm" or "hold"
    route : who looks at such an order
    owner : who answers for the quota: a team or a role
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Name
    of: Annotated[
        str, Field(pattern=r"^(item_id|category|shop_id|channel|platform|campaign|category__[a-z0-9_]{1,32})$")
    ]
    ids: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=128)], ...], Field(strict=False, max_length=10_000)
    ] = ()
    most: Annotated[int, Field(ge=1, le=1_000_000)]
    counts: Literal["pieces", "orders"] | None = None
    days: Annotated[int, Field(ge=1, le=3650)] | None = None
    since: Annotated[datetime, BeforeValidator(_read_start), Strict(strict=False)] | None = None
    until: Annotated[datetime, BeforeValidator(_read_end), Strict(strict=False)] | None = None
    action: Annotated[Action, Strict(strict=False)] = Action.REVIEW
    route: Name | None = None
    owner: Annotated[str, Field(min_length=1, max_length=80)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.action is Action.PASS:
            raise ValueError("a quota can only make a decision stricter: action must be review, confirm or hold")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError(
                f"it ends before it begins: since {self.since:%Y-%m-%d %H:%M}, until {self.until:%Y-%m-%d %H:%M}"
            )
        return self

    @property
    def code(self) -> str:
        """The code of an order beyond it, in a decision's ``applied``."""
        return f"{QUOTA}_{self.most}_{self.name}"

    @property
    def counts_pieces(self) -> bool:
        """Whether it counts pieces."""
        return (self.counts or ("pieces" if self.of in _OF_LINES else "orders")) == "pieces"


class Ask(NamedTuple):
    """What an order asks of one quota: its number, the value that is counted, and how many."""

    quota: int
    value: str
    n: int


class Asker:
    """Finds what orders ask of quotas.

    Parameters
    ----------
    quotas : of a policy
    """

    def __init__(self, quotas: Sequence[Quota]) -> None:
        self.columns = tuple(dict.fromkeys(quota.of for quota in quotas))
        # SPEED: times as numbers, texts in sets (benchmarks/bench_policies.py).
        self._quotas = [
            (
                at,
                self.columns.index(quota.of),
                quota.of in _OF_LINES,
                frozenset(quota.ids),
                -FOREVER if quota.since is None else _to_micros(quota.since),
                FOREVER if quota.until is None else _to_micros(quota.until),
                quota.counts_pieces,
            )
            for at, quota in enumerate(quotas)
        ]

    def find(self, values: Sequence[str | None], seen_at: int, quantity: int | None, n_lines: int | None) -> list[Ask]:
        """Find what one order asks for.

        Parameters
        ----------
        values : the order's, one for each of `columns`
        seen_at : UTC microseconds
        quantity, n_lines : of the order; an order of several lines has one piece of its item or category, as far as is
            known
        """
        asks = []
        for at, column, is_of_lines, ids, since_us, until_us, counts_pieces in self._quotas:
            value = values[column]
            if value is None or not since_us <= seen_at < until_us:
                continue
            value = value.strip(TRIMMED)
            if not value or (ids and value not in ids):
                continue
            is_sum = is_of_lines and n_lines is not None and n_lines > 1
            n = quantity if counts_pieces and quantity is not None and not is_sum else 1
            asks.append(Ask(at, "" if ids else value, n))
        return asks


class QuotaOrder(NamedTuple):
    """An order as quotas see it.

    Parameters
    ----------
    order_id : keyed id that it is known by, unsigned
    seen_at, placed_at : UTC microseconds
    buyer : who places it, see `find_buyer`; 0 where nothing tells
    keys : ids of its `GROUP_KEYS`; 0 where there is none, or one that links nobody
    asks : of each quota that it is subject to
    """

    order_id: int
    seen_at: int
    placed_at: int
    buyer: int
    keys: tuple[int, ...]
    asks: Sequence[Ask]


def find_buyer(buyer: int, keys: Sequence[int]) -> int:
    """Return who places an order: the buyer, or else, of a guest, the first key there is; 0 where there is none.

    Parameters
    ----------
    buyer : keyed id, 0 where not known
    keys : as of `QuotaOrder`
    """
    if buyer:
        return buyer
    return next((-(key * len(keys) + at) for at, key in enumerate(keys) if key), 0)


def drop_shared(keys: tuple[int, ...], place_type: int | None) -> tuple[int, ...]:
    """Drop the address of a place of many people from keys: it links nobody (docs/definitions.md G1)."""
    return (*keys[:_ADDRESS], 0, *keys[_ADDRESS + 1 :]) if place_type in _SHARED_PLACES else keys


class _Place:
    """What one order took of one quota, and when it gave it back, UTC microseconds."""

    __slots__ = ("gone_at", "n", "seen_at")

    def __init__(self, n: int, seen_at: int) -> None:
        self.n, self.seen_at, self.gone_at = n, seen_at, FOREVER


_Places = dict[tuple[int, str], list[_Place]]


class Households:
    """Buyers that are linked by the keys they use, and what each household has taken; links only come.

    References
    ----------
    docs/definitions.md G1 to G3, Q3. Truth: tests/reference/quotas_reference.py.
    """

    def __init__(self) -> None:
        # SPEED: most keys have one buyer, and most buyers stand alone: those need neither a list nor a parent.
        self._users: list[dict[int, int | list[int]]] = [{} for _ in GROUP_KEYS]
        self._parents: dict[int, int] = {}
        self._sizes: dict[int, int] = {}
        self._places: dict[int, _Places] = {}

    def join(self, buyer: int, keys: tuple[int, ...]) -> list[int]:
        """Let the buyer of an order use its keys, and be linked to who else does.

        Parameters
        ----------
        buyer, keys : as of `QuotaOrder`; a buyer who is known

        Returns
        -------
        who speaks for the buyer's household, and then for those of each key that links nobody any more by this order
        """
        others = []
        for users, key in zip(self._users, keys, strict=True):
            if not key:
                continue
            found = users.setdefault(key, buyer)
            if found == buyer:
                continue
            if isinstance(found, int):
                users[key] = [found, buyer]
                self._unite(found, buyer)
            elif len(found) <= MAX_LINKED:
                if buyer not in found:
                    found.append(buyer)
                    if len(found) > MAX_LINKED:
                        others.append(found[0])
                        continue
                self._unite(found[0], buyer)
        root = self._find_root(buyer)
        return [root, *({self._find_root(other) for other in others} - {root})] if others else [root]

    def list_places(self, roots: Sequence[int]) -> list[_Places]:
        """List what the households of `join` have taken, the first of which takes more now."""
        return [self._places.setdefault(roots[0], {}), *(self._places.get(root, {}) for root in roots[1:])]

    def _find_root(self, buyer: int) -> int:
        """Find who speaks for a buyer's household, and shorten the way there."""
        parents = self._parents
        parent = parents.get(buyer, buyer)
        while parent != buyer:
            up = parents.get(parent, parent)
            parents[buyer] = up
            buyer, parent = parent, up
        return buyer

    def _unite(self, one: int, other: int) -> None:
        """Make one household of two: the smaller goes under the larger one."""
        one, other = self._find_root(one), self._find_root(other)
        if one == other:
            return
        sizes = self._sizes
        n_one, n_other = sizes.pop(one, 1), sizes.pop(other, 1)
        if n_one < n_other:
            one, other = other, one
        self._parents[other], sizes[one] = one, n_one + n_other
        if (moved := self._places.pop(other, None)) is not None:
            into = self._places.setdefault(one, {})
            for what, places in moved.items():
                into.setdefault(what, []).extend(places)


class QuotaLedger:
    """Gives places of quotas to orders, one after the other, and takes them back.

    Parameters
    ----------
    quotas : of a policy

    Attributes
    ----------
    beyond : keyed order id → codes of the quotas that the order is beyond; of every such order so far

    References
    ----------
    docs/definitions.md Q1 to Q6. Truth: tests/reference/quotas_reference.py.
    """

    def __init__(self, quotas: Sequence[Quota]) -> None:
        self.beyond: dict[int, tuple[str, ...]] = {}
        self._limits = [(quota.most, FOREVER if quota.days is None else quota.days * _DAY_US) for quota in quotas]
        self._codes = [quota.code for quota in quotas]
        self._households = Households()
        self._taken: dict[int, list[_Place]] = {}
        self._cancelled: dict[int, list[tuple[int, int]]] = {}
        self._ahead: list[QuotaOrder] = []

    def extend(self, orders: Iterable[QuotaOrder], until_us: int = FOREVER) -> None:
        """Take many orders, by the time they were seen, those of one time by their ids; later ones wait.

        Parameters
        ----------
        orders : seen after all before them
        until_us : UTC microseconds
        """
        ranked = sorted(orders, key=_read_rank)
        for one in ranked:
            if one.seen_at > until_us:
                self._ahead.append(one)
            else:
                self._take(one)
        self._ahead.sort(key=_read_rank, reverse=True)

    def take(self, one: QuotaOrder) -> tuple[str, ...]:
        """Take one order, seen after all before it, and return the codes of the quotas that it is beyond."""
        while self._ahead and self._ahead[-1].seen_at <= one.seen_at:
            self._take(self._ahead.pop())
        return self._take(one)

    def link(self, buyer: int, keys: tuple[int, ...]) -> None:
        """Let a buyer use the keys that have become known of an order since."""
        if buyer:
            self._households.join(buyer, keys)

    def cancel(self, order_id: int, seen_at: int) -> None:
        """Give the places of an order back from a time on, UTC microseconds."""
        for place in self._taken.get(order_id, ()):
            place.gone_at = min(place.gone_at, max(seen_at, place.seen_at))

    def await_order(self, order_id: int, seen_at: int, happened_at: int) -> None:
        """Note the cancellation of an order that is not known yet: it gives its places back once it is.

        Parameters
        ----------
        order_id : keyed id that the order will be known by, unsigned
        seen_at, happened_at : of the cancellation, UTC microseconds
        """
        self._cancelled.setdefault(order_id, []).append((seen_at, happened_at))

    def _take(self, one: QuotaOrder) -> tuple[str, ...]:
        cancelled = self._cancelled.pop(one.order_id, ()) if self._cancelled else ()
        roots = self._households.join(one.buyer, one.keys) if one.buyer else None
        if not one.asks:
            return ()
        known: list[_Places] = [{}] if roots is None else self._households.list_places(roots)
        beyond = tuple([self._codes[ask.quota] for ask in one.asks if self._is_beyond(ask, one.seen_at, known)])
        if beyond:
            self.beyond[one.order_id] = beyond
            return beyond
        self._taken[one.order_id] = taken = []
        for ask in one.asks:
            place = _Place(ask.n, one.seen_at)
            taken.append(place)
            known[0].setdefault((ask.quota, ask.value), []).append(place)
        for seen_at, happened_at in cancelled:
            # NOTE: what happened before its order was placed is not about it (T6).
            if seen_at >= one.seen_at or happened_at >= floor_minute(one.placed_at):
                self.cancel(one.order_id, seen_at)
        return ()

    def _is_beyond(self, ask: Ask, seen_at: int, known: Sequence[_Places]) -> bool:
        most, window_us = self._limits[ask.quota]
        from_us = seen_at - window_us
        left = most - ask.n
        for places in known:
            for place in places.get((ask.quota, ask.value), ()):
                if place.seen_at >= from_us and place.gone_at >= seen_at:
                    left -= place.n
        return left < 0


def _read_rank(one: QuotaOrder) -> tuple[int, int]:
    return one.seen_at, one.order_id


def _to_micros(at: datetime) -> int:
    return (at.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
