"""Open the page of a queue of 20,000 orders in a headless Chromium, search it and filter it.

python benchmarks/bench_queue.py [--orders 20000] [--rounds 9] [--lang zh]

Printed are medians on the clock of a new visit each round: until the page is loaded, until a search and a filter have
changed what is seen, and the size of the page. The orders are made up; needs Chromium (`make chromium`).
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from chromium import open_browser
from ordervet.reports.queue_page import build_queue_page
from queue_makers import make_order, make_queue

LOADED = "performance.timing.loadEventEnd - performance.timing.navigationStart"
CHANGE = """(() => {{
    const control = document.getElementById("{name}"), start = performance.now();
    control.{set};
    control.dispatchEvent(new Event("{event}"));
    document.body.getBoundingClientRect();
    return performance.now() - start;
}})()"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--lang", default="zh", choices=("zh", "en"))
    args = parser.parse_args()
    queue = make_queue(args.orders, orders=[make_order(number, phone=None) for number in range(args.orders)])
    written = build_queue_page(queue, lang=args.lang).encode()
    with tempfile.TemporaryDirectory() as folder, open_browser(Path(folder) / "profile") as tab:
        page = Path(folder) / "queue.html"
        page.write_bytes(written)
        loaded, searched, filtered = [], [], []
        for _ in range(args.rounds):
            tab.open(page)
            loaded.append(tab.run(LOADED))
            searched.append(tab.run(CHANGE.format(name="search", set="value = 't0099'", event="input")))
            filtered.append(tab.run(CHANGE.format(name="channel", set="selectedIndex = 1", event="change")))
        found = tab.run("document.getElementById('count').textContent")
    print(f"{args.orders:,} orders, a page of {len(written) / 1e6:.1f} MB, {found}; load {os.getloadavg()[0]:.1f}")
    for name, took in (("opened", loaded), ("searched", searched), ("filtered", filtered)):
        print(f"{name:>9}: {statistics.median(took):6.0f} ms, best {min(took):.0f}, worst {max(took):.0f}")


if __name__ == "__main__":
    main()
