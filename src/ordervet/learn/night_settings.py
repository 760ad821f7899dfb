"""Settings of a night: when labels are mature, how much is kept, where the gates stand. TOML, every fault at once."""

from __future__ import annotations

import hashlib
import json
import tomllib
import warnings
from typing import TYPE_CHECKING, Annotated, Any, Self

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ordervet.contract.model import OutcomeKind
from ordervet.errors import MappingError
from ordervet.model import FitSettings

if TYPE_CHECKING:
    from pathlib import Path

Days = Annotated[float, Ge(0), Le(3650)]
WholeDays = Annotated[int, Ge(1), Le(3650)]
Share = Annotated[float, Ge(0), Le(1)]
Rows = Annotated[int, Ge(1_000)]

#: Features whose every value moves with the season by design: rates of whole shops and channels, the day of the week.
SEASONAL = ("shop__*", "channel__*", "category__*", "item__*", "campaign__*", "order__value__weekday")


#: Former names of settings, which still work.
_RENAMED = {"sureness": "confidence_level"}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _accept_former_names(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        for old, new in _RENAMED.items():
            if old in values and new in cls.model_fields and new not in values:
                warnings.warn(f"the setting '{old}' is now called '{new}'", FutureWarning, stacklevel=2)
                values = {key: value for key, value in values.items() if key != old} | {new: values[old]}
        return values


class Maturity(_Part):
    """When a label is mature. Days."""

    #: an order younger than this is not learned from, whatever is known of it: what is known of fresh orders is mostly
    #: malice, because no verdict says that an order was innocent
    order_days: Days = 30.0
    #: by verdict, how long it must have stood; an appeal may come
    verdict_days: dict[str, Days] = {"malicious": 2.0, "innocent": 0.0}
    #: by kind of outcome, how long an order that nobody judged waits after one before silence is innocence
    outcome_days: dict[str, Days] = {
        "refund_requested": 7.0,
        "return_received": 7.0,
        "delivery_refused": 7.0,
        "claim": 14.0,
        "bad_review": 7.0,
        "chargeback": 14.0,
    }

    @model_validator(mode="after")
    def _check_words(self) -> Self:
        unknown = sorted(set(self.verdict_days) - {"malicious", "innocent"})
        unknown += sorted(set(self.outcome_days) - set(OutcomeKind))
        if unknown:
            raise ValueError(f"got {', '.join(unknown)}, expected malicious and innocent, and kinds of outcomes")
        return self


class Learning(_Part):
    """What is learned from."""

    train_days: WholeDays = 365  # mature orders of so many days are learned from
    #: the newest mature days, on which challenger and champion are measured and nothing is learned
    holdout_days: WholeDays = 7
    #: more days are held out until they hold so many malicious orders, or a third of all there are
    holdout_malicious: Annotated[int, Ge(0)] = 40
    #: rows of the training matrix; beyond it, orders that nobody judged are sampled and weighted
    max_rows: Rows = 1_000_000
    reference_days: WholeDays = 28  # the newest days, mature or not, that drift is measured against
    scale_days: WholeDays = 7  # the newest quiet ones of these days, that the risk score is made of
    max_reference_rows: Rows = 200_000  # rows of theirs
    #: a day with more orders than so many times the median day is no reference: a campaign
    loud_factor: Annotated[float, Gt(1)] = 1.5
    n_folds: Annotated[int, Ge(2), Le(10)] = 3  # parts of the time that calibration is cross-fitted on
    slice_orders: Annotated[int, Ge(1_000)] = 200_000  # orders replayed at a time


class GateBounds(_Part):
    """Where the gates stand; docs/nightly.md says what each measures."""

    # NOTE: written under its former name into `NightSettings.hash`, which is part of the ids of models and nights.
    #: of the paired bootstrap: the gain's lower bound is its percentile 100 × (1 − confidence_level)
    confidence_level: Annotated[float, Gt(0.5), Le(0.999), Field(serialization_alias="sureness")] = 0.95
    n_draws: Annotated[int, Ge(50), Le(10_000)] = 200  # of the bootstrap
    ap_margin: float = 0.0  # the lower bound of the gain in average precision must be above
    money_margin: float = 0.0  # the gain in money, as measured, must be at least
    #: mature_gain: the loss in average precision on mature orders alone, as measured, may be at most
    mature_loss: Share = 0.01
    #: the lower bound of the average precision must be above so many times that of a random ranking
    chance_times: Annotated[float, Ge(0)] = 1.0
    #: the lower bound of what the history adds to the order's own columns, in average precision or in AUC, must be
    #: above
    history_margin: float = 0.0
    #: a model whose average precision is surely so many times that of a random ranking need not gain by the history
    surely_skilled_times: Annotated[float, Ge(1)] = 5.0
    max_champion_days: Days = 14.0  # a champion older than this is replaced by a challenger that is not worse
    max_loss: Share = 0.0  # "not worse" is a gain, as measured, of at least minus this
    #: policy_recall: how much less of the malice the policy may catch by the new probabilities
    policy_recall_loss: Share = 0.02
    #: policy_alerts: at most so many times the champion's alerts, or one and a quarter for each malicious order
    policy_alerts_times: Annotated[float, Ge(1)] = 1.5
    #: first_hits: how many fewer of the new rings may be caught at their first order, beyond sampling noise
    first_hit_loss: Share = 0.02
    #: alert rate at which the money caught is measured, or 1.25 times the share of malice where that is more
    money_rate: Share = 0.02
    calibration_error: Share = 0.02  # expected calibration error
    #: relative difference of predicted and observed malice, beyond sampling noise
    calibration_bias: Annotated[float, Ge(0)] = 0.4
    #: risk score from which an order counts as an alert in the gates on false positives
    review_score: Annotated[float, Ge(0), Le(1000)] = 425.0
    #: channel_false_positives, new_buyer_false_positives: highest share of innocent orders alerted, beyond sampling
    #: noise
    channel_false_positives: Share = 0.06
    new_buyer_false_positives: Share = 0.06
    min_group: Annotated[int, Ge(1)] = 200  # innocent orders below which a group is not judged
    #: own_groups: alerts among the innocents of a look-alike group, at most so many times those of plain buyers
    group_times: Annotated[float, Ge(1)] = 1.5
    alert_scores: tuple[float, ...] = (250.0, 325.0, 425.0, 500.0)  # standing thresholds on the risk score
    alert_rate_change: Share = 0.10  # largest relative difference from the rate that such a threshold stands for
    min_alerts: Annotated[int, Ge(1)] = 400  # a threshold that would give fewer alerts is not judged
    check_days: WholeDays = 3  # the newest reference days, on which the alert rate is checked
    max_model_mb: Annotated[float, Gt(0)] = 16.0  # size of the booster's text
    max_us_per_order: Annotated[float, Gt(0)] = 200.0  # scoring time on this machine
    #: population stability index of a feature between the reference days and the newest days
    drift: Annotated[float, Gt(0)] = 2.0
    #: population stability index of the score, above which drifted features count
    score_drift: Annotated[float, Ge(0)] = 0.25
    #: constant_share, varied_share: a feature is constant when one value has at least the first share of the newest
    #: days, and had less than the second of the days before
    constant_share: Share = 0.999
    varied_share: Share = 0.98
    #: patterns of feature names whose being new, constant or drifted was given notice of
    expected: tuple[str, ...] = SEASONAL
    #: least AUC of the champion on a channel's newest verdicts, or share confirmed of those it finds risky
    label_auc: Share = 0.6
    #: newest verdicts on risky orders below which a channel's verdicts are not judged
    min_label_risky: Annotated[int, Ge(1)] = 8
    duplicates: Share = 0.02  # share of the newest days' orders that repeat buyer, time and amount of another order
    #: simulated orders of each look-alike; 0 leaves them out, which the report says
    lookalike_orders: Annotated[int, Ge(0)] = 2_000


class NightSettings(_Part):
    """All settings of a night.

    Parameters
    ----------
    maturity, learning, gates : see there
    fit : LightGBM settings
    seed : of samples and bootstraps
    """

    maturity: Maturity = Maturity()
    learning: Learning = Learning()
    gates: GateBounds = GateBounds()
    fit: FitSettings = FitSettings()
    seed: Annotated[int, Ge(0)] = 20251111

    @property
    def hash(self) -> str:
        """SHA-256 over all settings, hexadecimal."""
        return hashlib.sha256(
            json.dumps(self.model_dump(mode="json", by_alias=True), sort_keys=True).encode()
        ).hexdigest()


def load_night_settings(path: Path | None) -> NightSettings:
    """Read settings from TOML; the defaults when no file is named.

    Raises
    ------
    MappingError
        The file cannot be read, or settings are wrong; all of them are named.
    """
    if path is None:
        return NightSettings()
    try:
        return NightSettings.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MappingError(
            f"{path.name} cannot be read as TOML ({type(error).__name__})", hint="docs/nightly.md shows every setting"
        ) from None
    except ValidationError as error:
        faults = "\n".join(f" - '{'.'.join(map(str, e['loc']))}': {e['msg']}" for e in error.errors())
        raise MappingError(
            f"{error.error_count()} settings in {path.name} are invalid\n{faults}",
            hint="docs/nightly.md shows every setting",
        ) from None
