"""The policy: a TOML file that says where bands begin and what is asked of the desk in each."""

from __future__ import annotations

import hashlib
import tomllib
from functools import cache, lru_cache
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError, model_validator

from ordervet.contract import MaliceKind
from ordervet.errors import PolicyError
from ordervet.policy.codes import ACTIONS, BANDS, Action
from ordervet.policy.problems import build_error, list_problems
from ordervet.policy.thresholds import ExpectedCost, Explicit, Probability

if TYPE_CHECKING:
    import numpy.typing as npt

    from ordervet.policy.codes import Band

HUMAN_KINDS: Final = frozenset({MaliceKind.PROFESSIONAL_CLAIM, MaliceKind.REVIEW_EXTORTION})
"""Kinds that a person always judges: their action is ``review`` in every band and can be nothing else."""

_HINT = "the shipped default_policy.toml shows every setting; load_policy(FILE) checks a file"


# Strict everywhere else ("300" is no number); the words of an enum can only come as text.
ActionText = Annotated[Action, Strict(strict=False)]
KindText = Annotated[MaliceKind, Strict(strict=False)]


class BandActions(BaseModel):
    """What the desk is asked to do in each band; never milder in a stricter band.

    Parameters
    ----------
    low, elevated, high, severe : the band's action
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    low: ActionText
    elevated: ActionText
    high: ActionText
    severe: ActionText

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        for milder, stricter in pairwise(BANDS):
            if ACTIONS.index(self[milder]) > ACTIONS.index(self[stricter]):
                raise ValueError(
                    f"{stricter} must not be milder than {milder} (pass < review < confirm < hold), "
                    f"got {self[stricter]} after {self[milder]}"
                )
        return self

    def __getitem__(self, band: Band) -> Action:
        return Action(getattr(self, band))


class Evidence(BaseModel):
    """How much must be on record before a history counts.

    Parameters
    ----------
    min_orders : earlier orders of the buyer from which the buyer's own history may raise a band
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    min_orders: Annotated[int, Field(ge=0, le=1000)] = 3


class Capacity(BaseModel):
    """How many orders of a batch the desk can look at.

    Parameters
    ----------
    n : orders
    min_p : least p_malicious of an order worth looking at, however idle the desk
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    n: Annotated[int, Field(ge=0, le=10**9)]
    min_p: Probability = 0.01


class Policy(BaseModel):
    """Where bands begin and what is asked of the desk in each.

    Parameters
    ----------
    protocol : version of the file's form
    name : shown in reports
    bands : thresholds, explicit or by expected cost
    actions : what to do in each band
    kinds : what to do instead when a kind of malice was named
    evidence : minimum evidence
    capacity : review capacity of a batch; None cuts nothing
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    protocol: Literal[1]
    name: Annotated[str, Field(min_length=1, max_length=64)]
    bands: Annotated[Explicit | ExpectedCost, Field(discriminator="by")]
    actions: BandActions
    kinds: dict[KindText, BandActions] = {}
    evidence: Evidence = Evidence()
    capacity: Capacity | None = None

    @model_validator(mode="after")
    def _check_human_kinds(self) -> Self:
        for kind in sorted(HUMAN_KINDS):
            chosen = {str(self.actions_for(kind)[band]) for band in BANDS}
            if chosen != {"review"}:
                raise ValueError(f"kinds.{kind} is judged by a person: every band must be 'review'")
        return self

    def actions_for(self, kind: MaliceKind | None) -> BandActions:
        """Give the actions for orders of a kind.

        Parameters
        ----------
        kind : the kind that was named, or None

        Returns
        -------
        the kind's own actions, or the general ones; for kinds a person always judges, ``review`` throughout
        """
        if kind in self.kinds:
            return self.kinds[kind]
        if kind in HUMAN_KINDS:
            return _ALWAYS_REVIEW
        return self.actions

    # NOT cached properties: a copy with other settings would keep what was worked out for the first.
    @property
    def severities(self) -> npt.NDArray[np.int8]:
        """Severity of the action by kind and band, shape (1 + n_kinds, n_bands); row 0 is for no kind."""
        return _build_severities(tuple(self.actions_for(kind) for kind in (None, *MaliceKind)))

    @property
    def policy_id(self) -> str:
        """Twelve hex digits that change whenever a setting changes (the name and comments aside)."""
        settings = self.model_dump_json(exclude={"name"})
        return hashlib.sha256(settings.encode()).hexdigest()[:12]


_ALWAYS_REVIEW: Final = BandActions(low=Action.REVIEW, elevated=Action.REVIEW, high=Action.REVIEW, severe=Action.REVIEW)


@lru_cache(maxsize=64)
def _build_severities(actions: tuple[BandActions, ...]) -> npt.NDArray[np.int8]:
    table = np.array([[ACTIONS.index(row[band]) for band in BANDS] for row in actions], dtype=np.int8)
    table.flags.writeable = False
    return table


def load_policy(path: Path | str | None = None) -> Policy:
    """Read a policy from a TOML file.

    Parameters
    ----------
    path : the file; None reads the shipped default

    Returns
    -------
    the validated policy

    Raises
    ------
    PolicyError
        The file cannot be read, is not TOML, or any setting is wrong; all of them are named at once.
    """
    if path is None:
        return _load_default()
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise PolicyError(f"the policy {file.name} cannot be read: {reason}", hint=_HINT) from error
    return parse_policy(text, source=file.name)


def parse_policy(text: str, *, source: str = "policy") -> Policy:
    """Validate the text of a policy file.

    Parameters
    ----------
    text : TOML
    source : the file's name, for messages

    Returns
    -------
    the validated policy

    Raises
    ------
    PolicyError
        The text is not TOML, or any setting is wrong; all of them are named at once.
    """
    try:
        settings = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"{source} is not TOML: {error}", hint=_HINT) from error
    try:
        return Policy.model_validate(settings)
    except ValidationError as error:
        raise build_error(source, list_problems(error, Policy), hint=_HINT) from None


@cache
def _load_default() -> Policy:
    file = resources.files("ordervet.policy").joinpath("default_policy.toml")
    return parse_policy(file.read_text(encoding="utf-8"), source="default_policy.toml")
