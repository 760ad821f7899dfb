"""Time one live order under policies of every kind: python benchmarks/bench_policies.py [--blocks 40].

Scorers of one model take turns, block by block, so that a busy machine slows all of them alike; orders are of buyers of
their own, and pass. The aim: lists, rules, quotas, a capacity, test orders, and all of them together cost at most 1.5
times the default policy.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import ordervet.policy
from ordervet import Scorer
from ordervet.entities import Key
from ordervet.model import find_bundled_models, find_serving_model, load_model
from ordervet.policy import load_policy

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = Key(bytes(range(16)))
WANTED = 1.5
PER_BLOCK = 200
LISTS = "\n[lists]\nfiles = ['lists.csv']\n"
RULES = "".join(
    f"\n[[rules]]\nname = 'rule{number}'\nwhen = '{when}'\naction = 'review'\nowner = 'risk'\n"
    for number, when in enumerate(
        (
            "amount_minor >= 4000000",
            'channel == "live" and quantity > 5',
            "buyer__count__order__90d > 40",
            "discount_minor * 2 > amount_minor",
            "order__value__hour < 0",
        )
    )
)
QUOTAS = "".join(
    f"\n[[quotas]]\nname = '{of}'\nof = '{of}'\nmost = 2\nowner = 'risk'\n" for of in ("item_id", "campaign")
)
CAPACITY = "\n[capacity]\nn = 300\n"
SHIFTS = (
    "\n[capacity]\nn = 300\nshifts = [{start = '09:00', end = '18:00'}, {start = '18:00', end = '24:00'}]\n"
    "plan = {'00:00' = 500, '09:00' = 4000, '18:00' = 9000}\n"
)
TEST_ORDERS = "allow_test_orders = true\n"
POLICIES = {
    "default": "",
    "a list of 1,000": LISTS,
    "five rules": RULES,
    "two quotas": QUOTAS,
    "a capacity": CAPACITY,
    "a capacity with shifts and a plan": SHIFTS,
    "test orders allowed": TEST_ORDERS,
    "all of them but quotas": TEST_ORDERS + LISTS + RULES + SHIFTS,
    "all of them": TEST_ORDERS + LISTS + RULES + QUOTAS + SHIFTS,
}


def write_policy(folder: Path, name: str, text: str) -> Path:
    """Write the default policy with something more."""
    shipped = (Path(ordervet.policy.__file__).parent / "default_policy.toml").read_text(encoding="utf-8")
    if text.startswith(TEST_ORDERS):
        shipped, text = (
            shipped.replace('name = "default"\n', 'name = "default"\n' + TEST_ORDERS),
            text[len(TEST_ORDERS) :],
        )
    path = folder / f"{name.replace(' ', '-')}.toml"
    path.write_text(shipped + text, encoding="utf-8")
    return path


def build_orders() -> Iterator[dict[str, Any]]:
    """Orders of buyers of their own."""
    number = 0
    while True:
        number += 1
        yield {
            "order_id": f"T{number}",
            "placed_at": "2025-12-12 20:03:07",
            "amount_minor": 12_900 + number % 977,
            "buyer_id": f"b-{number}",
            "buyer_registered_at": "2021-03-04 10:00",
            "address": f"浙江省杭州市西湖区文三路 {number % 4000 + 1} 号 {number % 9 + 1} 栋 {number % 20 + 1}02",
            "phone": f"139{number % 90_000_000 + 10_000_000:08d}",
            "device_id": f"device-{number}",
            "item_id": f"sku-{number % 300}",
            "channel": "search",
        }


def main() -> int:
    """Time all policies; return 1 where one costs too much."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=40)
    chosen = parser.parse_args()
    logging.disable(logging.WARNING)
    os.environ["ORDERVET_KEY"] = KEY.to_hex()
    sys.stdout.write(f"load {os.getloadavg()[0]:.1f}, {len(os.sched_getaffinity(0))} processors\n")
    model, orders = load_model(find_serving_model(find_bundled_models())), build_orders()
    times: dict[str, list[float]] = {name: [] for name in POLICIES}
    with tempfile.TemporaryDirectory() as name:
        lines = [f"deny,phone,1370000{number:04d},,2099-12-31,desk,none" for number in range(1_000)]
        head = "list,entity,value,id,expires,owner,note"
        (Path(name) / "lists.csv").write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
        policies = {each: load_policy(write_policy(Path(name), each, text)) for each, text in POLICIES.items()}
        scorers = {each: Scorer(model, policy, KEY) for each, policy in policies.items()}
        for _ in range(chosen.blocks):
            for each, scorer in scorers.items():
                for _ in range(PER_BLOCK):
                    order = next(orders)
                    started = time.perf_counter()
                    scorer.score(order)
                    times[each].append(time.perf_counter() - started)
    p50 = {each: float(np.median(taken[PER_BLOCK:])) for each, taken in times.items()}
    for each, taken in p50.items():
        sys.stdout.write(f"{each:>34}: p50 {taken * 1e6:6.1f} µs, {taken / p50['default']:.2f} times the default\n")
    return 0 if max(p50.values()) <= WANTED * p50["default"] else 1


if __name__ == "__main__":
    sys.exit(main())
