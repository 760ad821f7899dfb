"""What people read in a terminal: flagged orders as lines, and tables whose words stay whole on eighty columns."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from rich.cells import cell_len, set_cell_size
from rich.table import Table
from rich.text import Text

from ordervet.policy import ACTIONS, Action, explain_applied, load_scripts
from ordervet.words import find_words, format_text, join_words
from ordervet.words.error_texts import translate_error
from ordervet.words.numbers import format_time
from ordervet.words.wrapping import list_units, wrap_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa
    from rich.console import Console, ConsoleOptions

    from ordervet.policy import Decision, Script
    from ordervet.words import Lang

_WIDTH, _INDENT, _ACTION_WIDTH, _GAP = 80, 6, 9, 2
_CHINESE: Final = re.compile(r"[\u2e80-\u9fff\uff00-\uffef]+")
_READABLE: Final = (8, 6, 4)
"""Columns that a run of Chinese keeps at least, where there is room for it."""
_DESCRIBED_RULES: Final = (
    "ambiguous_order", "columns", "known_order", "order_first", "order_id_conflict", "out_of_time", "unique",
    "whole_order",
)  # fmt: skip
"""Rules whose failures say in words what was observed."""
_STYLES: Final = {Action.PASS: "green", Action.REVIEW: "yellow", Action.CONFIRM: "magenta", Action.HOLD: "bold red"}


def build_flag_lines(
    decision: Decision,
    placed_at: datetime,
    rank: int,
    *,
    lang: Lang,
    time_zone: str,
    scripts: Mapping[str, Script] | None = None,
) -> Text:
    """Build the lines of one flagged order: what to do, the score, each reason, and the script to use.

    Parameters
    ----------
    decision : a scored decision
    placed_at : aware
    rank : 1 is the first to look at
    lang : language of the fixed words
    time_zone : IANA name of the zone to show times in
    scripts : from load_scripts; None takes the shipped ones
    """
    head = Text.assemble(
        (f"{rank:>4}  ", "dim"),
        (set_cell_size(find_words("actions", lang)[decision.action], _ACTION_WIDTH), _STYLES[decision.action]),
        (f" {decision.order_id}", "bold"),
        f"  {format_time(placed_at, time_zone, timespec='seconds')}",
    )
    score = Text.assemble(
        " " * _INDENT,
        f"p={decision.p_malicious:.3f}  risk={decision.risk_score}",
        (f"  {decision.name_kind(lang)}" if decision.kind else "", "cyan"),
    )
    lines = [head, score]
    for reason in decision.reasons:
        lines += _fold(f"{reason.code}  {reason.text}  (+{reason.contribution:.2f})")
    for code in decision.applied:
        lines += _fold(explain_applied(code, lang))
    if decision.route:
        lines += _fold(format_text("notes.route", lang, who=decision.route))
    if decision.script:
        known = load_scripts() if scripts is None else scripts
        words, colon = find_words("flags", lang), format_text("listing.colon", lang)
        lines += _fold(f"{words['script']}{colon}{decision.script}  {known[decision.script].title[lang]}", "green")
    return Text("\n").join(lines)


def _fold(line: str, style: str = "") -> Iterator[Text]:
    """Break a line at the screen's edge."""
    for part in wrap_text(line, _WIDTH - _INDENT):
        yield Text(" " * _INDENT) + Text(part, style)


def count_actions(actions: Mapping[int, int], lang: Lang) -> str:
    """Sum up how many orders got which action, the strictest first."""
    words = find_words("actions", lang)
    strictest_first = sorted((at for at in actions if actions[at]), reverse=True)
    return join_words((f"{words[ACTIONS[at]]} {actions[at]:,}" for at in strictest_first), lang)


def build_score_summary(n_orders: int, actions: Mapping[int, int], elapsed_s: float, lang: Lang) -> str:
    """Sum up a batch in one line.

    Parameters
    ----------
    n_orders : orders scored
    actions : position in ACTIONS to count, of flagged orders
    elapsed_s : seconds it took
    lang : language of the words
    """
    n_flagged = sum(actions.values())
    share = n_flagged / max(n_orders, 1)
    line = format_text("flags.scored", lang, n=n_orders, s=elapsed_s, f=n_flagged, share=share)
    counts = count_actions(actions, lang)
    return line + (format_text("listing.colon", lang) + counts if counts else "")


def name_model(model_id: str, about: str | None, *, is_simulated: bool, lang: Lang) -> list[str]:
    """Find which model decided, what it learned from, and what its numbers are worth.

    Parameters
    ----------
    model_id, about, is_simulated : of the model
    lang : language of the words
    """
    line = format_text("flags.model", lang, id=model_id)
    if about:
        line += format_text("flags.learned", lang, about=translate_error(about, lang))
    return [line, *([format_text("notes.simulated", lang)] if is_simulated else [])]


class WordTable:
    """A table that wraps between words, never inside one, and never inside a number.

    NOT: rich's own Table. It narrows its widest columns whatever is in them, and breaks the words of the others.

    Parameters
    ----------
    titles : of the columns
    rows : one text per column
    numbers : positions of the columns that are set to the right and not wrapped
    unwrapped : positions of further columns that are not wrapped, such as times
    styles : position of a row to its style
    """

    def __init__(
        self,
        titles: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        numbers: Collection[int] = (),
        unwrapped: Collection[int] = (),
        styles: Mapping[int, str] | None = None,
    ) -> None:
        self._titles, self._rows, self._numbers, self._styles = titles, rows, numbers, styles or {}
        self._unwrapped = {*numbers, *unwrapped}
        self._cells = [[row[at] for row in rows] for at in range(len(titles))]
        self._widest = [max(map(cell_len, [title, *own])) for title, own in zip(titles, self._cells, strict=True)]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        """Build the table for the room there is: columns that have none stand below, beside the first one again."""
        for columns in self._split_columns(options.max_width):
            yield self._build_table(columns, options.max_width - _GAP * (len(columns) - 1))

    def _split_columns(self, width: int) -> list[list[int]]:
        """Split the columns into tables that fit."""
        least = [self._find_least(at, _READABLE[-1]) for at in range(len(self._titles))]
        tables = [[0]]
        for at in range(1, len(least)):
            if len(tables[-1]) > 1 and sum(least[each] + _GAP for each in tables[-1]) + least[at] > width:
                tables.append([0])
            tables[-1].append(at)
        return tables

    def _build_table(self, columns: Sequence[int], n_columns: int) -> Table:
        table = Table(box=None, pad_edge=False)
        widths = self._find_widths(columns, n_columns)
        for at, width in zip(columns, widths, strict=True):
            title = "\n".join(wrap_text(self._titles[at], width))
            table.add_column(title, justify="right" if at in self._numbers else "left", overflow="fold", width=width)
        for at, row in enumerate(self._rows):
            cells = ["\n".join(wrap_text(row[each], width)) for each, width in zip(columns, widths, strict=True)]
            table.add_row(*map(Text, cells), style=self._styles.get(at, ""))
        return table

    def _find_widths(self, columns: Sequence[int], n_columns: int) -> list[int]:
        """Find widths that fit, with as few breaks of Chinese as there is room for."""
        widths = [self._widest[at] for at in columns]
        for readable in _READABLE:
            least = [self._find_least(at, readable) for at in columns]
            widths = _narrow([self._widest[at] for at in columns], least, n_columns)
            if sum(widths) <= n_columns:
                break
        return widths

    def _find_least(self, at: int, readable: int) -> int:
        """Find how narrow a column may become."""
        cells = [cell_len(cell) if at in self._unwrapped else _measure_word(cell, readable) for cell in self._cells[at]]
        return max([_measure_word(self._titles[at], readable), *cells])


def _narrow(widths: list[int], least: Sequence[int], n_columns: int) -> list[int]:
    """Narrow whichever column has most to spare, until all fit or none can be narrowed."""
    spare = [width - each for width, each in zip(widths, least, strict=True)]
    while sum(widths) > n_columns and max(spare, default=0) > 0:
        at = spare.index(max(spare))
        widths[at], spare[at] = widths[at] - 1, spare[at] - 1
    return widths


def _measure_word(text: str, readable: int) -> int:
    """Return the width of what stays together, and of a run of Chinese as much as is readable."""
    runs = map(cell_len, _CHINESE.findall(text))
    return max([*map(cell_len, list_units(text)), *(min(run, readable) for run in runs)], default=0)


def count_failures(failures: pa.Table) -> list[dict[str, Any]]:
    """Count failures per file, field and rule, the most frequent first, with the first row of each."""
    groups: dict[tuple[str, str, str], dict[str, Any]] = {}
    for failure in failures.to_pylist():
        name = (failure["file"], failure["field"], failure["rule"])
        first = {key: failure[key] for key in ("row", "order_id", "observed")}
        group = groups.setdefault(name, dict(zip(("file", "field", "rule"), name, strict=True)) | {"n": 0} | first)
        group["n"] += 1
    return sorted(groups.values(), key=lambda group: (-group["n"], group["file"], group["field"], group["rule"]))


def build_failure_table(failures: pa.Table, lang: Lang) -> WordTable:
    """Build a table of the counts."""
    fields = ("n", "file", "field", "rule", "row", "order_id", "observed")
    titles = find_words("failures", lang)
    rows = []
    for group in count_failures(failures):
        # NOTE: of other rules it is what the file holds, which stays as it is.
        if group["rule"] in _DESCRIBED_RULES:
            group["observed"] = translate_error(group["observed"], lang)
        rows.append(["" if group[name] is None else str(group[name]) for name in fields])
    return WordTable([titles[name] for name in fields], rows, numbers=(0, 4))


def build_lookalike_table(report: dict[str, Any], lang: Lang) -> WordTable:
    """Build a table of the scenarios, those that failed in red.

    `twin` is the share of malicious twins caught, `paid` that of refund requests that are paid at once.

    Parameters
    ----------
    report : a `LookalikeReport` as plain values
    lang : language of the words
    """
    names, cells = find_words("look_alikes", lang), find_words("lookalikes.cells", lang)
    titles = [*find_words("lookalikes.columns", lang).values(), ""]
    rows = [
        (
            names[row["scenario"]],
            f"{row['n_orders']:,}",
            f"{row['alert_rate']:.2%}",
            _write(row["ratio"]["value"]),
            cells["interval"].format(low=_write(row["ratio"]["low"]), high=_write(row["ratio"]["high"])),
            f"{row['max_ratio']:.2f}",
            f"{row['twin_recall']:.0%}",
            "–" if row["paid"] is None else f"{row['paid']:.0%}",
            cells["failed" if not row["passed"] else "decided" if row["is_decided"] else "undecided"],
        )
        for row in report["rows"]
    ]
    failed = {at: "red" for at, row in enumerate(report["rows"]) if not row["passed"]}
    return WordTable(titles, rows, numbers=range(1, len(titles)), styles=failed)


def sum_up_lookalikes(report: dict[str, Any], lang: Lang) -> str:
    """Sum up in a few sentences how the suite went."""
    words = find_words("lookalikes", lang)
    n_failed, n_open = sum(not row["passed"] for row in report["rows"]), len(report["undecided"])
    said = [words["plain_paid" if report["n_plain_claims"] else "plain"].format(**report)]
    said.append(words["some_failed" if n_failed else "all_passed"].format(n=n_failed, all=len(report["rows"])))
    if n_open:
        said.append(words["undecided"].format(n=n_open))
    return format_text("listing.sentence", lang).join(said)


def _write(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.2f}"
