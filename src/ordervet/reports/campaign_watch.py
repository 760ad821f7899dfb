"""During a campaign: what came, what waits, how it goes against the plan, and where it differs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ordervet.contract.verdicts import MALICIOUS
from ordervet.reports.board import Board, Section
from ordervet.reports.campaign_parts import N_RINGS, compare_channels, make_fields
from ordervet.reports.links import find_links, name_key
from ordervet.reports.period import HOUR_US
from ordervet.reports.plots import draw_bars
from ordervet.words import join_words

if TYPE_CHECKING:
    from ordervet.reports.campaign_parts import Setting
    from ordervet.reports.period import Period
    from ordervet.words import Lang

_N_ITEMS: Final = 10
_LEAST_FLAGS: Final = 2


def build_watch(period: Period, start_us: int, now_us: int, plan: dict[str, Any] | None, setting: Setting) -> Board:
    """Build the board during a campaign: how it goes so far.

    Parameters
    ----------
    period : scored orders, those from the start on are shown
    start_us, now_us : from when to when, UTC microseconds
    plan : the facts of a plan, or None
    setting : under what the board is made
    """
    words = setting.words["watch"]
    so_far = period.between(start_us, now_us + 1)
    n_hours = max(1, -(-(now_us - start_us) // HOUR_US))
    pace = _measure_pace(so_far, start_us, now_us, plan)
    summary = [
        words["summary"].format(
            start=setting.write(start_us), now=setting.write(now_us), orders=f"{len(so_far):,}",
            flags=f"{int(so_far.is_flagged.sum()):,}", holds=f"{int(so_far.is_held.sum()):,}",
            amount=f"{so_far.amount_minor[so_far.is_held].sum() / 100:,.0f}", unit=setting.unit,
        )
    ]  # fmt: skip
    if pace:
        summary.append(words["pace"].format(**_write_pace(pace)))
    sections = (
        _build_desk(so_far, now_us, setting),
        _build_hours(so_far, start_us, n_hours, plan, setting),
        build_rings(so_far, setting),
        _build_items(so_far, setting),
        build_channels(so_far, setting),
    )
    facts = {
        "board": "watch", "start_us": start_us, "now_us": now_us, "orders": len(so_far),
        "flags": int(so_far.is_flagged.sum()), "holds": int(so_far.is_held.sum()),
        "backlog": int(_is_open(so_far).sum()), "pace": pace, "model_id": setting.model_id,
    }  # fmt: skip
    return Board(words["title"], tuple(summary), setting.list_warnings(), sections, facts, setting.lang)


def _is_open(period: Period) -> Any:
    return period.is_flagged & (period.decided_us == 0)


def _measure_pace(period: Period, start_us: int, now_us: int, plan: dict[str, Any] | None) -> dict[str, float] | None:
    """Compare what came with what was planned by now; hours that have begun count by the part that has passed."""
    if plan is None:
        return None
    shift = start_us - plan["start_us"]
    passed = [
        min(max((now_us - plan["start_us"] - shift - at * HOUR_US) / HOUR_US, 0.0), 1.0)
        for at in range(plan["n_hours"])
    ]
    planned = {
        name: sum(hour[name] * part for hour, part in zip(plan["hours"], passed, strict=True))
        for name in ("orders", "flags")
    }
    came = {"orders": len(period), "flags": int(period.is_flagged.sum())}
    ratio = {name: came[name] / planned[name] if planned[name] else 0.0 for name in planned}
    whole = sum(hour["flags"] for hour in plan["hours"])
    return {
        "planned_orders": planned["orders"], "planned_flags": planned["flags"], "orders_ratio": ratio["orders"],
        "flags_ratio": ratio["flags"], "flags_expected_in_all": whole * (ratio["flags"] or 1.0),
        "capacity": float(plan["capacity"]),
    }  # fmt: skip


def _write_pace(pace: dict[str, float]) -> dict[str, str]:
    return {name: f"{value:.2f}" if name.endswith("ratio") else f"{value:,.0f}" for name, value in pace.items()}


def _build_desk(period: Period, now_us: int, setting: Setting) -> Section:
    words = setting.words["watch"]
    is_open = _is_open(period)
    n_open, n_judged = int(is_open.sum()), int((period.is_flagged & (period.decided_us > 0)).sum())
    recent = int(((period.decided_us > now_us - HOUR_US) & period.is_flagged).sum())
    lines = [
        words["judged"].format(flags=f"{n_open + n_judged:,}", judged=f"{n_judged:,}", open=f"{n_open:,}"),
        words["recent"].format(n=f"{recent:,}"),
    ]
    if n_open:
        minutes = (now_us - int(period.placed_us[is_open].min())) / 60e6
        lines.append(words["oldest"].format(minutes=f"{minutes:,.0f}"))
        lines.append(words["clear_at"].format(hours=f"{n_open / recent:.1f}") if recent else words["clear_never"])
        lines.append(words["work"].format(hours=f"{n_open * setting.minutes / 60:.1f}", minutes=f"{setting.minutes:g}"))
    return Section("desk", words["desk"], lines=tuple(lines))


def _build_hours(period: Period, start_us: int, n_hours: int, plan: dict[str, Any] | None, setting: Setting) -> Section:
    words = setting.words
    orders = period.count_hours(start_us, n_hours)
    flags = period.count_hours(start_us, n_hours, period.is_flagged)
    holds = period.count_hours(start_us, n_hours, period.is_held)
    planned = [_planned(plan, at, "orders") for at in range(n_hours)]
    rows = tuple(
        (setting.local(start_us + at * HOUR_US), int(orders[at]), planned[at], int(flags[at]),
         _planned(plan, at, "flags"), int(holds[at]))
        for at in range(n_hours)
    )  # fmt: skip
    fields = make_fields(
        setting, "hour:instant", "orders:count", "planned_orders:decimal", "flags:count", "planned_flags:decimal",
        "holds:count",
    )  # fmt: skip
    line = (words["columns"]["planned_orders"], [value or 0.0 for value in planned]) if plan else None
    labels = setting.name_hours(start_us, n_hours)
    title = words["watch"]["hours"]
    plot = draw_bars(labels, [(words["columns"]["orders"], orders.tolist())], plan=line, alt=title)
    return Section("hours", title, fields=fields, rows=rows, plot=plot)


def _planned(plan: dict[str, Any] | None, at: int, name: str) -> float | None:
    return float(plan["hours"][at][name]) if plan is not None and at < plan["n_hours"] else None


def build_rings(period: Period, setting: Setting) -> Section:
    """List the rings with the most flagged orders."""
    words = setting.words
    rows = tuple(
        (ring.describe(setting.lang), ring.n_flagged, ring.n_orders, ring.n_buyers, ring.amount_minor,
         ring.n_confirmed, setting.local(ring.newest_us))
        for ring in find_rings(period, n_most=N_RINGS)
    )  # fmt: skip
    fields = make_fields(
        setting, "shared:wrapped", "flags:count", "orders:count", "buyers:count", "amount:money", "confirmed:count",
        "newest:instant",
    )  # fmt: skip
    return Section("rings", words["watch"]["rings"], words["watch"]["rings_note"], fields, rows)


def _build_items(period: Period, setting: Setting) -> Section:
    words = setting.words
    known = [each or "" for each in period.orders["item_id"].to_pylist()]
    names, which = np.unique(np.array(known, dtype=str), return_inverse=True)
    orders = np.bincount(which, minlength=len(names))
    flags = np.bincount(which, weights=period.is_flagged, minlength=len(names))
    overall = float(period.is_flagged.mean()) if len(period) else 0.0
    shown = [at for at in np.argsort(-flags, kind="stable").tolist() if names[at] and flags[at] >= _LEAST_FLAGS]
    rows = tuple(
        (str(names[at]), int(orders[at]), int(flags[at]), float(flags[at] / orders[at]),
         float(flags[at] / orders[at] / overall))
        for at in shown[:_N_ITEMS]
    )  # fmt: skip
    fields = make_fields(setting, "item", "orders:count", "flags:count", "flag_share:share", "times:decimal")
    return Section("items", words["watch"]["items"], words["watch"]["items_note"], fields, rows)


def build_channels(period: Period, setting: Setting) -> Section:
    """Compare channels by the share of flagged orders, and mark those that differ beyond chance."""
    words = setting.words
    compared = compare_channels(period)
    rows = tuple(
        (name or words["no_channel"], orders, flags, share, low, high, words["watch"][sign] if sign else "")
        for name, orders, flags, share, low, high, sign in compared
    )
    fields = make_fields(
        setting, "channel", "orders:count", "flags:count", "flag_share:share", "low:share", "high:share", "differs"
    )
    marked = frozenset(at for at, each in enumerate(compared) if each[-1] == "high")
    return Section("channels", words["watch"]["channels"], words["watch"]["channels_note"], fields, rows, marked=marked)


_LEAST: Final = 2  # buyers, and flagged orders


@dataclass(frozen=True, slots=True)
class Ring:
    """Orders of several buyers that share something.

    Parameters
    ----------
    names : what they share, as (entity, pseudonym)
    n_orders, n_flagged, n_buyers : orders, those flagged among them, and different buyers
    amount_minor : sum of the flagged orders
    n_confirmed : orders that were judged malicious
    newest_us : when the newest was placed, UTC microseconds
    """

    names: tuple[tuple[str, str], ...]
    n_orders: int
    n_flagged: int
    n_buyers: int
    amount_minor: int
    n_confirmed: int
    newest_us: int

    def describe(self, lang: Lang) -> str:
        """Name what is shared."""
        return join_words((name_key(entity, code, lang) for entity, code in self.names), lang)


def find_rings(period: Period, *, n_most: int) -> list[Ring]:
    """Find the rings with the most flagged orders; one whose flagged orders are all in a larger one is left out."""
    flagged = np.flatnonzero(period.is_flagged)
    links = find_links(period.orders, flagged, n_newest=len(period))
    is_confirmed, is_flagged = period.was_judged(MALICIOUS), period.is_flagged
    found = []
    for group in links.groups:
        rows = np.array(group.rows)
        hits = rows[is_flagged[rows]]
        if group.n_buyers >= _LEAST and len(hits) >= _LEAST:
            ring = Ring(
                names=group.names,
                n_orders=group.n_orders,
                n_flagged=len(hits),
                n_buyers=group.n_buyers,
                amount_minor=int(period.amount_minor[hits].sum()),
                n_confirmed=int(is_confirmed[rows].sum()),
                newest_us=int(period.placed_us[rows].max()),
            )
            found.append((ring, frozenset(hits.tolist())))
    found.sort(key=lambda each: (-each[0].n_flagged, -each[0].amount_minor, each[0].names))
    rings: list[Ring] = []
    covered: list[frozenset[int]] = []
    for ring, hits_of in found:
        if len(rings) < n_most and not any(hits_of <= larger for larger in covered):
            rings.append(ring)
            covered.append(hits_of)
    return rings
