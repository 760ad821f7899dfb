"""What can go wrong, as one tree.

OrdervetError
├── ContractError        a row, table or file breaks the contract
│   ├── FileError        a file is missing, empty, or not what its ending says
│   └── SourceError      a database or object store cannot be reached, or lacks what is asked of it
├── MappingError         a mapping file is wrong
├── KeyMismatchError     an identifier key is missing, malformed or not the one a store was made with
├── HistoryError         events contradict the rule of time
│   ├── HistoryLockedError  a history cannot be opened for writing, now or by this user
│   └── ForkedError         a scorer or history was used in a forked child of the process that opened it
├── ModelError           a model artefact is missing, damaged or does not fit the features
├── PolicyError          a policy, reason or script file is wrong
└── TrainingError        there is not enough to learn from

Every message is complete in itself: what failed, where, how often, and one hint that fixes it. Messages carry order ids
and column names, never names, phones or addresses.
"""

from __future__ import annotations


class OrdervetError(Exception):
    """Any error that ordervet raises on purpose.

    Parameters
    ----------
    message : what failed, where and how often; no personal data
    hint : the one action that fixes it, as a command or a line of code
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class ContractError(OrdervetError):
    """A row, table or file breaks the contract."""


class FileError(ContractError):
    """A file is missing, empty, unreadable, or not what its ending says."""


class SourceError(ContractError):
    """A database or an object store cannot be reached, or does not have what is asked of it."""


class MappingError(OrdervetError):
    """A mapping file is wrong."""


class KeyMismatchError(OrdervetError):
    """An identifier key is missing, malformed, or not the one a store was made with."""


class HistoryError(OrdervetError):
    """Events contradict the rule of time."""


class HistoryLockedError(HistoryError):
    """Another process is writing a history, or this one may not."""


class ForkedError(HistoryError):
    """A scorer or history was used in a forked child of the process that opened it."""


class ModelError(OrdervetError):
    """A model artefact is missing, damaged, or does not fit the features."""


class PolicyError(OrdervetError):
    """A policy, reason or script file is wrong."""


class TrainingError(OrdervetError):
    """There is not enough to learn from."""
