"""What arrives a second time, late, early or under a name that another has: it counts once, and where it belongs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from ordervet.contract import Events, Outcome, Verdict, validate_events
from ordervet.entities import Key
from ordervet.errors import HistoryError
from ordervet.history import History
from ordervet.policy import load_policy
from ordervet.score import Scorer
from ordervet.score.durable_state import DurableState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ordervet.model import Model

KEY = Key(bytes(range(16)))
PLACED = "2026-01-15 16:00"
PLACED_US = 1_768_464_000_000_000
MINUTE, DAY = 60_000_000, 86_400_000_000


class Clock:
    def __init__(self) -> None:
        self.now = PLACED_US

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reopen(model: Model, tmp_path: Path, clock: Clock) -> Callable[[], Scorer]:
    """Open the scorer of one history, again and again."""
    History.open(tmp_path / "history", KEY, create=True)

    def open_scorer() -> Scorer:
        state = DurableState(
            History.open(tmp_path / "history", KEY), KEY, model.spec, snapshot_from=1, flush_after_s=3600, clock=clock
        )
        return Scorer(model, load_policy(), KEY, clock=clock, state=state)

    return open_scorer


@pytest.fixture(params=["memory", "store"])
def scorer(request: pytest.FixtureRequest, model: Model, reopen: Callable[[], Scorer], clock: Clock) -> Scorer:
    return reopen() if request.param == "store" else Scorer(model, load_policy(), KEY, clock=clock)


def order(name: str = "t1", **changes: Any) -> dict[str, Any]:
    return {
        "order_id": name, "placed_at": PLACED, "amount_minor": 10_000, "buyer_id": "b", "phone": "19900001111",
        "item_id": "sku",
    } | changes  # fmt: skip


def count(scorer: Scorer, name: str, one: dict[str, Any]) -> float:
    """A feature of an order that arrives now."""
    served: dict[str, float] = {}
    take = scorer._state.add_order

    def spy(live: Any) -> Any:
        taken = take(live)
        assert taken.matrix is not None
        served.update(zip(scorer.model.spec.names, taken.matrix[0].tolist(), strict=True))  # type: ignore[union-attr]
        return taken

    scorer._state.add_order = spy  # type: ignore[method-assign]
    scorer.score(one)
    scorer._state.add_order = take  # type: ignore[method-assign]
    return served[name]


def test_decision_that_came_too_late_is_given_to_whoever_asks_again(
    scorer: Scorer, reopen: Callable[[], Scorer], model: Model, clock: Clock
) -> None:
    in_time = Scorer(model, load_policy(), KEY, clock=clock).score(order())
    scorer._deadline_ms = 0.0

    late = scorer.score(order())
    scorer._deadline_ms = None
    clock.now += MINUTE
    again = scorer.score(order())

    assert (late.code, late.action) == ("UNSCORED_LATE", "pass")
    assert again == in_time
    if scorer.backlog is not None:
        scorer.close()
        assert reopen().score(order()) == in_time


def test_order_that_is_sent_again_gets_the_same_decision_and_counts_once(scorer: Scorer, clock: Clock) -> None:
    first = scorer.score(order())
    clock.now += 2_000_000
    for n in range(3):
        scorer.score(order(f"other{n}"))
    clock.now += 2_000_000

    assert scorer.score(order()) == first
    assert scorer.score_many([order(), order("new"), order()])[::2] == [first, first]
    clock.now += 1
    assert count(scorer, "buyer__count__order__90d", order("next")) == 5


def test_decision_survives_a_restart_flushed_or_not(reopen: Callable[[], Scorer], clock: Clock) -> None:
    scorer = reopen()
    first = scorer.score(order())
    scorer.flush()
    clock.now += MINUTE
    second = scorer.score(order("t2"))
    scorer.close()
    clock.now += DAY

    with reopen() as again:
        assert [again.score(order()), again.score(order("t2"))] == [first, second]
        assert again.score_many([order("t2")]) == [second]


def test_order_is_scored_again_on_purpose_by_what_is_known_now(scorer: Scorer, clock: Clock) -> None:
    first = scorer.score(order())
    for n in range(5):
        clock.now += MINUTE
        scorer.score(order(f"n{n}"))
        scorer.observe(Verdict(order_id=f"n{n}", verdict="malicious", decided_at=PLACED))
    clock.now += MINUTE

    anew = scorer.rescore(order())

    assert anew.seen_at is not None
    assert anew.seen_at > first.seen_at  # type: ignore[operator]
    assert anew.p_malicious != first.p_malicious
    assert scorer.rescore("t1").p_malicious == anew.p_malicious
    assert scorer.score(order()).p_malicious == anew.p_malicious
    assert scorer.rescore("unknown").code == "UNSCORED_INVALID_ORDER"
    assert scorer.rescore(order("t9")).code == "SCORED"


def test_orders_of_a_history_are_scored_again_as_the_running_scorer_does(
    reopen: Callable[[], Scorer], clock: Clock, model: Model, tmp_path: Path
) -> None:
    with reopen() as scorer:
        first = scorer.score(order())
        for n in range(5):
            clock.now += MINUTE
            scorer.score(order(f"n{n}"))
            scorer.observe(Verdict(order_id=f"n{n}", verdict="malicious", decided_at=PLACED))
        clock.now += MINUTE
        live = scorer.rescore("t1")
    events = History.open(tmp_path / "history", KEY).read()

    scored = Scorer(model, load_policy(), KEY).score_events(events, order_ids=pa.array(["t1"]), again_at_us=clock.now)

    assert scored.order_ids == ["t1"]
    assert scored.p_malicious.tolist() == [live.p_malicious] != [first.p_malicious]
    with pytest.raises(HistoryError, match="before the last event"):
        Scorer(model, load_policy(), KEY).score_events(events, again_at_us=PLACED_US)


def test_what_was_changed_is_kept_beside_what_was_known(
    reopen: Callable[[], Scorer], tmp_path: Path, clock: Clock
) -> None:
    scorer = reopen()
    scorer.score(order())
    clock.now += MINUTE
    scorer.score(order(amount_minor=8_000, category="coats"))
    scorer.close()

    orders = History.open(tmp_path / "history", KEY).read().orders
    assert orders.select(["amount_minor", "category"]).to_pylist() == [{"amount_minor": 8_000, "category": "coats"}]
    rows = History.open(tmp_path / "history", KEY)._read_rows(all_views=True)
    assert sorted(row["amount_minor"] for row in rows.to_pylist() if row["event"] == "order") == [8_000, 10_000]


def test_orders_of_two_shops_under_one_id_are_two(scorer: Scorer, clock: Clock) -> None:
    scorer.score(order(shop_id="a"))
    clock.now += MINUTE

    assert count(scorer, "buyer__count__order__90d", order(shop_id="b", buyer_id="zoe", phone="19900002222")) == 0
    scorer.observe(Outcome(order_id="t1", shop_id="b", kind="refund_requested", happened_at=PLACED))
    with pytest.raises(HistoryError, match="does not say which"):
        scorer.observe(Outcome(order_id="t1", kind="claim", happened_at=PLACED))
    clock.now += MINUTE
    requested = "buyer__count__refund_requested__90d"
    assert count(scorer, requested, order("t2", buyer_id="zoe", phone="19900002222")) == 1
    assert count(scorer, requested, order("t3")) == 0


def test_other_order_under_a_name_is_not_taken_for_the_first(scorer: Scorer, clock: Clock) -> None:
    scorer.score(order())
    clock.now += 60 * MINUTE

    stranger = order(placed_at="2099-01-01 00:00", buyer_id="zoe", phone="19900002222")
    assert count(scorer, "buyer__count__order__90d", stranger) == 0
    assert scorer.score(stranger) == scorer.score(stranger)


@pytest.mark.parametrize("numbers", [(None, None), ("r1", "r1"), (None, "r1")])
def test_refund_told_twice_counts_once(scorer: Scorer, clock: Clock, numbers: tuple[str | None, str | None]) -> None:
    scorer.score(order())
    for number, amount in zip(numbers, (None, 6_000), strict=True):
        clock.now += MINUTE
        told = {"outcome_id": number, "amount_minor": amount, "happened_at": PLACED}
        scorer.observe(Outcome(order_id="t1", kind="refund_requested", **told))
        scorer.observe(Outcome(order_id="t1", kind="refund_requested", **told))
    clock.now += MINUTE

    assert count(scorer, "buyer__count__refund_requested__90d", order("t2")) == 1


def test_refund_that_came_before_its_order_counts_from_the_orders_arrival(scorer: Scorer, clock: Clock) -> None:
    clock.now += 2 * MINUTE
    scorer.observe(Outcome(order_id="t1", kind="refund_requested", happened_at=PLACED))
    scorer.observe(Outcome(order_id="t0", kind="refund_requested", happened_at="2026-01-15 15:00"))
    clock.now += MINUTE
    name = "buyer__count__refund_requested__90d"
    assert count(scorer, name, order("early")) == 0
    clock.now += MINUTE
    scorer.score(order("t1"))
    scorer.score(order("t0"))  # its refund is from before it was placed
    clock.now += 1

    assert count(scorer, name, order("late")) == 1


def test_what_lies_ahead_waits_until_its_time(
    reopen: Callable[[], Scorer], scorer: Scorer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    scorer.score(order())
    ahead = Outcome(order_id="t1", kind="cancelled_unpaid", happened_at="2026-01-18 16:00", is_inferred=True)
    scorer.observe(ahead)
    name = "buyer__share__cancelled_unpaid__90d"

    for days, expected in ((1, 0), (2, 0), (4, 1)):
        clock.now = PLACED_US + days * DAY
        share = count(scorer, name, order(f"d{days}"))
        assert (share > 0) == bool(expected)
        if scorer._state.history_version is not None:
            scorer.close()
            scorer = reopen()
    assert "behind" not in caplog.text
    scorer.close()


def test_what_was_told_counts_from_its_arrival_whatever_its_clock_says(scorer: Scorer, clock: Clock) -> None:
    scorer.score(order())
    scorer.observe(Outcome(order_id="t1", kind="claim", happened_at="2026-01-15 23:59"))
    clock.now += MINUTE

    assert count(scorer, "buyer__count__claim__90d", order("t2")) == 1


def test_erased_order_that_is_sent_again_is_decided_about_and_never_counts(
    reopen: Callable[[], Scorer], clock: Clock
) -> None:
    name = "buyer__count__order__90d"
    with reopen() as scorer:
        scorer.score(order())
        scorer.erase_buyer("b")
        clock.now += MINUTE
        codes = [scorer.score(order()).code, scorer.score(order("t0")).code]
    clock.now += MINUTE
    with reopen() as scorer:
        counted = [count(scorer, name, order("t2", placed_at="2099-01-01 00:00"))]
        codes.append(scorer.score(order()).code)
        clock.now += MINUTE
        counted.append(count(scorer, name, order("t3", placed_at="2099-01-01 00:00")))

    assert codes == ["SCORED"] * 3
    assert counted == [0, 1]


def test_explaining_an_order_tells_its_decision_and_changes_none_that_follows(
    scorer: Scorer, model: Model, clock: Clock
) -> None:
    plain = Scorer(model, load_policy(), KEY, clock=clock)
    explained = {}
    for n in range(20):
        one = order(f"t{n}", buyer_id=f"b{n % 3}", amount_minor=1_000 * n)
        decision = scorer.score(one)
        assert decision == plain.score(one)
        if n % 2:
            explained[n] = scorer.explain(f"t{n - 1}")
        clock.now += 1_000_000 * (n % 3)

    assert {n: found[0].order_id for n, found in explained.items() if found} == {n: f"t{n - 1}" for n in explained}
    assert all(found and found[0] == plain.score(order(f"t{n - 1}")) for n, found in explained.items())
    assert all(found and found[1] for found in explained.values())
    assert scorer.explain("nobody") is None


@pytest.mark.parametrize("is_bulk", [False, True])
def test_edited_refund_counts_as_it_was_edited(scorer: Scorer, clock: Clock, *, is_bulk: bool) -> None:
    told = {"order_id": "t1", "kind": "refund_requested", "outcome_id": "r1", "happened_at": PLACED}
    first, name = Outcome(**told, amount_minor=4_000), "buyer__share__refund_requested__90d"
    clock.now += MINUTE
    if is_bulk:
        empty = Events.empty()
        orders, outcomes = validate_events("orders", [order()]), validate_events("outcomes", [first])
        scorer.score_events(Events(orders, outcomes, empty.verdicts, empty.corrections))
    else:
        scorer.score(order())
        scorer.observe(first)
    clock.now += MINUTE
    assert count(scorer, name, order("t2")) == pytest.approx(0.4)
    clock.now += MINUTE
    scorer.observe(Outcome(**told, amount_minor=10_000))
    clock.now += MINUTE

    assert count(scorer, name, order("t3")) == pytest.approx(0.5)


def test_edited_address_counts_for_orders_that_follow(scorer: Scorer, clock: Clock) -> None:
    name, disguise = "address__distinct__buyer__90d", "浙江省杭州市西湖区文三路 9 号 1 幢 101 室"
    scorer.score(order())
    clock.now += MINUTE
    scorer.score(order(address=disguise))
    clock.now += MINUTE

    assert count(scorer, name, order("t2", buyer_id="zoe", phone="19900002222", address=disguise)) == 1


def test_what_says_nothing_new_builds_no_state_again(
    scorer: Scorer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"order_id": "t1", "kind": "refund_requested", "outcome_id": "r1", "happened_at": PLACED}
    scorer.score(order())
    scorer.observe(Outcome(**told, amount_minor=4_000))
    monkeypatch.setattr(type(scorer._state), "rebuild", lambda *_: pytest.fail("built again"))
    clock.now += MINUTE
    scorer.observe(Outcome(**told, amount_minor=4_000, updated_at="2026-01-15 16:01"))
    scorer.observe(Outcome(**told))

    scorer.score(order(currency="CNY"))


def test_edit_that_cannot_be_counted_yet_is_kept_and_counts_later(
    reopen: Callable[[], Scorer], clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told = {"order_id": "t1", "kind": "refund_requested", "outcome_id": "r1", "happened_at": PLACED}
    name, scorer = "buyer__share__refund_requested__90d", reopen()
    scorer.score(order())
    scorer.observe(Outcome(**told, amount_minor=4_000))

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ordervet.history.delta.sync_table", fail)
    clock.now += MINUTE
    scorer.observe(Outcome(**told, amount_minor=10_000))
    assert count(scorer, name, order("t2")) == pytest.approx(0.4)
    monkeypatch.undo()
    scorer._state._rests_until = 0.0
    clock.now += MINUTE

    assert count(scorer, name, order("t3")) == pytest.approx(0.5)
    assert caplog.text.count("amended events do not count yet") == 1
    scorer.close()
