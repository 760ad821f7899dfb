"""Every command speaks the language that it is asked for, and breaks no word at the edge of a terminal."""

from __future__ import annotations

import io
import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console
from typer.testing import CliRunner

from ordervet.cli import ENTRIES, app
from ordervet.cli.screen import fold
from ordervet.cli.session import Session
from ordervet.lab.lookalikes import SCENARIOS, measure_lookalikes
from ordervet.model import list_models
from ordervet.model.starter import find_bundled_models

SAMPLES = Path(__file__).parents[2] / "data" / "samples"

#: A merchant's day, by command; {} stand for the folders and files of `shop`.
COMMANDS = {
    "ingest": "ingest {samples} --history {new}/made",
    "ingest with rows set aside": "ingest {wrong} --history {new}/made",
    "score": "score {orders} --history {history} --dry-run --top 8",
    "score with a hold list": "score {orders} --top 0 --hold-list {new}/holds.csv --out {new}/queue.xlsx",
    "score claims": "score {samples} --claims --top 3",
    "explain": "explain {order} {orders}",
    "explain a ring": "explain --ring {order} --history {history}",
    "correct": "correct {order} --history {history}",
    "erase": "erase nobody --history {history} --yes",
    "history verify": "history verify --history {history}",
    "history publish": "history publish file://{new}/published --history {history}",
    "campaign plan": "campaign plan --history {history} --capacity 30",
    "campaign watch": "campaign watch --history {history}",
    "campaign review": "campaign review --history {history} --start 2025-07-01",
    "validate": "validate {wrong}",
    "train": "train {data} --models {new}/models --settings {settings} --simulated",
    "retrain": "retrain --history {history} --models {new}/models --simulated",
    "models list": "models list --models {models}",
    "models show": "models show --models {models}",
    "models compare": "models compare --models {models}",
    "models promote": "models promote {model} --models {models}",
    "models rollback": "models rollback --models {models}",
    "models prune": "models prune --models {models}",
    "models verify": "models verify --models {models}",
    "backtest": "backtest {data} --settings {settings} --capacity 9 --simulated --baseline",
    "lookalikes": "lookalikes --orders 500",
    "simulate": "simulate --out {new}/merchant --orders 600",
    "formats": "formats",
    "formats of a file": "formats {export}",
    "address": "address 浙江省杭州市西湖区文三路99号3栋502",
    "policy check": "policy check {policy}",
    "policy mark": "policy mark b1 --as trusted --until 2027-06-30 --owner desk --list {new}/list.csv",
    "policy simulate": "policy simulate {policy} --history {history}",
    "scripts list": "scripts list",
    "scripts show": "scripts show coupon_farming.paid",
    "scripts page": "scripts page {new}/scripts.html",
    "scripts check": "scripts check",
    "key new": "key new --out {new}/new.key",
    "key id": "key id",
    "key rotate": "key rotate {samples} --history {history} --new-key {other_key}",
}
#: `serve` prints one line once it listens, and goes on; it is started by its own tests.
NOT_RUN = {"serve"}


_PROSE = re.compile(r"(?<![\w/.=-])(?:[A-Za-z][a-z']+[ ,:;]+){3}[A-Za-z][a-z']+")

_POLICY = """
protocol = 1
name = "changed"
[actions]
low = "pass"
elevated = "review"
high = "confirm"
severe = "hold"
[[quotas]]
name = "few"
of = "category"
most = 4
days = 30
until = 2020-01-01
owner = "risk team"
[[rules]]
name = "dear_and_new"
when = "amount_minor >= 30000 and terminal__count__order__90d == 0"
action = "review"
owner = "risk team"
"""


_EXPORT = (
    "订单编号,买家会员名,总金额,订单状态,收货地址,订单创建时间,宝贝标题,宝贝总数量,店铺名,别的列\n"
    "1001,b1,88.00,交易成功,浙江省杭州市,2025-11-11 20:00:00,衬衫,1,旗舰店,x\n"
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A small merchant: files, keys, a history, the starter as a folder of models, a policy."""
    folder = tmp_path_factory.mktemp("shop")
    for at, name in enumerate(("key", "other.key")):
        (folder / name).write_text(f"{bytes(range(at, at + 16)).hex()}\n", encoding="ascii")
    orders = (SAMPLES / "orders.csv").read_text(encoding="utf-8").splitlines()[:601]
    ids = {line.partition(",")[0] for line in orders}
    (folder / "merchant").mkdir()
    for name in ("orders", "outcomes", "verdicts"):
        rows = (SAMPLES / f"{name}.csv").read_text(encoding="utf-8").splitlines()
        kept = [row for row in rows if row.partition(",")[0] in ids]
        (folder / "merchant" / f"{name}.csv").write_text("\n".join(kept) + "\n", encoding="utf-8")
    (folder / "wrong.csv").write_text(
        "order_id,placed_at,amount_minor,buyer_id\nt1,2025-11-11 20:00,1200,b1\nt2,soon,5,b1\nt1,2025-11-12,7,b2\n",
        encoding="utf-8",
    )
    (folder / "export.csv").write_text(_EXPORT, encoding="utf-8")
    (folder / "settings.toml").write_text("num_rounds = 5\nmin_data_in_leaf = 20\n", encoding="utf-8")
    (folder / "policy.toml").write_text(_POLICY, encoding="utf-8")
    shutil.copytree(find_bundled_models(), folder / "models")
    ingest = ["ingest", str(folder / "merchant"), "--history", str(folder / "history")]
    env = {"ORDERVET_KEY_FILE": str(folder / "key")}
    assert CliRunner(env=env).invoke(app, ingest, catch_exceptions=False).exit_code == 0
    return {
        "folder": folder, "data": SAMPLES, "samples": folder / "merchant", "orders": folder / "merchant" / "orders.csv",
        "wrong": folder / "wrong.csv", "export": folder / "export.csv",
        "settings": folder / "settings.toml", "policy": folder / "policy.toml",
        "other_key": folder / "other.key", "order": orders[300].partition(",")[0],
        "model": list_models(folder / "models")[0].model_id,
    }  # fmt: skip


@pytest.fixture
def say(ordervet, shop: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Run a command of `COMMANDS`, and draw what it prints on a terminal of eighty columns and on a wide one."""
    monkeypatch.setenv("ORDERVET_KEY_FILE", str(shop["folder"] / "key"))
    quick = partial(measure_lookalikes, scenarios=SCENARIOS[:1])
    monkeypatch.setattr("ordervet.cli.lookalikes.measure_lookalikes", quick)
    printed: list[Any] = []
    monkeypatch.setattr(Session, "print", lambda _, what="", style=None: printed.append(what))  # noqa: ARG005
    monkeypatch.setattr(Session, "warn", lambda _, what, style=None: printed.append(what))  # noqa: ARG005

    def call(name: str, lang: str) -> tuple[str, str]:
        printed.clear()
        own = {each: shutil.copytree(shop["folder"] / each, tmp_path / lang / each) for each in ("history", "models")}
        values = shop | own | {"new": tmp_path / lang}
        ended = ordervet(*(part.format(**values) for part in COMMANDS[name].split()), "--lang", lang)
        assert printed or ended.err
        return draw([*printed, ended.err], 80), draw([*printed, ended.err], 400)

    return call


def draw(parts: list[Any], width: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, soft_wrap=True)
    for part in parts:
        console.print(fold(part, console), markup=False, highlight=False)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def list_words(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z0-9][\w.,%-]*\w", text))


def test_every_command_is_among_them() -> None:
    assert {line.split()[0] for line in COMMANDS.values()} == ENTRIES.keys() - NOT_RUN


@pytest.mark.parametrize("name", COMMANDS)
def test_command_speaks_the_language_asked_for_and_breaks_no_word(say, name: str) -> None:
    (zh, wide_zh), (en, wide_en) = say(name, "zh"), say(name, "en")

    assert _PROSE.findall(wide_zh) == []
    assert "内部错误" not in wide_zh
    assert [each for each in re.findall(r"[\u4e00-\u9fff]{4,}", wide_en) if each not in _EXPORT] == []
    assert list_words(zh) - list_words(wide_zh) == list_words(en) - list_words(wide_en) == set()
    assert [line for line in (zh + en).splitlines() if cell_len(line) > 80 and "/" not in line] == []
