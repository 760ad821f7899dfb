"""Every policy that decided, kept beside the history: its decisions can be made again after the file has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from ordervet.contract.outputs import write_text
from ordervet.errors import PolicyError
from ordervet.policy.policy import Policy

if TYPE_CHECKING:
    from pathlib import Path

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
