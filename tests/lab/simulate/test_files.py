from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from ordervet.errors import FileError
from ordervet.lab.simulate import TABLE_NAMES, SimulationSettings, mask_simulation, simulate, write_simulation

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.lab.simulate import Simulation


def read_all(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_same_seed_writes_the_same_bytes(tmp_path: Path, small: Simulation, ending: str) -> None:
    again = simulate(SimulationSettings(n_orders=600, seed=7))

    write_simulation(small, tmp_path / "one", format=ending)
    write_simulation(again, tmp_path / "two", format=ending)

    assert read_all(tmp_path / "one") == read_all(tmp_path / "two")


def test_another_seed_writes_other_bytes(tmp_path: Path, small: Simulation) -> None:
    other = simulate(SimulationSettings(n_orders=600, seed=8))

    write_simulation(small, tmp_path / "one")
    write_simulation(other, tmp_path / "two")

    assert read_all(tmp_path / "one")["orders.csv"] != read_all(tmp_path / "two")["orders.csv"]


def test_writing_gives_one_file_per_table_and_leaves_nothing_else(tmp_path: Path, simulation: Simulation) -> None:
    paths = write_simulation(simulation, tmp_path / "new" / "folder", format="parquet")

    assert [path.name for path in paths] == [f"{name}.parquet" for name in TABLE_NAMES]
    assert sorted(paths) == sorted((tmp_path / "new" / "folder").iterdir())


def test_parquet_files_hold_the_tables_without_seen_at_and_what_no_simulation_fills(
    tmp_path: Path, small: Simulation
) -> None:
    write_simulation(small, tmp_path, format="parquet")

    left_out = ["seen_at", "order_uid", "country", "updated_at", "status"]
    assert pq.read_table(tmp_path / "orders.parquet").equals(small.orders.drop_columns(left_out))
    assert pq.read_table(tmp_path / "truth.parquet").equals(small.truth)


def test_csv_files_hold_the_same_values_with_chinese_time(tmp_path: Path, small: Simulation) -> None:
    write_simulation(small, tmp_path)

    types = {field.name: field.type for field in small.orders.schema} | {"placed_at": pa.string()}
    options = pa_csv.ConvertOptions(
        column_types={**types, "buyer_registered_at": pa.string()}, strings_can_be_null=True, null_values=[""]
    )
    read = pa_csv.read_csv(tmp_path / "orders.csv", convert_options=options)
    times = {"placed_at", "buyer_registered_at", "seen_at"}
    for name in set(small.orders.column_names) - times - {"order_uid", "country", "updated_at", "status"}:
        assert read[name].combine_chunks().equals(small.orders[name].combine_chunks()), name
    assert read["placed_at"][0].as_py().endswith("+08:00")
    stamps = pa.array(read["placed_at"].to_pylist()).cast(pa.timestamp("us", tz="UTC"))
    assert stamps.equals(small.orders["placed_at"].combine_chunks())


def test_a_table_without_rows_gets_no_file_and_an_old_one_goes(tmp_path: Path) -> None:
    simulation = simulate(SimulationSettings(n_orders=600, malicious_share=0.0, desk_error_rate=0.0))
    (tmp_path / "corrections.csv").write_text("from an older run")

    paths = write_simulation(simulation, tmp_path)

    assert simulation.corrections.num_rows == 0
    assert "corrections.csv" not in {path.name for path in paths}
    assert not (tmp_path / "corrections.csv").exists()


def test_a_failed_writing_leaves_the_older_files(
    tmp_path: Path, small: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_simulation(small, tmp_path)
    before = read_all(tmp_path)
    monkeypatch.setattr("ordervet.lab.simulate.files.TABLE_NAMES", (*TABLE_NAMES, "missing"))

    with pytest.raises(AttributeError):
        write_simulation(simulate(SimulationSettings(n_orders=600, seed=8)), tmp_path)

    assert read_all(tmp_path) == before


def test_writing_refuses_a_file_in_place_of_a_folder(tmp_path: Path, small: Simulation) -> None:
    (tmp_path / "taken").write_text("here already")

    with pytest.raises(FileError, match="not a folder"):
        write_simulation(small, tmp_path / "taken")


def test_writing_refuses_an_unknown_format(tmp_path: Path, small: Simulation) -> None:
    with pytest.raises(FileError, match="xlsx"):
        write_simulation(small, tmp_path, format="xlsx")  # type: ignore[arg-type]  # that is the fault


def test_masked_simulation_lacks_people_and_nothing_else(small: Simulation) -> None:
    masked = mask_simulation(small)

    hidden = {"recipient", "phone", "phone_group", "device_id", "ip"}
    assert all(masked.orders[name].null_count == len(masked.orders) for name in hidden)
    assert masked.orders.drop_columns(sorted(hidden)) == small.orders.drop_columns(sorted(hidden))
    assert masked.orders.schema == small.orders.schema
    assert masked.events.outcomes == small.events.outcomes
