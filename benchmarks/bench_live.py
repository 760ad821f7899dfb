"""Time single orders in a running scorer: python benchmarks/bench_live.py [--events 5000000] [--store].

Each order is a dict with everything that a shop knows. What is timed is the whole of ``Scorer.score``: the contract,
ids, features, forest, decision, and remembering the order; with ``--store`` also its entry in the journal, which the
system has when the answer is given, and the disk a twentieth of a second later (no call waits for the disk). Orders
that pass and orders that are flagged (with reasons and script) are told apart; the first 500 warm up and are left out.
Then a refund of each order is requested, and ``Scorer.score_claim`` is timed: of what is paid at once, and the rest.
With ``--store`` the orders are in the table by then.

Beside the time on the clock stands the processor time of the thread, which leaves out most of what other programs on
the machine took. The line "idle" is what the two clocks themselves take, for a machine that is shared.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
from bench_features import DAY, draw_events

from ordervet.entities import Key, load_key
from ordervet.history import History
from ordervet.model import ForestPredictor, find_live_model, load_model
from ordervet.policy import Action, load_policy
from ordervet.policy.claims import ClaimAnswer
from ordervet.score import Scorer, find_bundled_models
from ordervet.score.durable_state import DurableState
from ordervet.score.online_state import OnlineState

WARM_UP = 500


def build_order(n: int, *, is_suspect: bool) -> dict[str, object]:
    """An order of a buyer of its own; a suspect one shares all it has with many."""
    who = n % 3 if is_suspect else n
    return {
        "order_id": f"T{n}",
        "placed_at": "2025-12-12 20:03:07",
        "amount_minor": 12_900 + n % 977,
        "discount_minor": 9_000 if is_suspect else 0,
        "quantity": 1,
        "buyer_id": f"b-{n}",
        "buyer_registered_at": "2025-12-12 09:00" if is_suspect else "2021-03-04 10:00",
        "recipient": "张" + "一二三四五六七八九十"[who % 10] + "明",
        "address": f"浙江省杭州市西湖区文三路 {who % 4000 + 1} 号 {who % 9 + 1} 栋 {who % 20 + 1}02",
        "phone": f"139{who % 90_000_000 + 10_000_000:08d}",
        "device_id": f"device-{who}",
        "ip": f"119.{who // 60_000 % 200 + 1}.{who // 250 % 240}.{who % 250 + 1}",
        "payment_account": f"account-{who}",
        "item_id": f"sku-{n % 300}",
        "category": "home",
        "shop_id": "shop-1",
        "channel": "search",
    }


def build_claim(n: int) -> dict[str, object]:
    """A refund request about an order."""
    return {
        "order_id": f"T{n}",
        "outcome_id": f"R{n}",
        "happened_at": "2025-12-16 20:00",
        "refund_type": ("return_and_refund", "before_shipping", "refund_only")[n % 3],
        "amount_minor": 12_900 + n % 977,
        "reason": ("changed_mind", "other", "damaged")[n % 3],
        "has_evidence": n % 2 == 0,
    }


def tell(name: str, seconds: list[tuple[float, float]]) -> None:
    """Print the median and the 99th percentile, in microseconds."""
    if not seconds:
        return
    wall, thread = np.percentile(np.array(seconds) * 1e6, (50, 99), axis=0).T
    print(
        f"{name:>8}: {len(seconds):6,} times, p50 {wall[0]:7.1f} µs, p99 {wall[1]:8.1f} µs; "
        f"processor time p50 {thread[0]:7.1f} µs, p99 {thread[1]:8.1f} µs"
    )


def main() -> None:
    """Fill a state, then time orders one by one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="events in the state before the first order")
    parser.add_argument("--orders", type=int, default=5_000)
    parser.add_argument("--store", action="store_true", help="journal every order in a history store")
    chosen = parser.parse_args()
    logging.disable(logging.WARNING)
    model = load_model(find_live_model(find_bundled_models()))
    spec = model.claim_spec
    key = Key(bytes(16)) if chosen.store else load_key()
    with tempfile.TemporaryDirectory() as folder:
        if chosen.store:
            state: OnlineState = DurableState(History.open(Path(folder) / "history", key, create=True), key, spec)
        else:
            state = OnlineState(key, spec)
        orders, later = draw_events(chosen.events * 3 // 4, spec)
        state._engine.advance(orders, later)  # noqa: SLF001 - events are drawn as arrays, not as orders
        scorer = Scorer(
            model, load_policy(), key, predictor=ForestPredictor(model.booster_text), state=state,
            clock=lambda: 120 * DAY + time.perf_counter_ns() // 1_000,
        )  # fmt: skip
        timed: dict[str, list[tuple[float, float]]] = {"passed": [], "flagged": [], "paid": [], "asked": [], "idle": []}
        for n in range(chosen.orders + WARM_UP):
            order = build_order(n, is_suspect=n % 10 == 9)
            wall, thread = time.perf_counter(), time.thread_time()
            timed["idle"].append((time.perf_counter() - wall, time.thread_time() - thread))
            wall, thread = time.perf_counter(), time.thread_time()
            decision = scorer.score(order)
            spent = time.perf_counter() - wall, time.thread_time() - thread
            if n >= WARM_UP:
                timed["passed" if decision.action is Action.PASS else "flagged"].append(spent)
        state.flush()
        for n in range(chosen.orders + WARM_UP):
            claim = build_claim(n)
            wall, thread = time.perf_counter(), time.thread_time()
            answer = scorer.score_claim(claim).answer
            spent = time.perf_counter() - wall, time.thread_time() - thread
            if n >= WARM_UP:
                timed["paid" if answer is ClaimAnswer.PAY_NOW else "asked"].append(spent)
        scorer.close()
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"{chosen.events:,} events before, {len(model.spec.names)} features, model {model.model_id}, one thread")
    journal = "with a journal, no fsync within a call" if chosen.store else "without a store"
    print(f"{journal}; {WARM_UP} orders to warm up; events are drawn at random")
    print(f"Python {platform.python_version()}, load {load}")
    for name, seconds in timed.items():
        tell(name, seconds)


if __name__ == "__main__":
    main()
