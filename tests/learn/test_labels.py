"""When a label is mature, and what delay does not do to what is learned."""

from __future__ import annotations

import numpy as np
import pytest

from ordervet.errors import MappingError
from ordervet.history.slices import Timeline
from ordervet.learn.labels import DAY_US, label_mature_orders, measure_maturity
from ordervet.learn.night_settings import GateBounds, Maturity, NightSettings, load_night_settings

AS_OF_US = 100 * DAY_US
MATURITY = Maturity(
    order_days=10.0, verdict_days={"malicious": 2.0, "innocent": 0.0}, outcome_days={"claim": 5.0, "chargeback": 20.0}
)


def timeline(orders: list[float], *later: tuple[int, float, str]) -> Timeline:
    """Orders placed so many days ago; and what happened to which of them, so many days ago."""
    kinds = tuple(sorted({what for *_, what in later}))
    later_by_age = sorted(later, key=lambda each: -each[1])
    return Timeline(
        order_id=np.arange(1, len(orders) + 1, dtype=np.uint64),
        order_seen_at=AS_OF_US - (np.array(orders) * DAY_US).astype(np.int64),
        later_row=np.array([row for row, *_ in later_by_age], np.int64),
        later_seen_at=np.array([AS_OF_US - int(days * DAY_US) for _, days, _ in later_by_age], np.int64),
        later_kind=np.array([kinds.index(what) for *_, what in later_by_age], np.int8),
        kinds=kinds,
        digest="",
    )


def label(orders: list[float], *later: tuple[int, float, str]) -> list[int]:
    return label_mature_orders(timeline(orders, *later), as_of_us=AS_OF_US, maturity=MATURITY).label.tolist()


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        ([], 0),
        ([(0, 3, "malicious")], 1),
        ([(0, 1, "malicious")], -1),
        ([(0, 0.1, "innocent")], 0),
        ([(0, 3, "unsure")], -1),
        ([(0, 9, "malicious"), (0, 4, "innocent")], 0),
        ([(0, 9, "malicious"), (0, 4, "correction")], 0),
        ([(0, 9, "malicious"), (0, 4, "unsure")], -1),
        ([(0, 9, "innocent"), (0, 4, "malicious")], 1),
        ([(0, 9, "innocent"), (0, 1, "malicious")], -1),
        ([(0, 9, "malicious"), (0, 9, "innocent")], 0),
        ([(0, 4, "claim")], -1),
        ([(0, 6, "claim")], 0),
        ([(0, 15, "chargeback")], -1),
        ([(0, 4, "claim"), (0, 3, "malicious")], 1),
        ([(0, 1, "refund_requested")], 0),
    ],
)
def test_mature_order_is_what_its_standing_judgement_or_its_silence_says(
    later: list[tuple[int, float, str]], expected: int
) -> None:
    assert label([30.0], *later) == [expected]


def test_fresh_order_is_not_learned_from_whatever_is_known_of_it() -> None:
    judged = [(1, 5, "malicious"), (2, 5, "innocent")]

    assert label([9.9, 9.8, 9.7], *judged) == [-1, -1, -1]


def test_share_of_malice_does_not_depend_on_the_age_of_the_orders() -> None:
    rng = np.random.default_rng(1)
    placed = np.sort(rng.uniform(0, 90, 60_000))[::-1]
    is_malicious = rng.random(len(placed)) < 0.05
    comes = placed - rng.gamma(2.0, 1.5, len(placed))
    later = [(row, comes[row], "malicious") for row in np.flatnonzero(is_malicious & (comes > 2.0)).tolist()]

    labels = np.array(label(placed.tolist(), *later))

    known = labels >= 0
    by_age = [labels[known & (placed >= low) & (placed < low + 10)].mean() for low in range(10, 90, 10)]
    assert max(by_age) - min(by_age) < 0.012
    as_they_come = np.array([(placed < 10)[row] for row, *_ in later]).sum()
    assert as_they_come > 0
    assert not known[placed < 10].any()


def test_maturity_curve_is_the_share_of_verdicts_that_had_come() -> None:
    placed = [95.0] * 4 + [1.0]
    known = timeline(placed, (0, 94.5, "malicious"), (1, 92, "malicious"), (2, 85, "malicious"), (3, 90, "innocent"))
    labels = label_mature_orders(known, as_of_us=AS_OF_US, maturity=MATURITY)

    curve = measure_maturity(known, labels, days=20)

    assert (curve[0], curve[2], curve[3], curve[9], curve[10], curve[20]) == pytest.approx(
        (1 / 3, 1 / 3, 2 / 3, 2 / 3, 1, 1)
    )


def test_wrong_settings_are_all_named_at_once(tmp_path) -> None:
    path = tmp_path / "night.toml"
    path.write_text("[maturity]\norder_days = -1\noutcome_days = { gossip = 3 }\n[gates]\ndrfit = 1\n")

    with pytest.raises(MappingError, match=r"(?s)settings in night.toml are invalid.*order_days.*drfit"):
        load_night_settings(path)


def test_setting_under_its_former_name_works_with_a_warning(tmp_path) -> None:
    path = tmp_path / "night.toml"
    path.write_text("[gates]\nsureness = 0.9\n")

    with pytest.warns(FutureWarning, match="'sureness' is now called 'confidence_level'"):
        read = load_night_settings(path)

    assert read.gates.confidence_level == 0.9
    assert read.hash == NightSettings(gates=GateBounds(confidence_level=0.9)).hash


def test_early_labels_are_kept_apart_with_the_share_of_malice_that_is_known_by_then() -> None:
    old = [50.0] * 40 + [30.0]
    verdicts = [(row, 50.0 - (1 + row % 4), "malicious") for row in range(40)]  # one, two, three, four days after
    young = [9.0, 5.5, 4.5, 3.5, 3.5, 0.5]
    later = [*verdicts, (43, 4.0, "malicious"), (44, 1.0, "malicious"), (45, 1.0, "claim")]

    labels = label_mature_orders(timeline([*old, *young], *later), as_of_us=AS_OF_US, maturity=MATURITY)

    assert labels.label[41:].tolist() == [-1] * 6
    assert labels.early[:41].tolist() == [-1] * 41
    assert labels.early[41:].tolist() == [0, 0, 1, -1, -1, 0]
    assert (labels.known_share[:41] == 1).all()
    # A verdict counts two days after it came: of the mature ones by the age of three, four, five and six days.
    np.testing.assert_allclose(labels.known_share[41:], np.array([40, 30, 20, 10, 10, 0]) / 41)


def test_nothing_is_known_early_where_few_verdicts_tell_how_fast_they_come() -> None:
    known = timeline([50.0, 5.0], (0, 49.0, "malicious"), (1, 4.0, "malicious"))

    labels = label_mature_orders(known, as_of_us=AS_OF_US, maturity=MATURITY)

    assert labels.known_share.tolist() == [1.0, 0.0]
