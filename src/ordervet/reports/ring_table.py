"""Rings as a table: how early each kind's were caught, what went before, what a deny list would have caught anyway."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from ordervet.contract import MaliceKind
from ordervet.currencies import REFERENCE
from ordervet.reports.terminal import WordTable
from ordervet.words import find_words, format_text
from ordervet.words.numbers import format_money

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ordervet.words import Lang

    Row = Mapping[str, Any]

_COLUMNS = ("n_rings", "first", "second", "third", "ever", "orders_before", "minor_before", "denied_share")
_SHORT = ("n_rings", "first", "second", "third", "ever", "orders_before", "denied_share")


def build_rings(
    rows: Sequence[Row],
    lang: Lang,
    *,
    before: Sequence[Row] = (),
    names: tuple[str, Sequence[str]] | None = None,
    currency: str = REFERENCE,
) -> dict[str, Any]:
    """Build a table of new rings, one row for each kind, all kinds first.

    Parameters
    ----------
    rows : of `ordervet.learn.rings.RingRow.as_dict`
    lang : language of the words
    before : the same rings by another model, whose figures stand before an arrow; empty for none
    names : title and cells of the first column; None names the kinds
    currency : of the money

    Returns
    -------
    ``titles`` and ``rows`` of texts, and ``numbers``, the columns of figures, from 1
    """
    words = find_words("rings", lang)
    title, firsts = names or (words["kind"], [name_kind(row["kind"], lang) for row in rows])
    pairs = zip_longest(firsts, rows, before)
    written = [[first, *_write(row, other, lang, currency, is_wide=other is None)] for first, row, other in pairs]
    titles = [title, *(words[name] for name in _COLUMNS)]
    return {"titles": titles, "rows": written, "numbers": tuple(range(2, len(titles) + 1)), "bad": ()}


def build_short_rings(
    rows: Sequence[Row], lang: Lang, *, before: Sequence[Row] = (), names: tuple[str, Sequence[str]] | None = None
) -> WordTable:
    """Build the same table for the terminal: without intervals and money, in eighty columns."""
    words = find_words("rings.short", lang)
    kinds: dict[str, str] = {"": words["all_kinds"], **find_words("kinds", lang)}
    title, firsts = names or (words["kind"], [kinds.get(row["kind"], str(row["kind"])) for row in rows])
    written = []
    for first, row, other in zip_longest(firsts, rows, before):
        cells = dict(zip(_COLUMNS, _write(row, other, lang, is_wide=False, arrow="→"), strict=True))
        written.append([first, *(cells[name] for name in _SHORT)])
    titles = [title, *(words[name] for name in _SHORT)]
    return WordTable(titles, written, numbers=range(1, len(titles)), unwrapped=(0,))


def _write(
    row: Row, before: Row | None, lang: Lang, currency: str = REFERENCE, *, is_wide: bool, arrow: str = " → "
) -> list[str]:
    """Write one row's figures, those of `before` first where they differ."""
    cells: dict[str, Callable[[Row], str]] = {
        "n_rings": lambda each: f"{each['n_rings']:,}",
        "first": lambda each: _write_share(each["first"], is_wide=is_wide),
        "second": lambda each: _percent(each["second"]["share"]),
        "third": lambda each: _percent(each["third"]["share"]),
        "ever": lambda each: _write_share(each["ever"], is_wide=is_wide),
        "orders_before": lambda each: f"{each['orders_before']:,}",
        "minor_before": lambda each: format_money(each["minor_before"], lang, currency),
        "denied_share": lambda each: _percent(each["denied_share"]),
    }
    pairs = [[cells[name](each) for each in (before or row, row)] for name in _COLUMNS]
    return [one if one == other else f"{one}{arrow}{other}" for one, other in pairs]


def name_kind(kind: str, lang: Lang) -> str:
    """Name a kind of malice, or all of them; one that is none of the contract's goes by its own name."""
    if not kind:
        everything: str = find_words("rings", lang)["all_kinds"]
        return everything
    return f"{format_text(f'kinds.{kind}', lang)} {kind}" if kind in set(MaliceKind) else kind


def _write_share(share: Mapping[str, Any], *, is_wide: bool) -> str:
    is_wide &= share["share"] is not None
    interval = f" [{_percent(share['low'])}, {_percent(share['high'])}]" if is_wide else ""
    return _percent(share["share"]) + interval


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"
