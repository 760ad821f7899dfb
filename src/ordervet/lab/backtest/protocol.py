"""The protocol of a backtest: when each split trains, waits for the labels, and tests.

Each split has a train period, a delay in which labels mature, and a test period; the protocol of the Fraud Detection
Handbook (chapter 3 and the prequential folds of chapter 5) is shipped as ``handbook.toml``.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import BaseModel, ConfigDict, ValidationError

from ordervet.errors import MappingError
from ordervet.model import FitSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

Days = Annotated[int, Ge(1), Le(3650)]


class Protocol(BaseModel):
    """The ``[backtest]`` part of a mapping."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    starts: Annotated[tuple[date, ...], MinLen(1)]  # first day of each split's train period
    #: train_days, delay_days, test_days: lengths of the three periods, days
    train_days: Days = 7
    delay_days: Annotated[int, Ge(0), Le(3650)] = 7
    test_days: Days = 7
    #: train on so many days before each start too; 0 follows the protocol
    more_train_days: Annotated[int, Ge(0), Le(3650)] = 0
    #: an entity; orders of its ids that are known to be bad by then are not tested: bad in the train period,
    #: or up to the test day less the delay
    leave_out_known: str | None = None
    #: daily_precision_of, top_k: an entity and a number: precision among its `top_k` highest-ranked ids of each test
    #: day
    daily_precision_of: str | None = None
    top_k: Annotated[int, Gt(0)] = 100
    fit: FitSettings = FitSettings()  # LightGBM settings for this data


def parse_protocol(settings: Mapping[str, Any]) -> Protocol | None:
    """Read the ``[backtest]`` part of a mapping; None when it is empty.

    Raises
    ------
    MappingError
        Every wrong setting, at once.
    """
    if not settings:
        return None
    try:
        return Protocol.model_validate(settings)
    except ValidationError as error:
        faults = [f" - 'backtest.{'.'.join(map(str, e['loc']))}': {e['msg']}" for e in error.errors()]
        raise MappingError(
            f"{len(faults)} settings of [backtest] are invalid\n" + "\n".join(faults),
            hint="the settings are " + ", ".join(Protocol.model_fields),
        ) from None
