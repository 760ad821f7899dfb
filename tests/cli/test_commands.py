from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from ordervet.lab.simulate import write_simulation

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.lab.simulate import Simulation

HEADER = "order_id,placed_at,amount_minor,buyer_id,phone"
GOOD = "t1,2025-11-11 20:00:00,1200,b1,19900001111"


@pytest.fixture(scope="session")
def files(simulation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_simulation(simulation, tmp_path_factory.mktemp("merchant"), truth=False)


def write(folder: Path, name: str, *lines: str) -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_score_prints_ranked_flags_with_reasons_and_scripts(ordervet, files, models_dir, tmp_path: Path) -> None:
    ended = ordervet("score", *files, "--models", models_dir, "--out", tmp_path / "flags.csv", "--lang", "en")

    assert ended.code == 0
    assert "script: " in ended.out
    assert "flagged" in ended.out
    assert "prove behaviour, not accuracy" in ended.out
    table = pa_csv.read_csv(tmp_path / "flags.csv")
    assert table.num_rows > 0
    assert set(table["action"].to_pylist()) <= {"review", "confirm", "hold"}
    assert None not in table["script"].to_pylist()


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "xlsx"])
def test_score_writes_every_order_in_every_format(ordervet, files, models_dir, tmp_path: Path, ending: str) -> None:
    target = tmp_path / f"flags.{ending}"

    ended = ordervet("score", *files, "--models", models_dir, "--all", "--out", target)

    assert ended.code == 0
    assert target.stat().st_size > 10_000
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_score_speaks_chinese_when_asked(ordervet, files, models_dir) -> None:
    ended = ordervet("score", *files, "--models", models_dir, "--lang", "zh", "--top", 3)

    assert "话术：" in ended.out


def test_score_gives_json_that_agrees_with_the_table(ordervet, files, models_dir, tmp_path: Path) -> None:
    target = tmp_path / "flags.parquet"

    summary = ordervet("score", *files, "--models", models_dir, "--out", target, "--json", "--top", 5).json

    table = pq.read_table(target)
    assert summary["n_flagged"] == table.num_rows
    assert [flag["order_id"] for flag in summary["flagged"]] == table["order_id"].to_pylist()[:5]
    assert sum(summary["actions"].values()) == summary["n_orders"] == 6_000


def test_score_since_decides_about_later_orders_only_and_scores_them_the_same(
    ordervet, files, models_dir, tmp_path: Path
) -> None:
    common = ("score", *files, "--models", models_dir, "--all", "--out")
    ordervet(*common, tmp_path / "all.parquet")
    ordervet(*common, tmp_path / "late.parquet", "--since", "2025-11-11 00:00")

    whole, late = pq.read_table(tmp_path / "all.parquet"), pq.read_table(tmp_path / "late.parquet")

    assert 0 < late.num_rows < whole.num_rows
    scores = dict(zip(whole["order_id"].to_pylist(), whole["p_malicious"].to_pylist(), strict=True))
    assert [scores[order_id] for order_id in late["order_id"].to_pylist()] == late["p_malicious"].to_pylist()


def test_score_with_a_capacity_flags_so_many(ordervet, files, models_dir) -> None:
    summary = ordervet("score", *files, "--models", models_dir, "--capacity", 7, "--json", "--top", 0).json

    assert summary["n_flagged"] == 7


def test_explain_says_what_each_feature_added(ordervet, files, models_dir) -> None:
    order_id = ordervet("score", *files, "--models", models_dir, "--json", "--top", 1).json["flagged"][0]["order_id"]

    text = ordervet("explain", order_id, *files, "--models", models_dir, "--lang", "en")
    told = ordervet("explain", order_id, *files, "--models", models_dir, "--json").json

    assert "add up to the score" in text.out
    assert told["order_id"] == order_id
    assert {"feature", "value", "contribution"} == set(told["features"][0])


def test_explain_of_an_unknown_order_is_one_error(ordervet, files, models_dir) -> None:
    ended = ordervet("explain", "nobody", *files, "--models", models_dir)

    assert (ended.code, ended.err.count("error:")) == (3, 1)


def test_train_on_too_little_is_refused(ordervet, tmp_path: Path) -> None:
    orders = write(tmp_path, "orders.csv", HEADER, GOOD)

    ended = ordervet("train", orders, "--models", tmp_path / "models")

    assert ended.code == 6
    assert not (tmp_path / "models").exists()


def test_simulate_gives_the_same_bytes_for_the_same_seed(ordervet, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        assert ordervet("simulate", "--out", tmp_path / folder, "--orders", 600, "--seed", 3).code == 0

    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_validate_counts_good_rows_and_lists_failures(ordervet, tmp_path: Path) -> None:
    orders = write(tmp_path, "orders.csv", HEADER, GOOD, "t2,soon,5,b,1", "t3,2025-11-11 20:00,-5,b,1")

    ended = ordervet("validate", orders, "--out", tmp_path / "wrong.csv")
    told = ordervet("validate", orders, "--json").json

    assert ended.code == 4
    assert "1 order" in ended.out
    assert told["n_failures"] == 2
    assert {failure["rule"] for failure in told["failures"]} == {"instant", "minimum"}
    assert pa_csv.read_csv(tmp_path / "wrong.csv").num_rows == 2


BAD_FILES = {
    "unknown column": ("orders.csv", f"{HEADER},colour\n{GOOD},red\n".encode(), "colour"),
    "missing column": ("orders.csv", b"order_id,placed_at\nt1,2025-11-11\n", "amount_minor"),
    "empty file": ("orders.csv", b"", "empty"),
    "csv that is a workbook": ("orders.csv", b"PK\x03\x04rest of a workbook", "not"),
    "parquet that is text": ("orders.parquet", b"order_id,placed_at\n", "not"),
    "workbook that is text": ("orders.xlsx", b"order_id,placed_at\n", "not"),
    "unknown ending": ("orders.doc", b"order_id,placed_at\n", "ending"),
    "ragged rows": ("orders.csv", f"{HEADER}\n{GOOD},more,and more\n".encode(), "orders.csv"),
    "binary": ("orders.csv", bytes(range(256)) * 4, "orders.csv"),
}


FILES_WITHOUT_ORDERS = {
    "header only": ("orders.csv", f"{HEADER}\n".encode(), "no order"),
    "only bad rows": ("orders.csv", f"{HEADER}\nt1,2025-11-11,-4,b,1\n".encode(), "no order"),
}


@pytest.mark.parametrize(
    ("command", "case"),
    [
        *(("score", case) for case in [*BAD_FILES, *FILES_WITHOUT_ORDERS]),
        *(("validate", case) for case in BAD_FILES),
    ],
)
def test_bad_file_is_one_clear_error_and_nothing_is_written(
    ordervet, models_dir, tmp_path: Path, case: str, command: str
) -> None:
    name, content, expected = (BAD_FILES | FILES_WITHOUT_ORDERS)[case]
    path = tmp_path / name
    path.write_bytes(content)
    options = ["--models", models_dir] if command == "score" else []

    ended = ordervet(command, path, *options, "--out", tmp_path / "flags.csv")

    assert ended.code == 3
    assert ended.err.count("error:") == 1
    assert expected in ended.err
    assert "hint:" in ended.err
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_missing_file_is_one_clear_error(ordervet, models_dir, tmp_path: Path) -> None:
    ended = ordervet("score", tmp_path / "none.csv", "--models", models_dir)

    assert (ended.code, ended.err.count("error:")) == (3, 1)
    assert "there is no file none.csv" in ended.err


BAD_ROWS = {
    "negative amount": ("t2,2025-11-11 20:00,-1,b,1", "minimum"),
    "unparseable time": ("t2,soon,5,b,1", "instant"),
    "duplicate id": ("t1,2025-11-11 21:00:00,77,b9,1", "unique"),
    "no id": (",2025-11-11 21:00:00,77,b9,1", "required"),
    "no number": ("t2,2025-11-11 21:00:00,many,b9,1", "type"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_row_is_set_aside_with_its_rule_and_the_rest_is_scored(
    ordervet, models_dir, tmp_path: Path, case: str
) -> None:
    row, rule = BAD_ROWS[case]
    path = write(tmp_path, "orders.csv", HEADER, GOOD, row)

    ended = ordervet("score", path, "--models", models_dir, "--all", "--out", tmp_path / "flags.csv")

    assert ended.code == 4
    assert pa_csv.read_csv(tmp_path / "flags.csv")["order_id"].to_pylist() == ["t1"]
    aside = pa_csv.read_csv(tmp_path / "flags.quarantine.csv").to_pylist()
    assert [failure["rule"] for failure in aside] == [rule]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[order\n", "TOML"),
        ('[order]\norder_id = "id"\nplaced_att = "t"\n', "placed_at"),
        ('[order]\norder_id = "nope"\nplaced_at = "placed_at"\namount_minor = "amount_minor"\n', "nope"),
        ('[ordr]\norder_id = "id"\n', "order"),
    ],
)
def test_wrong_mapping_is_one_clear_error(ordervet, models_dir, tmp_path: Path, text: str, expected: str) -> None:
    orders = write(tmp_path, "orders.csv", HEADER, GOOD)
    mapping = write(tmp_path, "mine.toml", text)

    ended = ordervet("score", orders, "--mapping", mapping, "--models", models_dir)

    assert (ended.code, ended.err.count("error:")) == (3, 1)
    assert expected in ended.err


@pytest.mark.parametrize("target", ["flags.docx", "flags"])
def test_unknown_output_ending_is_refused_before_any_work(ordervet, tmp_path: Path, target: str) -> None:
    ended = ordervet("score", tmp_path / "none.csv", "--out", tmp_path / target)

    assert ended.code == 3
    assert "none.csv" not in ended.err
    assert list(tmp_path.iterdir()) == []


def test_models_folder_whose_live_model_is_missing_has_its_own_exit_code(ordervet, files, tmp_path: Path) -> None:
    (tmp_path / "live").write_text("m-000000000000\n", "utf-8")

    ended = ordervet("score", *files, "--models", tmp_path)

    assert (ended.code, ended.err.count("error:")) == (5, 1)


def test_unexpected_error_is_one_line_without_personal_data(ordervet, files, models_dir, monkeypatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("phone 19900001111")

    monkeypatch.setattr("ordervet.cli.score.read_files", fail)

    ended = ordervet("score", *files, "--models", models_dir)

    assert ended.code == 1
    assert "RuntimeError" in ended.err
    assert "19900001111" not in ended.err + ended.out


def test_interrupt_has_its_own_exit_code(ordervet, files, models_dir, monkeypatch, tmp_path: Path) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ordervet.cli.score.write_table", interrupt)

    ended = ordervet("score", *files, "--models", models_dir, "--out", tmp_path / "flags.csv")

    assert ended.code == 130
    assert list(tmp_path.iterdir()) == []


def test_folder_stands_for_its_event_files(ordervet, files, models_dir, tmp_path: Path) -> None:
    for path in files:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "notes.txt").write_text("not an event")

    from_folder = ordervet("score", tmp_path, "--models", models_dir, "--json").json
    from_files = ordervet("score", *files, "--models", models_dir, "--json").json

    assert from_folder["flagged"] == from_files["flagged"]


def test_wrong_since_is_one_clear_error(ordervet, files, models_dir) -> None:
    ended = ordervet("score", *files, "--models", models_dir, "--since", "tomorrow")

    assert ended.code == 3
    assert "--since: got tomorrow, expected a time" in ended.err


def test_formats_lists_what_is_known_and_says_what_a_file_is_taken_for(ordervet, tmp_path: Path) -> None:
    export = write(
        tmp_path, "orders.csv", "订单编号,买家会员名,总金额,订单状态,收货地址,订单创建时间,宝贝标题,宝贝总数量"
    )

    listed = ordervet("formats", "--json").json
    told = ordervet("formats", export, "--json").json

    assert {"tmall_orders", "shopify_orders"} <= {each["format"] for each in listed}
    assert told["format"].startswith("tmall_orders")
    assert "订单编号" in told["taken"]["order_id"]
    assert "订单状态" in told["states"]


def test_scripts_are_listed_shown_and_checked(ordervet) -> None:
    listed = ordervet("scripts", "list", "--json").json
    shown = ordervet("scripts", "show", "coupon_farming.paid", "--lang", "zh")
    checked = ordervet("scripts", "check")

    assert "coupon_farming.paid" in {script["id"] for script in listed}
    assert "不可说" in shown.out
    assert (checked.code, "0 findings" in checked.out) == (0, True)


def test_unknown_script_is_one_error_that_lists_the_known_ones(ordervet) -> None:
    ended = ordervet("scripts", "show", "no.such")

    assert ended.code == 3
    assert "general.placed" in ended.err


def test_address_gives_the_same_keys_for_one_door_written_two_ways(ordervet, monkeypatch) -> None:
    monkeypatch.setenv("ORDERVET_KEY", bytes(range(16)).hex())

    one = ordervet("address", "浙江省杭州市西湖区文三路99号3栋502", "--json").json
    other = ordervet("address", "杭州市西湖区文三路99號三幢502室", "--json").json

    assert one["door_key"] == other["door_key"] != one["place_key"]
    assert (one["city"], one["roads"]) == ("杭州市", ["文三路"])


def test_address_reads_lines_and_prints_an_object_for_each(ordervet, monkeypatch) -> None:
    lines = "杭州市西湖区文三路99号3栋502\n\n张** ******\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))

    lines = ordervet("address", "--json").out.splitlines()

    assert [json.loads(line)["door_key"] is None for line in lines] == [False, True, True]


def test_key_is_made_once_and_has_a_public_id(ordervet, monkeypatch, tmp_path: Path) -> None:
    path = tmp_path / "ordervet.key"

    made = ordervet("key", "new", "--out", path)
    again = ordervet("key", "new", "--out", path)
    monkeypatch.setenv("ORDERVET_KEY_FILE", str(path))
    told = ordervet("key", "id")

    assert (made.code, again.code) == (0, 3)
    assert told.out.strip() in made.out
    assert path.read_text().strip() not in made.out + told.out


@pytest.mark.parametrize("error", [MemoryError(), ImportError("_x.so: failed to map segment from shared object")])
def test_command_without_memory_is_one_clear_error(error: Exception, ordervet, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("ordervet.cli.formats.list_formats", fail)

    ended = ordervet("formats")

    assert (ended.code, ended.out) == (3, "")
    assert ended.err.strip() == "error: Cannot allocate memory"
