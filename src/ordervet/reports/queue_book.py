"""The queue as a workbook: one sheet per stage, to be worked through and given back with verdicts filled in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ordervet.contract import MaliceKind, VerdictValue
from ordervet.currencies import find_exponent
from ordervet.policy import STAGES, Band, Stage
from ordervet.policy.desk import AUDIT
from ordervet.policy.scripts import show_script, write_messages
from ordervet.reports.links import name_key
from ordervet.reports.sheets import Column, write_book
from ordervet.words import find_words, format_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ordervet.policy import Decision
    from ordervet.reports.queue import Queue, QueueItem
    from ordervet.reports.sheets import Book, Sheet
    from ordervet.words import Lang

_LOOKS: Final[dict[str, tuple[int, str]]] = {
    "rank": (6, "text"), "action": (10, "text"), "band": (10, "text"), "order_id": (22, "text"),
    "verdict": (11, "entry"), "kind": (22, "entry"), "decided_at": (17, "entry_time"), "agent": (10, "entry"),
    "by": (8, "entry"), "note": (16, "entry"), "placed_at": (23, "instant"), "amount": (14, "text"),
    "suspected": (24, "text"), "reasons": (64, "wrapped"),
    "linked": (32, "wrapped"), "script": (24, "text"), "gentle": (48, "wrapped"), "firm": (48, "wrapped"),
    "missing": (28, "wrapped"), "risk_score": (8, "count"), "p_malicious": (9, "share"), "channel": (14, "text"),
    "platform": (10, "text"),
}  # fmt: skip
"""Width and look by column; among them those of the verdict sheet (contract/formats/tables/verdict_sheet.toml)."""

_AT: Final = {name: at for at, name in enumerate(_LOOKS)}
_FIXED: Final = _AT["order_id"] + 1


def list_choices(lang: Lang) -> dict[str, list[str]]:
    """List what the drop-downs of the columns ``verdict`` and ``kind`` offer; ingest reads both back."""
    kinds = find_words("kinds", lang)
    return {
        "verdict": [find_words("verdicts", lang)[value] for value in VerdictValue],
        "kind": [kinds[kind] if lang == "zh" else str(kind) for kind in MaliceKind],
    }


def write_queue_book(queue: Queue, path: Path, *, lang: Lang, passed: Sequence[Decision] = ()) -> None:
    """Write the queue as a workbook that `ordervet ingest` reads back once verdicts are filled in.

    Parameters
    ----------
    queue : what to write
    path : ending in .xlsx
    lang : language of the workbook
    passed : decisions that are listed on a sheet of their own, for the record

    Raises
    ------
    FileError
        The file cannot be written; what stood there stays.
    """
    write_book(path, lambda book: _Writer(queue, book, lang).fill(passed))


class _Writer:
    def __init__(self, queue: Queue, book: Book, lang: Lang) -> None:
        self._queue, self._book, self._lang = queue, book, lang
        self._words = find_words("workbook", lang)
        self._columns = {
            name: Column(self._words["columns"][name], width, look) for name, (width, look) in _LOOKS.items()
        }
        self._scripts = {item.script.id: item.script for item in queue.items}
        self._script_rows: dict[str, int] = {}

    def fill(self, passed: Sequence[Decision]) -> None:
        """Write all sheets."""
        lines = list(self._list_script_lines())
        for stage in sorted({item.stage for item in self._queue.items} or {Stage.PLACED}, key=STAGES.index):
            items = [(at, item) for at, item in enumerate(self._queue.items, start=1) if item.stage is stage]
            self._add_stage(find_words("stages", self._lang)[stage].capitalize(), items)
        self._add_scripts(lines)
        if passed:
            self._add_passed(passed)
        self._add_notes()

    def _add_stage(self, title: str, items: Sequence[tuple[int, QueueItem]]) -> None:
        sheet = self._book.add_sheet(title, list(self._columns.values()), n_fixed=_FIXED)
        for rank, item in items:
            self._add_item(sheet, rank, item)
        self._add_choices(sheet)
        sheet.finish()

    def _add_item(self, sheet: Sheet, rank: int, item: QueueItem) -> None:
        lang, decision, order = self._lang, item.decision, item.order
        gentle, firm = write_messages(item.script, order, lang=lang, time_zone=self._queue.time_zone)
        band = decision.band or Band.LOW
        reasons = [f"{reason.code} {text}" for reason, text in zip(decision.reasons, item.reasons[lang], strict=True)]
        reasons += item.applied[lang]
        if decision.route:
            reasons.append(format_text("notes.route", lang, who=decision.route))
        links = [self._describe_group(at) for at in item.groups]
        currency = order.get("currency") or "CNY"
        major = order["amount_minor"] / 10 ** find_exponent(currency)
        values: list[object] = [
            rank, find_words("actions", lang)[decision.action], find_words("bands", lang)[band], decision.order_id,
            None, None, None, None, self._words["audit"] if AUDIT in decision.applied else None, None,
            order["placed_at"], major, decision.name_kind(lang) or None,
            "\n".join(reasons), "\n".join(links), None,
            gentle, firm,
            "\n".join(item.missing[lang]), decision.risk_score, decision.p_malicious,
            order.get("channel"), order.get("platform"),
        ]  # fmt: skip
        amount_look = f"money:{currency}"
        looks = {_AT["band"]: str(band), _AT["action"]: str(band), _AT["amount"]: amount_look}
        looks[_AT["placed_at"]] = f"local_time:{order['placed_at'].isoformat()[-6:]}"
        row = sheet.add_row(values, looks=looks, n_lines=max(2, len(reasons), len(links)))
        target = f"internal:'{self._words['scripts']}'!A{self._script_rows[item.script.id] + 1}"
        sheet.raw.write_url(row, _AT["script"], target, self._book.look("link"), item.script.title[lang])

    def _describe_group(self, at: int) -> str:
        group = self._queue.links.groups[at]
        shared = name_key(*group.names[0], self._lang)
        return format_text("workbook.linked", self._lang, shared=shared, n=group.n_orders, b=group.n_buyers)

    def _add_choices(self, sheet: Sheet) -> None:
        last = max(sheet.n_rows, 1)
        for name, choices in list_choices(self._lang).items():
            pick = {"validate": "list", "source": choices, "error_message": self._words["pick"], "ignore_blank": True}
            sheet.raw.data_validation(1, _AT[name], last, _AT[name], pick)
        when = {
            "validate": "date", "criteria": ">", "value": "=DATE(2000,1,1)", "ignore_blank": True,
            "error_message": self._words["when"], "input_message": self._words["when"],
        }  # fmt: skip
        sheet.raw.data_validation(1, _AT["decided_at"], last, _AT["decided_at"], when)

    def _list_script_lines(self) -> Iterable[tuple[str, str, str]]:
        """List the parts of the scripts that are used, and note in which row each script begins."""
        row, titles = 1, find_words("script_parts", self._lang)
        for script_id, script in sorted(self._scripts.items()):
            self._script_rows[script_id] = row
            for part, texts in show_script(script, self._lang).items():
                for text in texts:
                    yield f"{script.title[self._lang]} · {script_id}", titles[part], text
                    row += 1

    def _add_scripts(self, lines: Sequence[tuple[str, str, str]]) -> None:
        words = self._words
        columns = (
            Column(words["scripts"], 40, "bold"),
            Column(words["part"], 16),
            Column(words["text"], 110, "wrapped"),
        )
        sheet = self._book.add_sheet(words["scripts"], columns)
        for line in lines:
            sheet.add_row(line, n_lines=1 + sum(2 if sign > "ÿ" else 1 for sign in line[2]) // 110)
        sheet.finish()

    def _add_passed(self, passed: Sequence[Decision]) -> None:
        columns = [self._columns[name] for name in ("order_id", "band", "risk_score", "p_malicious", "missing")]
        sheet = self._book.add_sheet(self._words["passed"], columns)
        for decision in passed:
            band = decision.band and find_words("bands", self._lang)[decision.band]
            values = (decision.order_id, band, decision.risk_score, decision.p_malicious, " ".join(decision.missing))
            sheet.add_row(values)
        sheet.finish()

    def _add_notes(self) -> None:
        queue, lang = self._queue, self._lang
        sheet = self._book.add_sheet(self._words["notes"], (Column(self._words["notes"], 110, "wrapped"),))
        notes = find_words("notes", lang)
        facts: dict[str, Any] = {"n_scored": f"{queue.n_scored:,}", "n": f"{len(queue.items):,}"}
        facts |= {"model": queue.model_id, "policy": queue.policy_id}
        for line in (*self._words["lines"], notes["desk_only"], *([notes["simulated"]] if queue.is_simulated else [])):
            sheet.add_row([line.format(**facts)], n_lines=2)
