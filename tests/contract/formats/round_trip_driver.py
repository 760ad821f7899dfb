"""Make up trade histories, write them as every platform's exports, and compare what is read with the truth.

python tests/contract/formats/round_trip_driver.py 500
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from contract.formats.trade_worlds import PLATFORMS, check_world, make_world


def main(n_worlds: int) -> None:
    names, n_events = list(PLATFORMS), Counter[str]()
    for number in range(n_worlds):
        platform, seed = names[number % len(names)], 1_000 + number
        world = make_world(seed, platform)
        with TemporaryDirectory() as folder:
            try:
                check_world(world, Path(folder), random.Random(seed))  # noqa: S311 - dice
            except Exception:
                sys.stderr.write(f"world {number}: {platform}, seed {seed}\n")
                raise
        n_events[platform] += len(world.trades) + sum(len(trade.refunds) for trade in world.trades)
        if number % 50 == 49:
            sys.stdout.write(f"{number + 1:,} worlds\n")
            sys.stdout.flush()
    sys.stdout.write(f"{n_worlds:,} worlds are the truth; orders and refunds: {dict(n_events)}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
