"""The queue as a workbook: one sheet per stage, to be worked through and given back with verdicts filled in."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic

from ordervet.contract import MaliceKind, VerdictValue
from ordervet.currencies import find_exponent
from ordervet.policy import STAGES, Band, Stage
from ordervet.policy.claims import MOST_URGENT, ClaimAnswer
from ordervet.policy.desk import AUDIT
from ordervet.policy.scripts import show_script, write_messages
from ordervet.reports.links import name_key
from ordervet.reports.queue import ANSWER_LOOKS, Item, QueueItem, RequestItem
from ordervet.reports.sheets import Column, write_book
from ordervet.words import find_words, format_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ordervet.policy import Decision
    from ordervet.reports.queue import Queue
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

_REQUEST_LOOKS: Final[dict[str, tuple[int, str]]] = {
    "rank": (6, "text"), "answer": (14, "text"), "order_id": (22, "text"),
    **{name: _LOOKS[name] for name in ("verdict", "kind", "decided_at", "agent", "by", "note")},
    "request": (18, "text"), "asked_at": (23, "instant"), "asks_for": (20, "text"), "stated": (18, "text"),
    "evidence": (12, "text"), "asked_amount": (14, "text"), "placed_at": (23, "instant"), "amount": (14, "text"),
    **{name: _LOOKS[name] for name in ("reasons", "linked", "script", "gentle", "firm", "p_malicious", "channel")},
    "platform": (10, "text"),
}  # fmt: skip
"""The same of refund requests."""


def list_choices(lang: Lang) -> dict[str, list[str]]:
    """List what the drop-downs of the columns ``verdict`` and ``kind`` offer; ingest reads both back."""
    kinds = find_words("kinds", lang)
    return {
        "verdict": [find_words("verdicts", lang)[value] for value in VerdictValue],
        "kind": [kinds[kind] if lang == "zh" else str(kind) for kind in MaliceKind],
    }


def write_queue_book(queue: Queue[QueueItem], path: Path, *, lang: Lang, passed: Sequence[Decision] = ()) -> None:
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
    write_book(path, lambda book: _OrderWriter(queue, book, lang).fill(passed))


def write_request_book(queue: Queue[RequestItem], path: Path, *, lang: Lang) -> None:
    """Write the queue of refund requests as a workbook, a sheet per answer; see `write_queue_book`."""
    write_book(path, lambda book: _RequestWriter(queue, book, lang).fill())


class _Writer(Generic[Item]):
    """Writes a queue: sheets of its items, the scripts, notes."""

    looks: ClassVar[dict[str, tuple[int, str]]]
    section: ClassVar[str]

    def __init__(self, queue: Queue[Item], book: Book, lang: Lang) -> None:
        self._queue: Queue[Item] = queue
        self._book, self._lang = book, lang
        self._words = find_words("workbook", lang)
        titles = self._words["columns"] | find_words(self.section, lang)["columns"]
        self._columns = {name: Column(titles[name], width, look) for name, (width, look) in self.looks.items()}
        self._at = {name: at for at, name in enumerate(self.looks)}
        self._scripts = {item.script.id: item.script for item in queue.items}
        self._script_rows: dict[str, int] = {}

    def _add_sheet(self, title: str, items: Sequence[tuple[int, Item]]) -> None:
        sheet = self._book.add_sheet(title, list(self._columns.values()), n_fixed=self._at["order_id"] + 1)
        for rank, item in items:
            self._add_item(sheet, rank, item)
        self._add_choices(sheet)
        sheet.finish()

    @abstractmethod
    def _add_item(self, sheet: Sheet, rank: int, item: Item) -> None:
        """Add the row of one item."""

    def _link_script(self, sheet: Sheet, row: int, item: Item) -> None:
        target = f"internal:'{self._words['scripts']}'!A{self._script_rows[item.script.id] + 1}"
        sheet.raw.write_url(row, self._at["script"], target, self._book.look("link"), item.script.title[self._lang])

    def _describe_group(self, at: int) -> str:
        group = self._queue.links.groups[at]
        entity, code = group.names[0]
        shared = name_key(entity, code, self._lang)
        return format_text("workbook.linked", self._lang, shared=shared, n=group.n_orders, b=group.n_buyers)

    def _add_choices(self, sheet: Sheet) -> None:
        last = max(sheet.n_rows, 1)
        for name, choices in list_choices(self._lang).items():
            pick = {"validate": "list", "source": choices, "error_message": self._words["pick"], "ignore_blank": True}
            sheet.raw.data_validation(1, self._at[name], last, self._at[name], pick)
        when = {
            "validate": "date", "criteria": ">", "value": "=DATE(2000,1,1)", "ignore_blank": True,
            "error_message": self._words["when"], "input_message": self._words["when"],
        }  # fmt: skip
        sheet.raw.data_validation(1, self._at["decided_at"], last, self._at["decided_at"], when)

    def _list_script_lines(self) -> list[tuple[str, str, str]]:
        """List the parts of the scripts that are used, and note in which row each script begins."""
        lines: list[tuple[str, str, str]] = []
        titles = find_words("script_parts", self._lang)
        for script_id, script in sorted(self._scripts.items()):
            self._script_rows[script_id] = len(lines) + 1
            for part, texts in show_script(script, self._lang).items():
                lines += [(f"{script.title[self._lang]} · {script_id}", titles[part], text) for text in texts]
        return lines

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

    def _add_notes(self) -> None:
        notes: Mapping[str, Any] = find_words("notes", self._lang)
        sheet = self._book.add_sheet(self._words["notes"], (Column(self._words["notes"], 110, "wrapped"),))
        facts = {"n_scored": f"{self._queue.n_scored:,}", "n": f"{len(self._queue.items):,}"}
        facts |= {"model": self._queue.model_id, "policy": self._queue.policy_id}
        lines: list[str] = [*find_words(self.section, self._lang)["lines"], notes["desk_only"]]
        for line in (*lines, *([notes["simulated"]] if self._queue.is_simulated else [])):
            sheet.add_row([line.format(**facts)], n_lines=2)


class _OrderWriter(_Writer[QueueItem]):
    looks, section = _LOOKS, "workbook"

    def fill(self, passed: Sequence[Decision]) -> None:
        """Write all sheets."""
        lines = self._list_script_lines()
        for stage in sorted({item.stage for item in self._queue.items} or {Stage.PLACED}, key=STAGES.index):
            items = [(at, item) for at, item in enumerate(self._queue.items, start=1) if item.stage is stage]
            self._add_sheet(find_words("stages", self._lang)[stage].capitalize(), items)
        self._add_scripts(lines)
        if passed:
            self._add_passed(passed)
        self._add_notes()

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
        major = _to_major(order["amount_minor"], currency)
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
        looks = {self._at["band"]: str(band), self._at["action"]: str(band), self._at["amount"]: amount_look}
        looks[self._at["placed_at"]] = f"local_time:{order['placed_at'].isoformat()[-6:]}"
        row = sheet.add_row(values, looks=looks, n_lines=max(2, len(reasons), len(links)))
        self._link_script(sheet, row, item)

    def _add_passed(self, passed: Sequence[Decision]) -> None:
        columns = [self._columns[name] for name in ("order_id", "band", "risk_score", "p_malicious", "missing")]
        sheet = self._book.add_sheet(self._words["passed"], columns)
        for decision in passed:
            band = decision.band and find_words("bands", self._lang)[decision.band]
            values = (decision.order_id, band, decision.risk_score, decision.p_malicious, " ".join(decision.missing))
            sheet.add_row(values)
        sheet.finish()


class _RequestWriter(_Writer[RequestItem]):
    looks, section = _REQUEST_LOOKS, "request_book"

    def fill(self) -> None:
        """Write all sheets."""
        lines = self._list_script_lines()
        names, items = find_words("answers", self._lang), list(enumerate(self._queue.items, start=1))
        for answer in MOST_URGENT:
            of_answer = [(rank, item) for rank, item in items if item.decision.answer is answer]
            if of_answer or (not items and answer is ClaimAnswer.PERSON):
                self._add_sheet(names[answer].capitalize(), of_answer)
        self._add_scripts(lines)
        self._add_notes()

    def _add_item(self, sheet: Sheet, rank: int, item: RequestItem) -> None:
        lang, decision, request, order = self._lang, item.decision, item.request, item.order
        words = find_words("request_queue", lang)
        messages = (None, None) if order is None else write_messages(
            item.script, order, lang=lang, time_zone=self._queue.time_zone
        )  # fmt: skip
        currency = (order or {}).get("currency") or "CNY"
        placed_at = None if order is None else order["placed_at"]
        reasons = [f"{reason.code} {text}" for reason, text in zip(decision.reasons, item.reasons[lang], strict=True)]
        reasons += item.applied[lang]
        links = [self._describe_group(at) for at in item.groups]
        shown = {None: None, True: words["shown"], False: words["nothing_shown"]}[request["has_evidence"]]
        told = [
            request[name] and find_words(section, lang)[request[name]]
            for name, section in (("refund_type", "refund_types"), ("reason", "refund_reasons"))
        ]
        values: list[object] = [
            rank, find_words("answers", lang)[decision.answer], decision.order_id,
            None, None, None, None, None, None,
            decision.outcome_id, request["happened_at"], *told,
            shown, _to_major(request["amount_minor"], currency), placed_at,
            _to_major(None if order is None else order["amount_minor"], currency),
            "\n".join(reasons), "\n".join(links), None, *messages, decision.p_malicious,
            *((order or {}).get(name) for name in ("channel", "platform")),
        ]  # fmt: skip
        looks = {self._at["answer"]: ANSWER_LOOKS[decision.answer]}
        looks |= dict.fromkeys((self._at["asked_amount"], self._at["amount"]), f"money:{currency}")
        for name, at in (("asked_at", request["happened_at"]), ("placed_at", placed_at)):
            if at is not None:
                looks[self._at[name]] = f"local_time:{at.isoformat()[-6:]}"
        row = sheet.add_row(values, looks=looks, n_lines=max(2, len(reasons), len(links)))
        self._link_script(sheet, row, item)


def _to_major(amount_minor: int | None, currency: str) -> float | None:
    return None if amount_minor is None else amount_minor / 10 ** find_exponent(currency)
