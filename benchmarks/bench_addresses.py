"""Prove and time canonical addresses: python benchmarks/bench_addresses.py.

Makes 50,000 addresses in 300 cities and disguises each by one to three tricks; makes 200,000 pairs that differ in one
thing; makes 60,000 Western addresses of ten countries and writes each house in three ways; ranks the graded pairs
beside the project, if they are there; and times the kernel against its definition on one core. ``--only PART`` runs one
part. Every bound is asserted, every figure printed. ``--quick`` takes a tenth; ``--no-bounds`` prints without asserting
the speed, for a machine that is busy.
"""

from __future__ import annotations

import argparse
import platform
import random
import statistics
import sys
import time
from collections import Counter
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

from build_similarity_forests import is_fitting_half, read_pairs  # noqa: E402 -- likewise

from entities.address.address_makers import DIFFERENCES, LOW_DANGER, TRICKS, disguise, make_pair, make_parts, write  # noqa: E402 -- found by the line above
from entities.address.western_makers import COUNTRIES, make_house, write_house  # noqa: E402 -- likewise
from ordervet.entities import Key, hash_text, key_addresses, parse_address, place_similarity  # noqa: E402 -- likewise
from ordervet.entities.address.address_columns import DOOR, PLACE  # noqa: E402 -- likewise

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEY = Key(bytes(range(16)))
PAIRS = ROOT.parent / "shared" / "data" / "addr_pairs_ccks2021_r1" / "pairs_fold0.csv.gz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the addresses and pairs")
    parser.add_argument("--no-bounds", action="store_true", help="print the speed without asserting it")
    names = ("recall", "merges", "western", "graded", "speed")
    parser.add_argument("--only", choices=names, action="append", help="run this part alone; may be repeated")
    options = parser.parse_args()
    share = 10 if options.quick else 1
    parts = {
        "recall": lambda: measure_recall(50_000 // share),
        "merges": lambda: measure_merges(200_000 // share),
        "western": lambda: measure_western(60_000 // share),
        "graded": measure_graded_pairs,
        "speed": lambda: measure_speed(is_asserted=not options.no_bounds),
    }
    for name in options.only or names:
        parts[name]()


def measure_recall(n_addresses: int) -> None:
    rng = random.Random(1)  # noqa: S311 -- nothing is secret here
    parts = [make_parts(rng) for _ in range(n_addresses)]
    tricks = [frozenset(rng.sample(TRICKS, rng.randint(1, 3))) for _ in parts]
    plain = key_addresses(pa.array([write(part) for part in parts]), KEY)
    disguised = key_addresses(
        pa.array([disguise(part, those, rng) for part, those in zip(parts, tricks, strict=True)]), KEY
    )
    is_same_door = (plain.doors != 0) & (plain.doors == disguised.doors)
    is_same_place = (plain.places != 0) & (plain.places == disguised.places)
    n_cities = len({(part.province, part.city) for part in parts})
    print(f"{n_addresses:,} addresses in {n_cities} cities, one to three tricks")
    for trick in TRICKS:
        rows = np.array([trick in those for those in tricks])
        door, building = share(is_same_door[rows]), share(is_same_place[rows])
        print(f"  with {trick:9} {rows.sum():7,}  same door {door}  same building {building}")
    is_low = np.array([those <= set(LOW_DANGER) for those in tricks])
    is_kept = np.array(["suffix" not in those for those in tricks])
    print(f"  without a made-up suffix {is_kept.sum():,}  same door {share(is_same_door[is_kept])}")
    print(f"  low-danger only {is_low.sum():6,}  same door {share(is_same_door[is_low])}")
    print(f"  all        {n_addresses:9,}                      same building {share(is_same_place)}")
    assert is_same_door[is_low].mean() >= 0.99
    assert is_same_door[is_kept].mean() >= 0.98
    assert is_same_place.mean() >= 0.995


def measure_merges(n_pairs: int) -> None:
    rng = random.Random(2)  # noqa: S311 -- nothing is secret here
    differences = [DIFFERENCES[at % len(DIFFERENCES)] for at in range(n_pairs)]
    pairs = [make_pair(rng, difference) for difference in differences]
    tricks = ("junk", "digits", "variants", "synonyms", "numerals")
    texts = [
        [disguise(part, frozenset(rng.sample(tricks, at % 2)), rng) for part in pair] for at, pair in enumerate(pairs)
    ]
    first, second = (key_addresses(pa.array(side), KEY).doors for side in zip(*texts, strict=True))
    merged = Counter(np.array(differences)[first == second].tolist())
    print(f"{n_pairs:,} pairs that differ in one of {', '.join(DIFFERENCES)}: {merged.total()} share a door key")
    assert (first != 0).all()
    assert (second != 0).all()
    assert merged.total() == 0, merged


def measure_western(n_houses: int) -> None:
    """Assert that no two houses are one place, and that a house written in three ways is nearly always one door."""
    rng = random.Random(4)  # noqa: S311 -- nothing is secret here
    houses = [make_house(rng, country) for _ in range(n_houses // len(COUNTRIES)) for country in COUNTRIES]
    plain = key_addresses(pa.array([write_house(house, None) for house in houses]), KEY)
    others = [key_addresses(pa.array([write_house(house, rng) for house in houses]), KEY) for _ in range(2)]
    is_one = (plain.doors != 0) & np.all([plain.doors == other.doors for other in others], axis=0)
    at_place: dict[int, set[object]] = {}
    for place, house in zip(plain.places.tolist(), houses, strict=True):
        at_place.setdefault(place, set()).add(replace(house, unit=""))
    merged = sum(len(those) > 1 for those in at_place.values())
    print(f"{len(houses):,} Western houses of {len(COUNTRIES)} countries: {merged} places hold two houses")
    print(f"  one door in three ways {share(is_one)}")
    for country in COUNTRIES:
        print(f"    {country} {share(is_one[[house.country == country for house in houses]])}")
    assert (plain.places != 0).all()
    assert merged == 0
    assert is_one.mean() >= 0.95


def measure_graded_pairs() -> None:
    from sklearn.metrics import roc_auc_score

    if not PAIRS.exists():
        print("graded pairs: not beside the project, not measured")
        return
    pairs = read_pairs(PAIRS)
    grades = np.array([grade for _, _, grade in pairs])
    first, second = (key_addresses(pa.array(side), KEY) for side in list(zip(*pairs, strict=True))[:2])
    is_shared = (first.places != 0) & (first.places == second.places)
    merged, found = is_shared[grades == 0].mean(), is_shared[grades == 2].mean()
    print(f"graded pairs of one place: {found:.3%} of {np.sum(grades == 2):,} share a building key")
    print(f"{len(pairs):,} graded pairs: {merged:.3%} of {np.sum(grades == 0):,} unrelated share a building key")
    similarities = np.array([place_similarity(a, b) for a, b, _ in pairs])
    bigrams = np.array([share_bigrams(a, b) for a, b, _ in pairs])
    is_fitted = np.array([is_fitting_half(a) for a, _, _ in pairs])
    for name, rows in (("held-out half", ~is_fitted), ("fitted half", is_fitted)):
        full, some = (roc_auc_score(grades[rows] >= grade, similarities[rows]) for grade in (2, 1))
        print(f"  AUC, {name}: full against rest {full:.4f}, any against none {some:.4f}")
        assert full >= 0.85
        assert some >= 0.80
    full, some = (roc_auc_score(grades >= grade, bigrams) for grade in (2, 1))
    print(f"  AUC of shared bigrams: full against rest {full:.4f}, any against none {some:.4f}")
    assert merged <= 0.002


def measure_speed(*, is_asserted: bool) -> None:
    texts = make_typical(200_000)
    column = pa.array(texts)
    key_addresses(column[:10], KEY)
    timed = [time_kernel(column) for _ in range(7)]
    kernel, on_cpu = (statistics.median(each) for each in zip(*timed, strict=True))
    started = time.perf_counter()
    for text in texts[:2_000]:
        address = parse_address(text)
        hash_text(address.door_text, KEY, DOOR)
        hash_text(address.place_text, KEY, PLACE)
    twin = 2_000 / (time.perf_counter() - started)
    best = max(time_kernel(column)[0] for _ in range(7))
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "pyarrow"))
    length = statistics.mean(map(len, texts))
    print(f"{len(column):,} addresses of {length:.1f} characters, door and building key, one thread")
    print(f"  kernel {kernel:>11,.0f} addresses/s (median of 7; best {best:,.0f}; by processor time {on_cpu:,.0f})")
    print(f"  twin   {twin:>11,.0f} addresses/s")
    print(f"  kernel / twin {kernel / twin:.0f}")
    print(f"Python {platform.python_version()}, {versions}, {platform.machine()}")
    if is_asserted:
        assert kernel >= 1_500_000
        assert kernel >= 100 * twin


def make_typical(n_addresses: int) -> list[str]:
    """Make addresses of 22 to 28 characters, as an order form with province, city and county gives them; all differ."""
    rng = random.Random(3)  # noqa: S311 -- nothing is secret here
    texts: dict[str, None] = {}
    while len(texts) < n_addresses:
        text = write(replace(make_parts(rng), town="", stair=0, floor=0))
        if 22 <= len(text) <= 28:
            texts[text] = None
    return list(texts)


def time_kernel(column: pa.Array) -> tuple[float, float]:
    """Give addresses per second of the clock, and per second of the thread on a processor."""
    started, busy_since = time.perf_counter(), time.thread_time()
    key_addresses(column, KEY)
    return len(column) / (time.perf_counter() - started), len(column) / (time.thread_time() - busy_since)


def share(flags: NDArray[np.bool_]) -> str:
    return f"{flags.mean():8.3%}"


def share_bigrams(a: str, b: str) -> float:
    first, second = ({text[at : at + 2] for at in range(len(text) - 1)} for text in (a, b))
    return len(first & second) / max(1, len(first | second))


if __name__ == "__main__":
    main()
