"""Take the pictures of the guides: a simulated merchant is scored, and its pages are looked at in a headless Chromium.

`make pictures` runs it. What is shown is simulated, and says so.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from chromium import open_browser

HERE = Path(__file__).resolve().parent
EVENING, NOW, AFTER = "2025-11-10 20:00", "2025-11-10 22:40", "2025-11-12"
N_ORDERS, SEED = "20000", "20251111"
SIZES = {"queue": (960, 520), "queue_phone": (390, 720), "queue_wide": (1300, 400), "notice": (900, 760)}
MAX_BYTES = 150_000


def main() -> None:
    """Take all pictures in both languages."""
    if not subprocess.run(["fc-list", ":lang=zh"], capture_output=True, check=True).stdout:  # noqa: S607 - wherever it is
        raise SystemExit("no font has Chinese signs: apt-get install fonts-noto-cjk")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        desk = Path(folder)
        pages = {f"{name}.{lang}": page for lang in ("zh", "en") for name, page in write_pages(desk, lang).items()}
        with open_browser(desk / "profile") as tab:
            for name, page in pages.items():
                width, height = SIZES.get(name.partition(".")[0], (1100, 700))
                tab.open(page, width=width, height=height)
                tab.take_picture(HERE / f"{name}.png")
    for name in pages:
        size = (HERE / f"{name}.png").stat().st_size
        if size > MAX_BYTES:
            raise SystemExit(f"{name}.png has {size:,} bytes, more than {MAX_BYTES:,}")


def write_pages(desk: Path, lang: str) -> dict[str, Path]:
    """Score a merchant, and write the pages in one language."""
    history, plan = desk / f"history.{lang}", desk / f"plan.{lang}.json"
    orders, outcomes, verdicts = (desk / "merchant" / f"{kind}.csv" for kind in ("orders", "outcomes", "verdicts"))
    if not orders.exists():
        run("simulate", "--out", desk / "merchant", "--orders", N_ORDERS, "--seed", SEED, "--no-truth")
    pages = {name: desk / f"{name}.{lang}.html" for name in ("queue", "plan", "watch", "review", "notice")}
    common = ("--history", history, "--lang", lang)
    run("score", orders, outcomes, verdicts, *common, "--report", pages["queue"], "--top", "0")
    pages |= {"queue_phone": pages["queue"], "queue_wide": pages["queue"]}
    told = run("campaign", "plan", *common, "--like", EVENING, "--start", EVENING, "--growth", "1.2", "--report",
               pages["plan"], "--json")  # fmt: skip
    plan.write_text(told, encoding="utf-8")
    run("campaign", "watch", *common, "--plan", plan, "--now", NOW, "--report", pages["watch"])
    run("campaign", "review", *common, "--start", EVENING, "--end", AFTER, "--report", pages["review"])
    run("explain", "o000000149", *common, "--page", pages["notice"])
    return pages


def run(*arguments: object) -> str:
    """Run a command as a user does, under a key that stays the same."""
    environment = os.environ | {"ORDERVET_KEY": bytes(range(16)).hex()}
    command = [sys.executable, "-m", "ordervet", *map(str, arguments)]
    ended = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)  # noqa: S603 -- ours
    return ended.stdout


if __name__ == "__main__":
    main()
