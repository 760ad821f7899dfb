"""The policy: a TOML file that says where bands begin and what is asked of the desk in each."""

from __future__ import annotations

import hashlib
import tomllib
from functools import cache, lru_cache
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, Strict, ValidationError, model_validator

from ordervet.contract import MaliceKind
from ordervet.entities import load_key
from ordervet.errors import PolicyError
from ordervet.policy.capacity import Capacity
from ordervet.policy.claims import ClaimSettings
from ordervet.policy.codes import ACTIONS, BANDS, Action
from ordervet.policy.documents import build_error, list_problems
from ordervet.policy.lists import KeyLists, ListEntry, read_list
from ordervet.policy.quotas import Quota
from ordervet.policy.rules import Rule
from ordervet.policy.thresholds import ExpectedCost, Explicit
from ordervet.policy.trust import Trust

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from ordervet.entities import Key
    from ordervet.policy.capacity import Shift
    from ordervet.policy.codes import Band
    from ordervet.policy.documents import Problem

HUMAN_KINDS: Final = frozenset({MaliceKind.PROFESSIONAL_CLAIM, MaliceKind.REVIEW_EXTORTION})
"""Kinds that a person always judges: their action is ``review`` in every band and can be nothing else."""

MAX_RULES: Final = 200
"""Most rules of a policy."""

MAX_QUOTAS: Final = 50
"""Most quotas of a policy."""

_T = TypeVar("_T")
_HINT = "the shipped default_policy.toml shows every setting; ordervet policy check FILE checks one"


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


class Lists(BaseModel):
    """Allow and deny lists.

    Parameters
    ----------
    files : list files beside the policy file, see docs/policy.md
    entries : what is on the lists; those of the files are put here as the policy is read
    deny : the least severe action of an order that is on the deny list
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    files: Annotated[tuple[str, ...], Field(strict=False)] = ()
    entries: Annotated[tuple[ListEntry, ...], Field(strict=False)] = ()
    deny: ActionText = Action.HOLD

    @model_validator(mode="after")
    def _check_deny(self) -> Self:
        if self.deny is Action.PASS:
            raise ValueError("deny must be review, confirm or hold")
        return self


class Audit(BaseModel):
    """A random sample of orders that would pass, for a person to judge: what is missed can be known by it alone.

    Parameters
    ----------
    share : of the orders that bands, lists and rules would let pass, drawn by their keyed ids
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    share: Annotated[float, Field(gt=0.0, le=0.5)]

    @property
    def below(self) -> int:
        """The keyed order ids below this number are drawn: an id is as good as a random number of 64 bits."""
        return int(self.share * 2**64)


class Handover(BaseModel):
    """How orders to stop are handed to the ERP or the carrier.

    Parameters
    ----------
    batch_size : orders in one intercept call
    minutes : from placing an order to its audit for shipping (审单): the deadline of a stop
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    batch_size: Annotated[int, Field(ge=1, le=10_000)] = 20
    minutes: Annotated[int, Field(ge=1, le=60 * 24 * 30)] = 60


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
    capacity : how many orders the desk can look at; None cuts nothing
    lists : keys that are let through or stopped whatever the score
    rules : conditions that make a decision stricter or route it; of several routes the first counts
    quotas : limits per household, beyond which a decision is stricter
    handover : how orders to stop are handed over
    trust : what it takes to earn trust; None names nobody trusted
    audit : which share of the orders that pass a person judges all the same; None for none
    claims : what is paid at once of what is asked back, and what goes to a person
    allow_test_orders : whether orders with a documented test id get the decision their id names; see docs/testing.md
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    protocol: Literal[1]
    name: Annotated[str, Field(min_length=1, max_length=64)]
    bands: Annotated[Explicit | ExpectedCost, Field(discriminator="by")]
    actions: BandActions
    kinds: dict[KindText, BandActions] = {}
    evidence: Evidence = Evidence()
    capacity: Capacity | None = None
    lists: Lists = Lists()
    rules: Annotated[tuple[Rule, ...], Field(strict=False, max_length=MAX_RULES)] = ()
    quotas: Annotated[tuple[Quota, ...], Field(strict=False, max_length=MAX_QUOTAS)] = ()
    handover: Handover = Handover()
    audit: Audit | None = None
    trust: Trust | None = None
    claims: ClaimSettings = ClaimSettings()
    allow_test_orders: bool = False

    # What was worked out, and for which object: a copy with other settings works it out again.
    _known: tuple[int, dict[str, Any]] = PrivateAttr(default=(0, {}))

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        for part in ("rules", "quotas"):
            names = [each.name for each in getattr(self, part)]
            if repeated := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{part}.{repeated[0]}: the name is given twice")
        return self

    @model_validator(mode="after")
    def _check_trust(self) -> Self:
        if self.claims.pay_trusted_below is not None and self.trust is None:
            raise ValueError("claims.pay_trusted_below: without [trust] nobody is trusted")
        return self

    @model_validator(mode="after")
    def _check_human_kinds(self) -> Self:
        for kind in sorted(HUMAN_KINDS):
            chosen = {str(self.actions_for(kind)[band]) for band in BANDS}
            if chosen != {"review"}:
                raise ValueError(f"kinds.{kind} is judged by a person: every band must be 'review'")
        return self

    def actions_for(self, kind: MaliceKind | None) -> BandActions:
        """Return the actions for orders of a kind.

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
        return self._recall("policy_id", self._hash_settings)

    @property
    def key_lists(self) -> KeyLists:
        """The lists, ready to be looked up."""
        return self._recall("key_lists", lambda: KeyLists(self.lists.entries))

    def with_capacity(self, n: int | None = None, shifts: tuple[Shift, ...] | None = None) -> Policy:
        """Return this policy with another review capacity.

        Parameters
        ----------
        n : orders; None leaves it as it is
        shifts : when the desk works; None leaves them as they are

        Returns
        -------
        a policy with an id of its own

        Raises
        ------
        PolicyError
            The capacity does not fit together.
        """
        if n is None and shifts is None:
            return self
        return self.model_copy(update={"capacity": _change_capacity(self.capacity, n, shifts)})

    def with_claim_capacity(self, n: int | None = None, shifts: tuple[Shift, ...] | None = None) -> Policy:
        """Return this policy with another capacity for refund requests; see `with_capacity`."""
        if n is None and shifts is None:
            return self
        changed = _change_capacity(self.claims.capacity, n, shifts)
        return self.model_copy(update={"claims": self.claims.model_copy(update={"capacity": changed})})

    def _hash_settings(self) -> str:
        # NOTE: what says nothing leaves the id as it was before there was any of it.
        parts = ("audit", "trust", "claims", "quotas")
        usual = {name for name in parts if getattr(self, name) == type(self).model_fields[name].default}
        unsaid = ("food", "capacity", "pay_trusted_below")
        silent = {name for name in unsaid if getattr(self.claims, name) == _SILENT_CLAIMS[name]}
        exclude: dict[str, Any] = {"claims": silent} | dict.fromkeys(("name", *usual), True)
        settings = self.model_dump_json(exclude=exclude)
        return hashlib.sha256(settings.encode()).hexdigest()[:12]

    def _recall(self, name: str, build: Callable[[], _T]) -> _T:
        """Work something out once per object."""
        if self._known[0] != id(self):
            self._known = (id(self), {})
        if name not in self._known[1]:
            self._known[1][name] = build()
        value: _T = self._known[1][name]
        return value


def _change_capacity(capacity: Capacity | None, n: int | None, shifts: tuple[Shift, ...] | None) -> Capacity:
    """Return a capacity with another number or other shifts, where they are given."""
    settings = {} if capacity is None else capacity.model_dump()
    if n is not None:
        settings |= {"n": n, "per_hour": None}
    if shifts is not None:
        settings |= {"shifts": [shift.model_dump() for shift in shifts]}
    try:
        return Capacity.model_validate(settings)
    except ValidationError as error:
        raise build_error("the capacity asked for", list_problems(error, Capacity), hint=_HINT) from None


_SILENT_CLAIMS: Final = {name: field.default for name, field in ClaimSettings.model_fields.items()}
_ALWAYS_REVIEW: Final = BandActions(low=Action.REVIEW, elevated=Action.REVIEW, high=Action.REVIEW, severe=Action.REVIEW)


@lru_cache(maxsize=64)
def _build_severities(actions: tuple[BandActions, ...]) -> npt.NDArray[np.int8]:
    table = np.array([[ACTIONS.index(row[band]) for band in BANDS] for row in actions], dtype=np.int8)
    table.flags.writeable = False
    return table


def load_policy(path: Path | str | None = None, *, key: Key | None = None) -> Policy:
    """Read a policy from a TOML file, and its list files.

    Parameters
    ----------
    path : the file; None reads the shipped default
    key : turns raw values of list files into ids; None takes the one of the environment

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
    return parse_policy(text, source=file.name, folder=file.parent, key=key)


def parse_policy(text: str, *, source: str = "policy", folder: Path | None = None, key: Key | None = None) -> Policy:
    """Validate the text of a policy file.

    Parameters
    ----------
    text : TOML
    source : the file's name, for messages
    folder : where its list files lie; None takes the present one
    key : as for load_policy

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
    problems = _read_lists(settings, folder or Path(), key)
    try:
        policy = Policy.model_validate(settings)
    except ValidationError as error:
        problems = [*list_problems(error, Policy), *problems]
    if problems:
        raise build_error(source, problems, hint=_HINT)
    return policy


def _read_lists(settings: dict[str, Any], folder: Path, key: Key | None) -> list[Problem]:
    """Add the entries of list files to the settings; return what is wrong with them."""
    lists = settings.get("lists")
    files = lists.get("files") if isinstance(lists, dict) else None
    entries = lists.get("entries", []) if isinstance(lists, dict) else None
    if not isinstance(files, list) or not all(isinstance(name, str) for name in files) or not isinstance(entries, list):
        return []
    found = [read_list(folder / name, key or load_key()) for name in files]
    settings["lists"] = {**settings["lists"], "entries": [*entries, *(entry for part, _ in found for entry in part)]}
    return [problem for _, problems in found for problem in problems]


@cache
def _load_default() -> Policy:
    file = resources.files("ordervet.policy").joinpath("default_policy.toml")
    return parse_policy(file.read_text(encoding="utf-8"), source="default_policy.toml")


# NOTE: files and folders that begin with an underscore are no data to Delta; no clean-up removes them.
FOLDER: Final = "_policies"
"""Folder of the versions, in that of a history."""


def keep_policy(policy: Policy, history: Path) -> None:
    """Keep a policy beside a history, under its id; one that is there already stays as it is.

    Lists are kept as keyed ids, as the policy holds them.

    Parameters
    ----------
    policy : that decides
    history : folder of an existing history

    Raises
    ------
    FileError
        The system refuses.
    """
    path = history / FOLDER / f"{policy.policy_id}.json"
    if not path.exists():
        from ordervet.contract.files.outputs import write_text

        write_text(policy.model_dump_json(indent=1) + "\n", path)


def find_policy(policy_id: str, history: Path) -> Policy:
    """Find the policy that a decision names.

    Parameters
    ----------
    policy_id : of the decision
    history : folder of the history

    Returns
    -------
    the policy as it was

    Raises
    ------
    PolicyError
        No such policy was kept, or its file is damaged.
    """
    path = history / FOLDER / f"{policy_id}.json"
    is_id = policy_id.isalnum()
    if not is_id or not path.is_file():
        raise PolicyError(f"the history keeps no policy {policy_id[:40]}", hint="load the policy file of that time")
    try:
        policy = Policy.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError, ValueError):
        policy = None
    if policy is None or policy.policy_id != policy_id:
        raise PolicyError(f"the policy {policy_id} that the history keeps is damaged", hint="load its policy file")
    return policy
