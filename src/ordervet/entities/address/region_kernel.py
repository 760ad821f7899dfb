"""Reading the region of a folded address in a kernel. Truth: ``address_regions.py``. No function checks anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from ordervet.entities.address.arrays import FULL_TRAP_FLAG, REGION_START, SKIP_START, SKIPPED_REGION, TRAPS
from ordervet.entities.address.region_slots import LENGTH_BITS, SLOT_BITS
from ordervet.entities.address.trie_kernel import follow_edge, may_start
from ordervet.entities.kernel_layout import FULL_ONLY, OR_SHORT, ZERO

if TYPE_CHECKING:
    from ordervet.entities.kernel_layout import Record, Scalar

__all__ = ["read_region"]

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_SLOT_SHIFT = np.uint64(64 - SLOT_BITS)
_LARGEST = np.uint64(0xFFFF)
_LENGTH = np.uint64((1 << LENGTH_BITS) - 1)
_REST = np.array([max(0, (1 << 16 * (length - 2)) - 1) if length > 1 else 0 for length in range(7)], np.uint64)


@njit(nogil=True, cache=True)
def _starts_with(tables: Record, scratch: Record, root: Scalar, at: Scalar) -> Scalar:
    """Measure the longest word of a list that stands here, 0 for none."""
    node, length, longest = np.int64(root), 0, 0
    while True:
        node, payload = follow_edge(tables.nodes, tables.edges, node, scratch.points[at + length])
        if node < 0:
            return longest
        length += 1
        if payload >= 0:
            longest = length


@njit(nogil=True, cache=True)
def _match_slot(tables: Record, scratch: Record, parent: Scalar, at: Scalar) -> tuple[Scalar, Scalar]:
    """Read a name that has a slot of its own: the division, and where its name ends; or the parent, and here."""
    # NOTE: four characters behind the text are written, and zero.
    points, start = scratch.points, np.uint64(at)
    first, second = np.uint64(points[start]), np.uint64(points[start + np.uint64(1)])
    key = np.uint64(parent) << np.uint64(32) | first << np.uint64(16) | second
    slot = (key * _MULTIPLIER) >> _SLOT_SHIFT
    if tables.region_slots[slot, 0] != key:
        return parent, at
    rest, any_of = np.uint64(0), first | second
    for i in range(4):
        point = np.uint64(points[start + np.uint64(2 + i)])
        any_of |= point
        rest |= point << np.uint64(16 * i)
    if any_of > _LARGEST:
        return parent, at
    length = tables.region_slots[slot, 2] & _LENGTH
    end = start + length
    if rest & _REST[length] != tables.region_slots[slot, 1] or scratch.marks[end] & FULL_TRAP_FLAG:
        return parent, at
    return np.int64(tables.region_slots[slot, 2] >> np.uint64(LENGTH_BITS)), np.int64(end)


@njit(nogil=True, cache=True)
def _match(tables: Record, scratch: Record, parent: Scalar, at: Scalar, shortness: Scalar) -> tuple[Scalar, Scalar]:
    """``address_regions._match``: the division, and where its name ends."""
    if not may_start(tables.starts, parent, scratch.points[np.uint32(at)], scratch.points[np.uint32(at + 1)]):
        return parent, at
    best, best_end = _match_slot(tables, scratch, parent, at)
    if best_end > at:
        return best, best_end
    node, end = np.int64(parent), at
    best, best_end = np.int64(parent), at
    while True:
        node, payload = follow_edge(tables.nodes, tables.edges, node, scratch.points[end])
        if node < 0:
            return best, best_end
        end += 1
        if payload < 0:
            continue
        if payload & 1:
            is_named = shortness == OR_SHORT and _starts_with(tables, scratch, tables.lists[TRAPS], end) == 0
        else:
            is_named = scratch.marks[end] & FULL_TRAP_FLAG == 0
        if is_named:
            best, best_end = payload >> 1, end


@njit(nogil=True, cache=True)
def _is_within(tables: Record, inner: Scalar, outer: Scalar) -> Scalar:
    while inner != 0:
        if inner == outer:
            return True
        inner = np.int64(tables.parents[inner])
    return False


@njit(nogil=True, cache=True)
def read_region(
    tables: Record, scratch: Record, at: Scalar, region: Scalar, shortness: Scalar
) -> tuple[Scalar, Scalar]:
    """``address_regions.read_region``."""
    above = region
    while True:
        if scratch.marks[at] & SKIP_START:
            skipped = _starts_with(tables, scratch, tables.lists[SKIPPED_REGION], at)
            if skipped > 0:
                at += skipped
                continue
        found, end = _match(tables, scratch, above, at, shortness)
        if end == at and above != 0 and scratch.marks[at] & REGION_START:
            found, end = _match(tables, scratch, ZERO, at, FULL_ONLY)
        if end == at:
            return region, at
        is_repeated = _is_within(tables, region, found)
        if not is_repeated and region != 0 and not _is_within(tables, found, region):
            return region, at
        above, at = found, end
        if not is_repeated:
            region = found
