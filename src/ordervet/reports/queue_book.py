"""The queue as a workbook: one sheet per stage, to be worked through and given back with verdicts filled in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ordervet.contract import MaliceKind, VerdictValue
from ordervet.policy import Stage
from ordervet.reports.links import LINKING
from ordervet.reports.script_parts import SCRIPT_PARTS, say_to_customer, show_script
from ordervet.reports.sheets import Column, write_book
from ordervet.reports.words import (
    ACTION_WORDS,
    BAND_WORDS,
    DESK_ONLY,
    KIND_WORDS,
    SIMULATED,
    STAGE_WORDS,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ordervet.policy import Decision, Lang
    from ordervet.reports.queue import Queue, QueueItem
    from ordervet.reports.sheets import Book, Sheet

_COLUMNS: Final[dict[Lang, tuple[Column, ...]]] = {
    "zh": (
        Column("序号", 6), Column("处理", 10), Column("等级", 6), Column("订单编号", 22),
        Column("判定", 8, "entry"), Column("类型", 16, "entry"), Column("判定时间", 17, "entry_time"),
        Column("备注", 16, "entry"),
        Column("下单时间", 17, "instant"), Column("订单金额", 14), Column("疑似类型", 18),
        Column("理由（仅内部）", 56, "wrapped"), Column("关联订单", 30, "wrapped"), Column("话术", 20),
        Column("对客（温和）", 44, "wrapped"), Column("对客（坚定）", 44, "wrapped"),
        Column("缺少的证据", 26, "wrapped"), Column("风险分", 8, "count"), Column("恶意概率", 9, "share"),
        Column("渠道", 14), Column("平台", 10),
    ),
    "en": (
        Column("rank", 6), Column("action", 10), Column("band", 10), Column("order id", 22),
        Column("verdict", 11, "entry"), Column("kind", 22, "entry"), Column("decided at", 17, "entry_time"),
        Column("note", 16, "entry"),
        Column("placed", 17, "instant"), Column("amount", 14), Column("suspected", 24),
        Column("reasons (internal)", 64, "wrapped"), Column("linked orders", 32, "wrapped"), Column("script", 24),
        Column("say (gentle)", 48, "wrapped"), Column("say (firm)", 48, "wrapped"),
        Column("missing evidence", 28, "wrapped"), Column("risk score", 8, "count"), Column("p(malicious)", 9, "share"),
        Column("channel", 14), Column("platform", 10),
    ),
}  # fmt: skip
"""Among them those of the verdict sheet, by the names of contract/formats/tables/verdict_sheet.toml."""

_FIXED: Final = 4  # up to the order id
_BAND, _ACTION, _VERDICT, _KIND, _DECIDED, _AMOUNT, _SCRIPT = 2, 1, 4, 5, 6, 9, 13

VERDICTS: Final[dict[Lang, dict[VerdictValue, str]]] = {
    "zh": {VerdictValue.MALICIOUS: "恶意", VerdictValue.INNOCENT: "正常", VerdictValue.UNSURE: "存疑"},
    "en": {value: str(value) for value in VerdictValue},
}
"""What the drop-down of the verdict column offers."""

KINDS: Final[dict[Lang, dict[MaliceKind, str]]] = {
    "zh": {kind: KIND_WORDS[kind]["zh"] for kind in MaliceKind},
    "en": {kind: str(kind) for kind in MaliceKind},
}
"""What the drop-down of the kind column offers."""

_WORDS: Final[dict[str, dict[Lang, str]]] = {
    "scripts": {"zh": "话术", "en": "Scripts"},
    "passed": {"zh": "放行", "en": "Passed"},
    "notes": {"zh": "说明", "en": "Notes"},
    "part": {"zh": "部分", "en": "part"},
    "text": {"zh": "内容", "en": "text"},
    "linked": {"zh": "{what} {code}：{n} 单，{b} 位买家", "en": "{what} {code}: {n} orders, {b} buyers"},
    "route": {"zh": "交给：{who}", "en": "for: {who}"},
    "pick": {"zh": "从列表中选择", "en": "choose from the list"},
    "when": {"zh": "填日期和时间，例如 2025-11-11 20:30", "en": "a date and time, such as 2025-11-11 20:30"},
}

_NOTES: Final[dict[Lang, tuple[str, ...]]] = {
    "zh": (
        "共评分 {n_scored} 单，待处理 {n} 单；模型 {model}，规则 {policy}。",
        "每个工作表是一个阶段，按先后排序；黄色各列由客服填写。",
        "判定：恶意、正常、存疑。只有恶意才填类型。判定时间必填。判定为空的行不计入。",
        "填好后交回：ordervet ingest queue.xlsx --history 目录",
    ),
    "en": (
        "{n_scored} orders scored, {n} to look at; model {model}, policy {policy}.",
        "One sheet per stage, the first to look at first; the yellow columns are for the desk.",
        "Verdict: malicious, innocent, unsure. A kind goes with malicious only. A verdict needs its time.",
        "Rows without a verdict do not count.",
        "Give it back with: ordervet ingest queue.xlsx --history DIR",
    ),
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
        self._scripts = {item.script.id: item.script for item in queue.items}
        self._script_rows: dict[str, int] = {}

    def fill(self, passed: Sequence[Decision]) -> None:
        """Write all sheets."""
        lines = list(self._list_script_lines())
        for stage in Stage:
            items = [(at, item) for at, item in enumerate(self._queue.items, start=1) if item.stage is stage]
            self._add_stage(STAGE_WORDS[stage][self._lang].capitalize(), items)
        self._add_scripts(lines)
        if passed:
            self._add_passed(passed)
        self._add_notes()

    def _add_stage(self, title: str, items: Sequence[tuple[int, QueueItem]]) -> None:
        sheet = self._book.add_sheet(title, _COLUMNS[self._lang], n_fixed=_FIXED)
        for rank, item in items:
            self._add_item(sheet, rank, item)
        self._add_choices(sheet)
        sheet.finish()

    def _add_item(self, sheet: Sheet, rank: int, item: QueueItem) -> None:
        lang, decision, order = self._lang, item.decision, item.order
        gentle, firm = say_to_customer(item.script, order, lang=lang, time_zone=self._queue.time_zone)
        band = decision.band or next(iter(BAND_WORDS))
        reasons = [f"{reason.code} {text}" for reason, text in zip(decision.reasons, item.reasons[lang], strict=True)]
        reasons += item.applied[lang]
        if decision.route:
            reasons.append(_WORDS["route"][lang].format(who=decision.route))
        links = [self._describe_group(at) for at in item.groups]
        values: list[object] = [
            rank, ACTION_WORDS[decision.action][lang], BAND_WORDS[band][lang], decision.order_id,
            None, None, None, None,
            order["placed_at"], order["amount_minor"] / 100, decision.kind and KIND_WORDS[decision.kind][lang],
            "\n".join(reasons), "\n".join(links), None,
            gentle, firm,
            "\n".join(item.missing[lang]), decision.risk_score, decision.p_malicious,
            order.get("channel"), order.get("platform"),
        ]  # fmt: skip
        looks = {_BAND: str(band), _ACTION: str(band), _AMOUNT: f"money:{order.get('currency') or 'CNY'}"}
        row = sheet.add_row(values, looks=looks, n_lines=max(2, len(reasons), len(links)))
        target = f"internal:'{_WORDS['scripts'][lang]}'!A{self._script_rows[item.script.id] + 1}"
        sheet.raw.write_url(row, _SCRIPT, target, self._book.look("link"), item.script.title[lang])

    def _describe_group(self, at: int) -> str:
        group = self._queue.links.groups[at]
        entity, code = group.names[0]
        words = _WORDS["linked"][self._lang]
        what = LINKING[entity][1][self._lang]
        return words.format(what=what, code=code, n=group.n_orders, b=group.n_buyers)

    def _add_choices(self, sheet: Sheet) -> None:
        last, lang = max(sheet.n_rows, 1), self._lang
        pick = _WORDS["pick"][lang]
        choices: dict[int, Iterable[str]] = {_VERDICT: VERDICTS[lang].values(), _KIND: KINDS[lang].values()}
        for at, names in choices.items():
            settings = {"validate": "list", "source": list(names), "error_message": pick, "ignore_blank": True}
            sheet.raw.data_validation(1, at, last, at, settings)
        when = {
            "validate": "date", "criteria": ">", "value": "=DATE(2000,1,1)", "ignore_blank": True,
            "error_message": _WORDS["when"][lang], "input_message": _WORDS["when"][lang],
        }  # fmt: skip
        sheet.raw.data_validation(1, _DECIDED, last, _DECIDED, when)

    def _list_script_lines(self) -> Iterable[tuple[str, str, str]]:
        """List the parts of the scripts that are used, and note in which row each script begins."""
        row = 1
        for script_id, script in sorted(self._scripts.items()):
            self._script_rows[script_id] = row
            for part, texts in show_script(script, self._lang).items():
                for text in texts:
                    yield f"{script.title[self._lang]} · {script_id}", SCRIPT_PARTS[part][self._lang], text
                    row += 1

    def _add_scripts(self, lines: Sequence[tuple[str, str, str]]) -> None:
        words = {name: _WORDS[name][self._lang] for name in ("scripts", "part", "text")}
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
        titles = _COLUMNS[self._lang]
        columns = (titles[3], titles[2], titles[17], titles[18], titles[16])
        sheet = self._book.add_sheet(_WORDS["passed"][self._lang], columns)
        for decision in passed:
            band = decision.band and BAND_WORDS[decision.band][self._lang]
            values = (decision.order_id, band, decision.risk_score, decision.p_malicious, " ".join(decision.missing))
            sheet.add_row(values)
        sheet.finish()

    def _add_notes(self) -> None:
        queue, lang = self._queue, self._lang
        sheet = self._book.add_sheet(_WORDS["notes"][lang], (Column(_WORDS["notes"][lang], 110, "wrapped"),))
        facts: dict[str, Any] = {"n_scored": f"{queue.n_scored:,}", "n": f"{len(queue.items):,}"}
        facts |= {"model": queue.model_id, "policy": queue.policy_id}
        for line in (*_NOTES[lang], DESK_ONLY[lang], *([SIMULATED[lang]] if queue.is_simulated else [])):
            sheet.add_row([line.format(**facts)], n_lines=2)
