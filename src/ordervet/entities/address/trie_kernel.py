"""A trie in two arrays: building it, and walking it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.entities.kernel_layout import Scalar

__all__ = ["build_starts", "build_trie", "follow_edge", "may_start"]

POINT_BITS = 21
_POINT = (1 << POINT_BITS) - 1
_HAS_MORE = 1 << POINT_BITS
_PAYLOAD_SHIFT = POINT_BITS + 1
_NODE_BITS = np.uint64(24)
_NODE = np.uint64((1 << 24) - 1)
_SLOT_SHIFT = np.uint64(40)
_ONE = np.uint64(1)
_NONE = np.uint64(0)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@njit(nogil=True, cache=True)
def _key(node: Scalar, point: Scalar) -> Scalar:
    """Make the key of an edge: 40 bits, never 0."""
    return np.uint64((np.int64(node + 1) << POINT_BITS) | np.int64(point))


@njit(nogil=True, cache=True)
def _slot(key: Scalar, mask: Scalar) -> Scalar:
    return ((key * _MULTIPLIER) >> _SLOT_SHIFT) & mask


@njit(nogil=True, cache=True)
def follow_edge(
    nodes: NDArray[np.int64], edges: NDArray[np.uint64], node: Scalar, point: Scalar
) -> tuple[Scalar, Scalar]:
    """Follow the edge of a character. No checks: the caller is a kernel.

    Parameters
    ----------
    nodes, edges : as ``build_trie`` made them
    node : where to stand
    point : code point

    Returns
    -------
    the next node, or -1; and what a word that ends there means, or -1
    """
    # SPEED: an unsigned index needs no check for counting from the end (bench_addresses.py).
    record = nodes[np.uint32(node)]
    if record & _POINT == point and point != 0:
        return node + 1, (nodes[np.uint32(node + 1)] >> _PAYLOAD_SHIFT) - 1
    if record & _HAS_MORE:
        key = _key(node, point)
        mask = np.uint64(edges.shape[0] - 1)
        at = _slot(key, mask)
        while edges[at] != _NONE:
            if edges[at] >> _NODE_BITS == key:
                following = np.uint32(edges[at] & _NODE)
                return np.int64(following), (nodes[following] >> _PAYLOAD_SHIFT) - 1
            at = (at + _ONE) & mask
    return np.int64(-1), np.int64(-1)


@njit(nogil=True, cache=True)
def may_start(starts: NDArray[np.uint8], root: Scalar, first: Scalar, second: Scalar) -> Scalar:
    """Say whether a word may begin with two characters: a filter that lets some others pass. No checks.

    Parameters
    ----------
    starts : shape (2**n / 8,), as ``build_starts`` made it
    root : the list of words
    first, second : code points

    Returns
    -------
    False only if no word of the list begins so
    """
    # SPEED: most characters begin nothing, and bits stay in a near cache (bench_addresses.py).
    slot = _start_slot(starts, root, first, second)
    return (starts[slot >> np.uint64(3)] >> np.uint8(slot & np.uint64(7))) & 1 != 0


@njit(nogil=True, cache=True)
def _start_slot(starts: NDArray[np.uint8], root: Scalar, first: Scalar, second: Scalar) -> Scalar:
    pair = (np.uint64(root) << np.uint64(2 * POINT_BITS)) | (np.uint64(first) << np.uint64(POINT_BITS))
    return _slot(pair | np.uint64(second), np.uint64(starts.shape[0] * 8 - 1))


@njit(nogil=True, cache=True)
def build_starts(
    points: NDArray[np.int32], offsets: NDArray[np.int64], roots: NDArray[np.int32], bits: Scalar
) -> NDArray[np.uint8]:
    """Build the filter of first characters. No checks: the caller is ``address_arrays.py``.

    Parameters
    ----------
    points, offsets, roots : as for ``build_trie``; every word of two characters or more
    bits : the filter has 2**bits bits

    Returns
    -------
    shape (2**(bits - 3),)
    """
    starts = np.zeros(1 << (bits - 3), np.uint8)
    for word in range(roots.shape[0]):
        at = offsets[word]
        slot = _start_slot(starts, roots[word], points[at], points[at + 1])
        starts[slot >> np.uint64(3)] |= np.uint8(1 << (slot & np.uint64(7)))
    return starts


@njit(nogil=True, cache=True)
def build_trie(
    points: NDArray[np.int32],
    offsets: NDArray[np.int64],
    roots: NDArray[np.int32],
    payloads: NDArray[np.int32],
    n_roots: Scalar,
    bits: Scalar,
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Build the trie of words. No checks: the caller is ``address_arrays.py``.

    A node's first child follows it in memory, so that the end of a word lies in one cache line; further children, and
    all of a root's, are found by hash.

    Parameters
    ----------
    points : shape (n_points,), the words' code points, one word after the other
    offsets : shape (n_words + 1,)
    roots : shape (n_words,), the node each word starts from, below n_roots
    payloads : shape (n_words,), what each word means, >= 0
    n_roots : nodes kept for roots
    bits : the table of edges has 2**bits slots; more than there are edges

    Returns
    -------
    nodes : shape (n_nodes,), of each its first child's code point, whether it has more, and its payload + 1
    edges : shape (2**bits,), of each edge its key (node and code point) above the next node
    """
    mask = np.uint64((1 << bits) - 1)
    nodes = np.zeros(n_roots + points.shape[0] + 1, np.int64)
    edges = np.zeros(1 << bits, np.uint64)
    n_nodes = n_roots
    for word in range(roots.shape[0]):
        node, is_fresh = np.int64(roots[word]), False
        for i in range(offsets[word], offsets[word + 1]):
            point = np.int64(points[i])
            following, _ = follow_edge(nodes, edges, node, point)
            if following < 0:
                following = np.int64(n_nodes)
                n_nodes += 1
                if is_fresh:
                    nodes[node] |= point
                else:
                    nodes[node] |= _HAS_MORE
                    key = _key(node, point)
                    at = _slot(key, mask)
                    while edges[at] != _NONE:
                        at = (at + _ONE) & mask
                    edges[at] = (key << _NODE_BITS) | np.uint64(following)
                is_fresh = True
            node = following
        nodes[node] |= (np.int64(payloads[word]) + 1) << _PAYLOAD_SHIFT
    return nodes[: n_nodes + 1].copy(), edges
