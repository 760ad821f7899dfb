"""One order's decision, as the order system and the desk receive it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

from pydantic_core import to_json

from ordervet.policy.codes import Action, DecisionCode, is_guess
from ordervet.words import format_text

if TYPE_CHECKING:
    from ordervet.contract import MaliceKind
    from ordervet.policy.codes import Band
    from ordervet.policy.pacing import Pace
    from ordervet.policy.reasons import Reason
    from ordervet.words import Lang


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do with one order, and why; a suggestion that a person may overrule.

    Holds no personal data: reasons speak of "this buyer" and carry numbers only, so ``repr`` may be logged.

    Parameters
    ----------
    order_id : the order's id
    action : what the desk is asked to do
    band : how risky the order is; None when it was not scored
    p_malicious : calibrated probability, 0..1; None when the order was not scored
    risk_score : 0..1000 on a scale that is stable between models; None when the order was not scored
    kind : the kind of malice that was named, if any
    reasons : at most four, the strongest first
    script : id of the support script, such as ``coupon_farming.paid``, whose stage is how far the order has come; None
        when there is nothing to say
    missing : codes of the evidence that was missing, such as ``phone_masked``
    model_id, policy_id : what the decision was made with, so that it can be replayed
    seen_at : the instant whose history was known, with a zone
    history_version : version of the history store that was open; None without a store. It says where a decision came
        from, and plays no part in comparing two
    pace : what was handed on at that instant where orders come one by one under a capacity, with the slots this order
        had, 0 or 1; else None
    route : who looks at the order, where a rule says so
    applied : codes of what lists and rules found, such as ``deny_phone`` or ``rule_NAME``; of what the desk knew of it,
        such as ``desk_released``; ``trust_earned`` or ``trust_granted``; ``capacity_full`` where it passes for want of
        a slot only, ``capacity_beyond`` where a person sees it although there was none; and ``invalid_FIELD`` where an
        order breaks the contract
    code : how the decision came about

    Raises
    ------
    ValueError
        A scored decision lacks its probability, score or band, or an unscored one has any of them or does not pass.
    """

    order_id: str
    action: Action
    band: Band | None = None
    p_malicious: float | None = None
    risk_score: int | None = None
    kind: MaliceKind | None = None
    reasons: tuple[Reason, ...] = ()
    script: str | None = None
    missing: tuple[str, ...] = ()
    model_id: str | None = None
    policy_id: str | None = None
    code: DecisionCode = DecisionCode.SCORED
    seen_at: datetime | None = None
    history_version: int | None = field(default=None, compare=False)
    pace: Pace | None = None
    route: str | None = None
    applied: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        measures = (self.band, self.p_malicious, self.risk_score)
        if self.code is DecisionCode.SCORED:
            if None in measures:
                raise ValueError("a scored decision needs band, p_malicious and risk_score")
        elif measures != (None, None, None) or self.action is not Action.PASS:
            raise ValueError("an unscored decision passes and has neither band, p_malicious nor risk_score")

    @classmethod
    def unscored(
        cls,
        order_id: str,
        code: DecisionCode,
        *,
        missing: tuple[str, ...] = (),
        model_id: str | None = None,
        policy_id: str | None = None,
        applied: tuple[str, ...] = (),
    ) -> Self:
        """Let an order pass that could not be scored, and say why.

        Parameters
        ----------
        order_id : the order's id
        code : any code but SCORED
        missing, model_id, policy_id, applied : as in the class, as far as they are known

        Returns
        -------
        a decision that passes, without band, probability or score

        Raises
        ------
        ValueError
            The code is SCORED.
        """
        return cls(
            order_id=order_id, action=Action.PASS, missing=missing, model_id=model_id, policy_id=policy_id,
            applied=applied, code=code,
        )  # fmt: skip

    @property
    def is_kind_guess(self) -> bool:
        """Whether the kind is a guess: the order itself is more likely innocent (docs/definitions.md D4)."""
        return self.kind is not None and is_guess(self.band)

    @property
    def is_trusted(self) -> bool:
        """Whether the buyer is trusted, by evidence or because a person says so (docs/definitions.md D12)."""
        return "trust_earned" in self.applied or "trust_granted" in self.applied

    def name_kind(self, lang: Lang = "zh") -> str:
        """Name the suspected kind, for the desk only: as a guess where it is one, empty where there is none."""
        if self.kind is None:
            return ""
        name = format_text(f"kinds.{self.kind}", lang)
        return format_text("flags.guess", lang, kind=name) if self.is_kind_guess else name

    def as_dict(self) -> dict[str, Any]:
        """Return the decision as plain values, ready for JSON.

        Returns
        -------
        field name → str, float, int, list or None; each reason is a dict with code, name, contribution and text, the
        pace one with least, tie_from and slots, the instant a text with its zone, and with them ``is_kind_guess``
        """
        row: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        for name in ("action", "band", "kind", "code"):
            row[name] = None if row[name] is None else str(row[name])
        row["is_kind_guess"] = self.is_kind_guess
        row["reasons"] = [reason.as_dict() for reason in self.reasons]
        row["missing"] = list(self.missing)
        row["applied"] = list(self.applied)
        row["seen_at"] = None if self.seen_at is None else self.seen_at.isoformat()
        row["pace"] = None if self.pace is None else self.pace.as_dict()
        return row

    def to_json(self) -> bytes:
        """Return what `as_dict` returns as JSON.

        References
        ----------
        Truth: `as_dict`.
        """
        if self.reasons:
            return to_json(self.as_dict())
        # SPEED: most orders pass for no reason, and what they share is written once (benchmarks/bench_serve.py).
        p = "null" if self.p_malicious is None else float.__repr__(self.p_malicious)
        pace = "null" if self.pace is None else self.pace.to_json()
        seen_at = "null" if self.seen_at is None else f'"{self.seen_at.isoformat()}"'
        return (
            f'{{"order_id":{to_json(self.order_id).decode()},"action":{_write(self.action)},"band":{_write(self.band)},'
            f'"p_malicious":{p},"risk_score":{_write(self.risk_score)},"kind":{_write(self.kind)},"reasons":[],'
            f'"script":{_write(self.script)},"missing":{_write(self.missing)},"model_id":{_write(self.model_id)},'
            f'"policy_id":{_write(self.policy_id)},"code":{_write(self.code)},"seen_at":{seen_at},'
            f'"history_version":{_write(self.history_version)},"pace":{pace},"route":{_write(self.route)},'
            f'"applied":{_write(self.applied)},"is_kind_guess":{"true" if self.is_kind_guess else "false"}}}'
        ).encode()

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> Self:
        """Make a decision of what `as_dict` returned; its reasons keep their text, in the language it was in.

        Raises
        ------
        ValueError, KeyError, TypeError
            It is something else.
        """
        from ordervet.contract import MaliceKind
        from ordervet.policy.codes import Band
        from ordervet.policy.pacing import Pace
        from ordervet.policy.reasons import Reason

        values = {each.name: row[each.name] for each in fields(cls) if each.name in row}
        for name, kind in (("action", Action), ("band", Band), ("kind", MaliceKind), ("code", DecisionCode)):
            values[name] = None if row[name] is None else kind(row[name])
        values["reasons"] = tuple(Reason(**each) for each in row["reasons"])
        values["missing"], values["applied"] = tuple(row["missing"]), tuple(row["applied"])
        values["seen_at"] = None if row["seen_at"] is None else datetime.fromisoformat(row["seen_at"])
        values["pace"] = None if row["pace"] is None else Pace(**row["pace"])
        return cls(**values)


@lru_cache(maxsize=4096)
def _write(value: str | int | tuple[str, ...] | None) -> str:
    """Write as JSON what many decisions have."""
    return to_json(value).decode()


_SETTERS = tuple(getattr(Decision, each.name).__set__ for each in fields(Decision))


def fill_decision(*values: Any) -> Decision:
    """Make a decision of a value for each field, in the order of the fields; nothing is checked.

    SPEED: half of what the constructor of a frozen class takes (benchmarks/bench_live.py).
    """
    decision = object.__new__(Decision)
    for put, value in zip(_SETTERS, values, strict=True):
        put(decision, value)
    return decision
