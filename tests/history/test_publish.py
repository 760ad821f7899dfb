"""What is published is what the history has, in a real object store and in a folder."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pytest
from pyarrow.fs import FileSelector

from object_store import BUCKET, SECRET, refusing_as_oss, running, running_azurite
from ordervet.contract import Events
from ordervet.entities import Key
from ordervet.errors import HistoryError, KeyMismatchError, SourceError
from ordervet.history import History, delta, publish
from ordervet.object_stores import find_address, find_place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from object_store import ObjectStore

FOLDERS = itertools.count()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with running(tmp_path_factory.mktemp("store") / "data") as store:
        yield store


@pytest.fixture
def address(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/published-{next(FOLDERS)}"


def part_of(season: Events, first: int, n: int) -> Events:
    return replace(Events.empty(), orders=season.orders.slice(first, n))


def read(address: str, options: dict[str, str] | None = None) -> pl.DataFrame:
    """Read a table as another engine does."""
    frame = pl.read_delta(address, storage_options=options)
    return frame.select(sorted(frame.columns)).sort("event_id", "view")


def test_only_what_is_new_travels_and_another_engine_reads_it(
    history: History, season: Events, address: str, store: ObjectStore
) -> None:
    place = find_place(address)
    history.ingest(part_of(season, 0, 300))
    first = publish.publish(history, place)
    again = publish.publish(history, place)
    history.ingest(season)
    second = publish.publish(history, place)

    assert (first.n_files, again.n_files, again.n_bytes, second.n_files) == (1, 0, 0, 1)
    assert second.n_bytes == sum(path.stat().st_size for path in history.list_files()) - first.n_bytes
    assert read(address, store.options).equals(read(str(history.path)))


def test_a_store_that_takes_no_conditions_has_whole_versions_too(
    history: History, season: Events, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{BUCKET}/published-{next(FOLDERS)}"
    with refusing_as_oss(store) as environment:
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        delta.load_table(history.path).alter.set_table_properties({"delta.checkpointInterval": "2"})
        place = find_place(f"oss://{name}")
        sent = []
        for first in range(0, 60, 10):
            history.ingest(part_of(season, first, 10))
            sent.append(publish.publish(history, place))
            assert read(f"s3://{name}", store.options).equals(read(str(history.path)))
        again = publish.publish(history, place)

    log = {each.base_name for each in store.open().get_file_info(FileSelector(f"{name}/{delta.LOG_FOLDER}"))}
    assert {"_last_checkpoint", "00000000000000000005.checkpoint.parquet"} <= log
    assert [each.n_files for each in sent] == [1] * 6
    assert (again.n_files, again.n_bytes) == (0, 0)


def test_a_history_is_published_to_azure(
    history: History, season: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_azurite(tmp_path / "azure") as environment:
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        place = find_place(f"az://{BUCKET}/published")
        place.files.create_dir(BUCKET)
        for first in range(0, 40, 10):
            history.ingest(part_of(season, first, 10))
            sent = publish.publish(history, place)
            assert read(place.delta_address, place.delta_options).equals(read(str(history.path)))
        history.compact()
        history.vacuum(keep_days=0)
        compacted = publish.publish(history, place)
        assert read(place.delta_address, place.delta_options).equals(read(str(history.path)))

    assert (sent.n_files, sent.n_live) == (1, 4)
    assert (compacted.n_files, compacted.n_removed) == (1, 4)


def test_what_is_compacted_or_erased_here_is_removed_there(history: History, season: Events, tmp_path: Path) -> None:
    address = (tmp_path / "published").as_uri()
    history.ingest(part_of(season, 0, 100))
    history.ingest(part_of(season, 100, 100))
    publish.publish(history, find_place(address))

    history.compact()
    compacted = publish.publish(history, find_place(address))
    history.erase_buyer(season.orders["buyer_id"][0].as_py())
    erased = publish.publish(history, find_place(address))

    assert (compacted.n_files, compacted.n_removed) == (1, 0)  # versions of the last days can still be read, as here
    assert erased.n_removed == 3
    assert delta.list_data_files(tmp_path / "published") == delta.list_data_files(history.path)
    assert read(str(tmp_path / "published")).equals(read(str(history.path)))


def test_columns_that_come_later_are_published(history: History, season: Events, tmp_path: Path) -> None:
    place = find_place((tmp_path / "published").as_uri())
    history.ingest(part_of(season, 0, 10))
    publish.publish(history, place)
    orders = season.orders.slice(10, 10).append_column("number__weight", pa.array([1.5] * 10))
    history.ingest(replace(Events.empty(), orders=orders))

    publish.publish(history, place)

    assert read(str(tmp_path / "published")).equals(read(str(history.path)))
    assert "number__weight" in read(str(tmp_path / "published")).columns


def test_snapshots_are_published_when_asked_for(history: History, season: Events, tmp_path: Path) -> None:
    place = find_place((tmp_path / "published").as_uri())
    history.ingest(part_of(season, 0, 10))
    for number in ("00000001", "00000002"):
        snapshot = history.path / "_snapshots" / number
        snapshot.mkdir(parents=True)
        (snapshot / "arrays.bin").write_bytes(number.encode())
        (snapshot / "header.json").write_text("{}", encoding="utf-8")
    without = publish.publish(history, place)

    first = publish.publish(history, place, with_snapshots=True)
    (history.path / "_snapshots" / "00000001").rename(tmp_path / "gone")
    second = publish.publish(history, place, with_snapshots=True)

    there = tmp_path / "published" / "_snapshots"
    assert (without.n_snapshots, first.n_snapshots, second.n_snapshots) == (0, 4, 0)
    assert [path.name for path in there.iterdir()] == ["00000002"]
    assert (there / "00000002" / "arrays.bin").read_bytes() == b"00000002"


class _KilledError(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("at", range(8))
def test_whoever_reads_sees_a_whole_version_wherever_the_publisher_is_killed(
    history: History, season: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    place = find_place((tmp_path / "published").as_uri())
    for first in (0, 10):
        history.ingest(part_of(season, first, 10))
    publish.publish(history, place)
    before = read(str(tmp_path / "published"))
    for first in (20, 30, 40):
        history.ingest(part_of(season, first, 10))
    history.compact()
    history.ingest(part_of(season, 50, 10))
    history.vacuum(keep_days=0)
    steps = itertools.count()

    def die_at(step: Callable[..., None]) -> Callable[..., None]:
        def stepped(*arguments: object) -> None:
            if next(steps) == at:
                raise _KilledError
            step(*arguments)

        return stepped

    with monkeypatch.context() as patched:
        patched.setattr(publish, "_copy", die_at(publish._copy))
        patched.setattr(publish, "_THREADS", 1)
        patched.setattr(delta, "commit_copy", die_at(delta.commit_copy))
        patched.setattr(publish, "_remove", die_at(publish._remove))
        try:
            publish.publish(history, place)
            is_killed = False
        except _KilledError:
            is_killed = True
    after = read(str(tmp_path / "published"))
    publish.publish(history, place)

    assert is_killed == (at < 5)  # two files, the commit, two removals
    assert after.equals(before if at < 3 else read(str(history.path)))
    assert read(str(tmp_path / "published")).equals(read(str(history.path)))


def test_a_file_that_is_cut_off_is_written_again(history: History, season: Events, tmp_path: Path) -> None:
    history.ingest(part_of(season, 0, 10))
    (name,) = (path.name for path in history.list_files())
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / name).write_bytes(b"PAR1")

    done = publish.publish(history, find_place((tmp_path / "published").as_uri()))

    assert done.n_files == 1
    assert read(str(tmp_path / "published")).equals(read(str(history.path)))


def test_what_is_published_is_checked(history: History, season: Events, address: str, store: ObjectStore) -> None:
    place = find_place(address)
    for first in range(0, 30, 10):
        history.ingest(part_of(season, first, 10))
    with pytest.raises(HistoryError, match="nothing is published"):
        publish.check_copy(history, place)
    publish.publish(history, place)
    before = publish.check_copy(history, place)
    names = sorted(path.name for path in history.list_files())
    files = store.open()
    data = bytearray((history.path / names[0]).read_bytes())
    data[len(data) // 2] ^= 1
    with files.open_output_stream(f"{place.path}/{names[0]}") as stream:
        stream.write(bytes(data))
    files.delete_file(f"{place.path}/{names[1]}")

    after = publish.check_copy(history, place)

    assert [each.state for each in before] == ["whole"] * 3
    assert [(each.name, each.state) for each in after] == [
        (f"{address}/{name}", state) for name, state in zip(names, ("damaged", "missing", "whole"), strict=True)
    ]


def test_other_files_and_another_key_are_refused(history: History, season: Events, tmp_path: Path) -> None:
    history.ingest(part_of(season, 0, 10))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine", encoding="utf-8")
    published = find_place((tmp_path / "published").as_uri())
    publish.publish(history, published)
    other = History.open(tmp_path / "other", Key(bytes(16)), create=True)

    with pytest.raises(HistoryError, match="has other files in it"):
        publish.publish(history, find_place((tmp_path / "full").as_uri()))
    with pytest.raises(KeyMismatchError):
        publish.publish(other, published)


@pytest.mark.parametrize(
    "change", [{"AWS_SECRET_ACCESS_KEY": "kanari-falsch"}, {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}]
)
def test_a_store_that_refuses_is_one_message_without_secrets(
    history: History, address: str, monkeypatch: pytest.MonkeyPatch, change: dict[str, str]
) -> None:
    for name, value in change.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SourceError) as raised:
        publish.publish(history, find_place(address))

    assert address in str(raised.value)
    assert SECRET not in str(raised.value)
    assert "kanari" not in str(raised.value).lower()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ftp://a/b", "no address of a store"),
        ("s3://key:secret@bucket/folder", "holds credentials"),
        ("s3://bucket", "names no folder"),
        ("file://elsewhere/folder", "no folder of this machine"),
        ("oss://bucket/folder", "needs OSS_ACCESS_KEY_ID"),
        ("az://container/folder", "needs AZURE_STORAGE_ACCOUNT_NAME"),
    ],
)
def test_wrong_addresses_are_said(text: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OSS_ACCESS_KEY_ID", "AZURE_STORAGE_ACCOUNT_NAME"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(SourceError, match=said) as raised:
        find_place(text)

    assert "secret" not in str(raised.value)


def test_oss_and_azure_are_opened_by_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", SECRET)
    monkeypatch.setenv("OSS_ENDPOINT", "oss-cn-hangzhou.aliyuncs.com")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")

    oss, azure = find_place("oss://bucket/a/b/"), find_place("az://container/a")
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", "https://account.blob.core.chinacloudapi.cn/")
    in_china = find_place("az://container/a")

    assert (oss.path, oss.delta_address) == ("bucket/a/b", "s3://bucket/a/b")
    assert oss.delta_options["AWS_ENDPOINT_URL"] == "https://bucket.oss-cn-hangzhou.aliyuncs.com"
    assert (azure.path, azure.delta_address) == ("container/a", "az://container/a")
    assert in_china.delta_options["AZURE_STORAGE_ENDPOINT"] == "https://account.blob.core.chinacloudapi.cn"
    pickled = str(in_china.files.__reduce__())
    assert all(f"'.{kind}.core.chinacloudapi.cn'" in pickled for kind in ("blob", "dfs"))
    assert SECRET not in f"{oss!r}{azure!r}{in_china!r}"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("s3:/bucket/a.csv", "s3://bucket/a.csv"),
        ("file:/srv/a.csv", "file:///srv/a.csv"),
        ("orders.csv", None),
        ("/srv/s3:/a.csv", None),
        ("C:/a.csv", None),
    ],
)
def test_an_address_is_found_in_a_path(path: str, expected: str | None) -> None:
    assert find_address(path) == expected
