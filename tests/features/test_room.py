"""Arrays grow in place, and tables of ids and pairs find afterwards what they found before."""

from __future__ import annotations

import mmap
import sys
from typing import Any

import numpy as np
import pytest

from ordervet.features.maps_kernel import assign_slot, find_slot
from ordervet.features.pairs_kernel import enter_pair, find_pair_home
from ordervet.features.room import allocate, grow, grow_table, round_up
from ordervet.features.spread_kernel import spread

LARGE = 400_000  # entries of eight bytes: more than the two MiB from which on memory is an array's own


def read(table: np.ndarray) -> tuple[int, int]:
    return np.int64(table.ctypes.data), np.int64(len(table))


@pytest.mark.parametrize("n", [3, 5_000, LARGE])
def test_growth_keeps_what_is_used_and_gives_zeros(n: int) -> None:
    holder: dict[str, Any] = {"array": allocate((n, 2), np.dtype(np.int64))}
    holder["array"][:] = np.arange(2 * n).reshape(n, 2)

    grow(holder, "array", 4 * n, used=n)

    array = holder["array"]
    assert array.shape == (round_up(4 * n), 2)
    np.testing.assert_array_equal(array[:n], np.arange(2 * n).reshape(n, 2))
    assert not array[n:].any()


def test_unused_entries_are_filled_on_growth() -> None:
    holder = {"array": np.zeros(0, np.int64)}

    grow(holder, "array", 10, used=0, fill=-7)
    holder["array"][:10] = 1
    grow(holder, "array", 2_000, used=10, fill=-7)

    assert holder["array"].tolist() == [1] * 10 + [-7] * (len(holder["array"]) - 10)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere arrays are copied")
def test_a_large_array_is_not_copied() -> None:
    holder = {"array": allocate((LARGE,), np.dtype(np.int64))}
    region: Any = holder["array"].base
    while isinstance(region, np.ndarray):
        region = region.base
    region = region.obj

    grow(holder, "array", 4 * LARGE, used=LARGE)

    assert len(region) >= 4 * LARGE * 8  # the same memory, larger


def test_an_array_that_somebody_looks_at_stays_where_it_is() -> None:
    holder = {"array": allocate((LARGE,), np.dtype(np.int64))}
    holder["array"][:] = np.arange(LARGE)
    seen = holder["array"][5:10]

    grow(holder, "array", 4 * LARGE, used=LARGE)
    holder["array"][:10] = -1

    assert seen.tolist() == [5, 6, 7, 8, 9]
    assert holder["array"][10:LARGE].tolist() == list(range(10, LARGE))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere arrays are copied")
def test_an_array_that_cannot_grow_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(mmap.mmap):
        def resize(self, _newsize: int) -> None:
            raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr("ordervet.features.room.mmap.mmap", Full)
    holder = {"array": allocate((LARGE,), np.dtype(np.int64))}
    holder["array"][:] = np.arange(LARGE)

    with pytest.raises(MemoryError, match="Cannot allocate"):
        grow(holder, "array", 4 * LARGE, used=LARGE)

    np.testing.assert_array_equal(holder["array"], np.arange(LARGE))


@pytest.mark.parametrize("seed", range(4))
def test_ids_are_found_after_a_table_has_grown(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = rng.integers(1, 1 << 62, 30_000)
    holder = {"map": np.zeros((8, 2), np.int64)}

    for slot, each in enumerate(ids.tolist()):
        grow_table(holder, "map", slot + 1)
        assert assign_slot(each, *read(holder["map"]), slot) == slot

    assert [find_slot(each, *read(holder["map"])) for each in ids.tolist()] == list(range(len(ids)))
    assert np.count_nonzero(holder["map"][:, 0]) == len(ids)


@pytest.mark.parametrize("growth", [2, 4, 16])
@pytest.mark.parametrize("seed", range(50))
def test_crowded_tables_are_spread_so_that_every_search_ends_where_it_should(seed: int, growth: int) -> None:
    """Seven eighths full, so that entries run over the end of the table; twins of a pair differ by column alone."""
    rng = np.random.default_rng(seed)
    old_size = int(rng.choice([8, 16, 64]))
    keys = rng.integers(1, 40, old_size).tolist()
    pairs = list({(key, int(column)): None for key, column in zip(keys, rng.integers(0, 3, old_size), strict=True)})
    pairs = pairs[: old_size * 7 // 8]
    table = np.zeros((growth * old_size, 2), np.int64)
    for node, (key, column) in enumerate(pairs):
        enter_pair(key, column, node, table[:old_size])

    spread(table, old_size, are_pairs=True)

    assert np.count_nonzero(table[:, 0]) == len(pairs)
    for node, (key, column) in enumerate(pairs):
        place = find_pair_home(key, column, len(table))
        while tuple(table[place]) != (key, column << 32 | node):
            assert table[place, 0] != 0, "the search ends too early"
            place = (place + 1) % len(table)
