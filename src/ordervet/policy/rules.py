"""Hard rules: conditions that make a decision stricter or say who looks at it, and nothing else."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, Strict, field_validator, model_validator

from ordervet.policy.codes import Action
from ordervet.policy.expressions import parse_expression

if TYPE_CHECKING:
    from ordervet.policy.expressions import Expression

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class Rule(BaseModel):
    """A condition, and what follows where it holds.

    Parameters
    ----------
    name : shown beside the decisions it touched
    when : the condition, see docs/policy.md
    action : the least severe action of an order it holds for; "review", "confirm" or "hold"
    route : who looks at the order, such as ``legal``
    owner : who answers for the rule: a team or a role
    expires : the day from which it no longer counts
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Name
    when: str
    action: Annotated[Action, Strict(strict=False)] | None = None
    route: Name | None = None
    owner: Annotated[str, Field(min_length=1, max_length=80)]
    expires: Annotated[date, Strict(strict=False)] | None = None

    @field_validator("when")
    @classmethod
    def _check_condition(cls, text: str) -> str:
        build_expression(text)
        return text

    @model_validator(mode="after")
    def _check_effect(self) -> Self:
        if self.action is None and self.route is None:
            raise ValueError("the rule does nothing: give it an action or a route")
        if self.action is Action.PASS:
            raise ValueError("a rule can only make a decision stricter: action must be review, confirm or hold")
        return self

    @property
    def expression(self) -> Expression:
        """The condition, ready to be worked out."""
        return build_expression(self.when)


@lru_cache(maxsize=1024)
def build_expression(text: str) -> Expression:
    """Read a condition once; as `parse_expression`."""
    return parse_expression(text)
