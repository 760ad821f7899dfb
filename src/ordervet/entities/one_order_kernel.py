"""Keying all that one order tells in one call.

The kernel is handed one array, its book: addresses and sizes of everything else. Handing over each array by itself
would cost an order more than all its ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import carray, from_dtype, njit, types  # type: ignore[attr-defined]

from ordervet.entities.address.arrays import load_tables, make_scratch
from ordervet.entities.address.kernel import key_addresses
from ordervet.entities.kernel_pointers import close, point, view_as
from ordervet.entities.plain_kernel import CODES, NUMBERS, key_ids, key_networks, key_phones, key_recipients
from ordervet.entities.siphash_kernel import BYTES, IDS, hash_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.entities.kernel_layout import Scalar

__all__ = ["BOOK_SIZE", "DONE", "HAS_HARD", "N_FORMS", "SEPARATOR", "TEXTS", "UNTIDY", "key_one"]

TEXTS = (
    "buyer", "device", "payment", "phone", "ip", "recipient", "phone group", "address group", "address", "order",
    "plain",
)  # fmt: skip
"""The texts of an order in the order in which the kernel takes them; from the last on as many as there are."""

# SPEED: numba compiles a function anew for each literal passed to it, but not for each np.int64.
_BUYER, _DEVICE, _PAYMENT, _PHONE, _IP, _RECIPIENT, _PHONE_GROUP, _PLACE_GROUP, _ADDRESS, _ORDER, _PLAIN = map(
    np.int64, range(11)
)

(
    DATA, N_BYTES, IS_SPLIT, OFFSETS, N_TEXTS, SUBKEYS, SUSPECTS, N_LENGTHS, PLACEHOLDERS, N_PLACEHOLDERS, NAMES,
    N_NAMES, TABLES, SCRATCH, WORDS, STATES, IS_HARD, PLACE_TYPE, BOOK_SIZE,
) = range(19)  # fmt: skip
"""Columns of the book: addresses, each followed by the sizes that go with it."""

DONE, UNTIDY, HAS_HARD = range(3)
"""What the kernel answers: all is keyed; nothing is, for texts with white space at an end; the forms marked are not."""

SEPARATOR = "\x1f"
_SEPARATOR = np.uint8(ord(SEPARATOR))
_N_IN_EVENT = 8
"""Separators within the text of the order's identity."""

N_FORMS = 7
"""Entities whose texts are brought to one form: their ids come first, in the order of `one_order.FORMS`."""
_FORM_PHONE = 3
(
    _SUBKEY_PHONE_GROUP,
    _SUBKEY_DOOR_GROUP,
    _SUBKEY_PLACE_GROUP,
    _SUBKEY_DOOR,
    _,
    _SUBKEY_ORDER,
    _SUBKEY_EVENT,
    (_SUBKEY_PLAIN),
) = map(np.int64, range(7, 15))

_KNOWN, _ABSENT = np.int8(0), np.int8(1)  # of `Evidence`; the parity test holds them together
_SPACE = np.uint8(0x20)
_LEADS = (np.uint8(0xC2), np.uint8(0xE1), np.uint8(0xE2), np.uint8(0xE3))
"""First bytes, in UTF-8, of white space beyond ASCII."""


_view_tables = view_as(from_dtype(load_tables().dtype))
_view_scratch = view_as(from_dtype(make_scratch().dtype))


@njit(types.boolean(BYTES, types.int64, NUMBERS), nogil=True, cache=True)
def _split(data: NDArray[np.uint8], n_texts: Scalar, offsets: NDArray[np.int64]) -> Scalar:
    """Find where each text begins, and whether it has no separator, nor what may be white space at its ends."""
    n: Scalar = np.int64(0)
    start: Scalar = np.int64(0)
    last: Scalar = np.int64(0)
    offsets[0] = 0
    for at in range(len(data)):
        if data[at] != _SEPARATOR:
            continue
        n += 1
        if n > n_texts:
            continue
        # NOTE: a text ends before the separator; kernels read it from one offset to the next.
        offsets[2 * n - 1], offsets[2 * n] = at, at + 1
        if at > start:
            last = at - 1
            while last > start and data[last] & np.uint8(0xC0) == np.uint8(0x80):
                last -= 1
            for sign in (data[start], data[last]):
                if sign <= _SPACE or sign in _LEADS:
                    return False
        start = at + 1
    offsets[2 * n_texts + 1] = len(data)
    return n == n_texts + _N_IN_EVENT


@njit(types.boolean(BYTES, NUMBERS, NUMBERS, types.Array(types.uint64, 2, "C"), IDS, CODES), nogil=True, cache=True)
def _key_forms(data: NDArray[np.uint8], offsets: NDArray[np.int64], book: NDArray[np.int64],
               subkeys: NDArray[np.uint64], ids: NDArray[np.uint64], codes: NDArray[np.int8]) -> Scalar:  # fmt: skip
    """Key the texts that are brought to one form; tell whether some are left to their definitions."""
    is_hard = carray(point(book[IS_HARD]), (N_FORMS,), np.bool_)
    suspects = carray(point(book[SUSPECTS]), (256, book[N_LENGTHS]), np.bool_)
    for row in range(3):
        k0, k1, to = subkeys[row, 0], subkeys[row, 1], slice(row, row + 1)
        key_ids(data, offsets[2 * row :], row == _BUYER, suspects, k0, k1, ids[to], codes[to], is_hard[to])
    placeholders, to = carray(point(book[PLACEHOLDERS]), (book[N_PLACEHOLDERS],), np.int64), slice(3, 4)
    span = offsets[2 * _PHONE :]
    key_phones(data, span, placeholders, subkeys[3, 0], subkeys[3, 1], ids[to], codes[to], is_hard[to])
    for row in range(4, 6):
        k0, k1, to = subkeys[row, 0], subkeys[row, 1], slice(row, row + 1)
        key_networks(data, offsets[2 * _IP :], row == 5, k0, k1, ids[to], codes[to], is_hard[to])  # noqa: PLR2004 - its place
    names, to = carray(point(book[NAMES]), (book[N_NAMES],), np.uint8), slice(6, 7)
    span = offsets[2 * _RECIPIENT :]
    key_recipients(data, span, names, subkeys[6, 0], subkeys[6, 1], ids[to], codes[to], is_hard[to])
    return is_hard.any()


@njit(types.uint64(BYTES, NUMBERS, types.int64, types.Array(types.uint64, 2, "C"), types.int64), nogil=True, cache=True)
def _hash(data: NDArray[np.uint8], offsets: NDArray[np.int64], text: Scalar, subkeys: NDArray[np.uint64], row: Scalar
          ) -> Scalar:  # fmt: skip
    start, stop = offsets[2 * text], offsets[2 * text + 1]
    return hash_bytes(data, start, stop, subkeys[row, 0], subkeys[row, 1]) if stop > start else np.uint64(0)


# SPEED: inline, so that the machine code of addresses is made once and not once more for each caller of a caller.
@njit(nogil=True, cache=True, inline="always")
def _key_places(data: NDArray[np.uint8], offsets: NDArray[np.int64], book: NDArray[np.int64],
                subkeys: NDArray[np.uint64], ids: NDArray[np.uint64], codes: NDArray[np.int8]) -> None:  # fmt: skip
    """Key the address; a group of the platform's comes before the address for the door, after it for the place."""
    tables, scratch = _view_tables(book[TABLES]), _view_scratch(book[SCRATCH])
    place_type = carray(point(book[PLACE_TYPE]), (1,), np.int8)
    of_address = subkeys[_SUBKEY_DOOR : _SUBKEY_DOOR + 2]
    found, told = ids.reshape((2, 1)), codes.reshape((2, 1))
    key_addresses(data, offsets[2 * _ADDRESS :], tables, scratch, of_address, found, told, place_type)
    door = _hash(data, offsets, _PLACE_GROUP, subkeys, _SUBKEY_DOOR_GROUP)
    if door != np.uint64(0):
        ids[0], codes[0] = door, _KNOWN
    if ids[1] == np.uint64(0):
        ids[1] = _hash(data, offsets, _PLACE_GROUP, subkeys, _SUBKEY_PLACE_GROUP)
        if ids[1] != np.uint64(0):
            codes[1] = _KNOWN


@njit(nogil=True, cache=True)
def key_one(book: NDArray[np.int64]) -> Scalar:
    """Key the texts of one order. No checks: the caller is ``one_order.py``.

    The texts lie one after the other as in `TEXTS`, with separators between them and the text of the order's identity
    at the end. Written are the ids and codes of ``Evidence`` of the forms, of plain texts, of door and place; behind
    the ids a 0 and those of the order and of its identity.

    Returns
    -------
    DONE, UNTIDY or HAS_HARD

    References
    ----------
    Truth: ``keyed.key_orders``.
    """
    n_texts, data = book[N_TEXTS], close(carray(point(book[DATA]), (book[N_BYTES],), np.uint8))
    offsets = carray(point(book[OFFSETS]), (2 * n_texts + 2,), np.int64)
    if book[IS_SPLIT] == 0 and not _split(data, n_texts, offsets):
        return UNTIDY
    n_plain = n_texts - _PLAIN
    n_ids = N_FORMS + n_plain + 2
    subkeys = carray(point(book[SUBKEYS]), (_SUBKEY_PLAIN + n_plain, 2), np.uint64)
    ids = carray(point(book[WORDS]), (n_ids + 3,), np.uint64)
    codes = carray(point(book[STATES]), (n_ids,), np.int8)
    has_hard = _key_forms(data, offsets, book, subkeys, ids, codes)
    group = _hash(data, offsets, _PHONE_GROUP, subkeys, _SUBKEY_PHONE_GROUP)
    if group != np.uint64(0):
        ids[_FORM_PHONE], codes[_FORM_PHONE] = group, _KNOWN
        carray(point(book[IS_HARD]), (N_FORMS,), np.bool_)[_FORM_PHONE] = False
    for each in range(n_plain):
        hashed, to = _hash(data, offsets, _PLAIN + each, subkeys, _SUBKEY_PLAIN + each), N_FORMS + each
        ids[to], codes[to] = hashed, _KNOWN if hashed != np.uint64(0) else _ABSENT
    _key_places(data, offsets, book, subkeys, ids[n_ids - 2 : n_ids], codes[n_ids - 2 :])
    ids[n_ids] = np.uint64(0)
    ids[n_ids + 1] = _hash(data, offsets, _ORDER, subkeys, _SUBKEY_ORDER)
    ids[n_ids + 2] = _hash(data, offsets, n_texts, subkeys, _SUBKEY_EVENT)
    return HAS_HARD if has_hard else DONE
