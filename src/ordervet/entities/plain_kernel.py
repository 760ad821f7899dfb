"""Ids of texts that are in their canonical form already, which nearly all are: keyed without a detour through Python.

A row that a kernel here cannot be sure of is marked hard, and `identities.py` and `phones.py`, which define the forms,
look at it. So a kernel may give up on anything, but must never differ from them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit, types

from ordervet.entities.siphash_lanes_kernel import LANES, LONGEST, flush_lanes, make_lanes, put_in_lane
from ordervet.entities.siphash_round_kernel import BYTES, IDS, OFFSETS, hash_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.entities.kernel_layout import Scalar

__all__ = ["key_ids", "key_networks", "key_phones", "key_recipients"]

FLAGS = types.Array(types.boolean, 1, "C")
CODES = types.Array(types.int8, 1, "C")
TABLE = types.Array(types.boolean, 2, "C")
NUMBERS = types.Array(types.int64, 1, "C")

_LONGEST = 256
_KNOWN, _ABSENT, _UNUSABLE = np.int8(0), np.int8(1), np.int8(3)  # of `Evidence`; the parity test holds them together
_STAR, _HASH, _DOLLAR, _TILDE, _DASH, _DOT, _COLON, _ZERO, _NINE = (np.uint8(ord(sign)) for sign in "*#$~-.:09")
_SPACE, _DELETE = np.uint8(0x20), np.uint8(0x7F)
_FIRST_CJK_LEAD, _LAST_CJK_LEAD = np.uint8(0xE4), np.uint8(0xE9)
"""First bytes of U+4000 to U+9FFF in UTF-8; no white space, no letter with a case, no mask is among these."""
_FIRST_CJK = 0x4E00
_UNSURE, _WIDE, _UPPER, _TELLS = (np.uint8(1 << bit) for bit in range(4))
_SIGNS = np.zeros(256, np.uint8)
_SIGNS[: int(_SPACE) + 1] = _SIGNS[[int(_STAR), int(_DELETE)]] = _UNSURE
_SIGNS[0x80:] = _WIDE
_SIGNS[ord("A") : ord("Z") + 1] = _UPPER
_SIGNS[(_SIGNS == 0) & ~np.isin(np.arange(256), [int(_ZERO), int(_DASH), int(_COLON)])] = _TELLS
"""What a byte of an id is: not sure, beyond ASCII, a capital letter, or a sign that no placeholder is made of."""
_MOBILE_DIGITS, _LONGEST_EXTENSION = 11, 6
_LONGEST_IP, _N_OCTETS, _MAX_OCTET = 15, 4, 255
_IS_RULED = np.zeros(256, np.bool_)
_IS_RULED[[0, 10, 100, 127, 169, 172, 192, 198, 203, *range(224, 240), 255]] = True
"""First octets for which there are rules of their own (RFC 6890); 240 to 254 are those of made-up orders."""


@njit(nogil=True, cache=True)
def _is_chinese(data: NDArray[np.uint8], start: Scalar, stop: Scalar) -> Scalar:
    """Say whether all signs beyond ASCII are of three bytes, U+4000 to U+9FFF."""
    at = start
    while at < stop:
        sign = data[np.uint64(at)]
        if sign < np.uint8(0x80):
            at += 1
        elif _FIRST_CJK_LEAD <= sign <= _LAST_CJK_LEAD:
            at += 3
        else:
            return False
    return True


@njit(
    types.void(BYTES, OFFSETS, types.boolean, TABLE, types.uint64, types.uint64, IDS, CODES, FLAGS),
    nogil=True,
    cache=True,
)
def key_ids(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    is_case_kept: Scalar,
    is_suspect: NDArray[np.bool_],
    k0: Scalar,
    k1: Scalar,
    ids: NDArray[np.uint64],
    evidence: NDArray[np.int8],
    is_hard: NDArray[np.bool_],
) -> None:
    """Key ids of buyers, devices and accounts. No checks: the caller is ``plain.py``.

    Parameters
    ----------
    data : shape (n_bytes,)
    offsets : shape (n_rows + 1,), ascending
    is_case_kept : whether case tells two ids apart
    is_suspect : shape (256, n_lengths), by first byte (lower case) and length: a placeholder could be meant
    k0, k1 : the key's two halves
    ids, evidence, is_hard : shape (n_rows,), written; the first two only where the row is not hard
    """
    lowered = np.empty(_LONGEST, np.uint8)
    lanes, lane = make_lanes(ids.shape[0]), 0
    for row in range(ids.shape[0]):
        start, n = offsets[row], offsets[row + 1] - offsets[row]
        is_hard[row] = False
        if n == 0:
            ids[row], evidence[row] = np.uint64(0), _ABSENT
            continue
        if n > _LONGEST or data[np.uint64(start)] in (_HASH, _DOLLAR, _TILDE):
            is_hard[row] = True
            continue
        seen = np.uint8(0)
        for at in range(n):
            seen |= _SIGNS[data[np.uint64(start + at)]]
        first = data[np.uint64(start)]
        first |= np.uint8(32) if _SIGNS[first] & _UPPER else np.uint8(0)
        tells = is_case_kept or seen & (_TELLS | _UPPER | _WIDE) != 0
        is_sure = seen & _UNSURE == 0 and (seen & _WIDE == 0 or _is_chinese(data, start, start + n))
        if not is_sure or not tells or (n < is_suspect.shape[1] and is_suspect[first, n]):
            is_hard[row] = True
            continue
        evidence[row] = _KNOWN
        if is_case_kept or seen & _UPPER == 0:
            if len(lanes) == 0 or n >= LONGEST:
                ids[row] = hash_bytes(data, start, start + n, k0, k1)
            else:
                put_in_lane(data, start, start + n, row, lane, lanes)
                lane += 1
                if lane == LANES:
                    flush_lanes(lane, k0, k1, lanes, ids)
                    lane = 0
            continue
        for at in range(n):
            sign = data[np.uint64(start + at)]
            lowered[at] = sign | np.uint8(32) if _SIGNS[sign] & _UPPER else sign
        ids[row] = hash_bytes(lowered, 0, n, k0, k1)
    flush_lanes(lane, k0, k1, lanes, ids)


@njit(types.void(BYTES, OFFSETS, NUMBERS, types.uint64, types.uint64, IDS, CODES, FLAGS), nogil=True, cache=True)
def key_phones(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    placeholders: NDArray[np.int64],
    k0: Scalar,
    k1: Scalar,
    ids: NDArray[np.uint64],
    evidence: NDArray[np.int8],
    is_hard: NDArray[np.bool_],
) -> None:
    """Key mobile numbers of mainland China, and refuse those with an extension. No checks: the caller is ``plain.py``.

    Eleven digits and nothing else, or eleven digits, a hyphen and up to six more.

    Parameters
    ----------
    placeholders : shape (n_placeholders,), numbers that are nobody's
    others : those of ``key_ids``
    """
    form = np.empty(_MOBILE_DIGITS + 3, np.uint8)
    form[0], form[1], form[2] = np.uint8(ord("+")), np.uint8(ord("8")), np.uint8(ord("6"))
    lanes, lane = make_lanes(ids.shape[0]), 0
    for row in range(ids.shape[0]):
        start, n = offsets[row], offsets[row + 1] - offsets[row]
        is_hard[row] = False
        if n == 0:
            ids[row], evidence[row] = np.uint64(0), _ABSENT
            continue
        is_mobile = n >= _MOBILE_DIGITS and data[start] == np.uint8(ord("1")) and data[start + 1] >= np.uint8(ord("3"))
        number = np.int64(0)
        if is_mobile:
            for at in range(_MOBILE_DIGITS):
                digit = data[start + at]
                is_mobile &= _ZERO <= digit <= _NINE
                number = 10 * number + np.int64(digit - _ZERO)
                form[at + 3] = digit
        if is_mobile and _MOBILE_DIGITS + 1 < n <= _MOBILE_DIGITS + 1 + _LONGEST_EXTENSION:
            is_virtual = data[start + _MOBILE_DIGITS] == _DASH
            for at in range(_MOBILE_DIGITS + 1, n):
                is_virtual &= _ZERO <= data[start + at] <= _NINE
            is_hard[row] = not is_virtual
            ids[row], evidence[row] = np.uint64(0), _UNUSABLE
            continue
        for placeholder in placeholders:
            is_mobile &= number != placeholder
        if not is_mobile or n != _MOBILE_DIGITS:
            is_hard[row] = True
            continue
        evidence[row] = _KNOWN
        if len(lanes) == 0:
            ids[row] = hash_bytes(form, 0, _MOBILE_DIGITS + 3, k0, k1)
            continue
        put_in_lane(form, 0, _MOBILE_DIGITS + 3, row, lane, lanes)
        lane += 1
        if lane == LANES:
            flush_lanes(lane, k0, k1, lanes, ids)
            lane = 0
    flush_lanes(lane, k0, k1, lanes, ids)


@njit(
    types.void(BYTES, OFFSETS, types.Array(types.uint8, 1, "C"), types.uint64, types.uint64, IDS, CODES, FLAGS),
    nogil=True,
    cache=True,
)
def key_recipients(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    in_name: NDArray[np.uint8],
    k0: Scalar,
    k1: Scalar,
    ids: NDArray[np.uint64],
    evidence: NDArray[np.int8],
    is_hard: NDArray[np.bool_],
) -> None:
    """Key names of two or more Chinese characters. No checks: the caller is ``plain.py``.

    Parameters
    ----------
    in_name : shape (n_points,), per character from U+4E00 on: 0 not sure, 1 part of a name, 2 so unless it is the last
    others : those of ``key_ids``
    """
    lanes, lane = make_lanes(ids.shape[0]), 0
    for row in range(ids.shape[0]):
        start, stop = offsets[row], offsets[row + 1]
        is_hard[row] = False
        if start == stop:
            ids[row], evidence[row] = np.uint64(0), _ABSENT
            continue
        kind, at = np.uint8(0), start
        while at < stop and _FIRST_CJK_LEAD <= data[at] <= _LAST_CJK_LEAD:
            point = (
                ((np.int64(data[at]) & 0xF) << 12)
                | ((np.int64(data[at + 1]) & 0x3F) << 6)
                | (np.int64(data[at + 2]) & 0x3F)
            )
            kind = in_name[point - _FIRST_CJK] if point >= _FIRST_CJK else np.uint8(0)
            if kind == np.uint8(0):
                break
            at += 3
        if at < stop or kind != np.uint8(1) or stop - start < 6:  # noqa: PLR2004 -- two characters of three bytes
            is_hard[row] = True
            continue
        evidence[row] = _KNOWN
        if len(lanes) == 0 or stop - start >= LONGEST:
            ids[row] = hash_bytes(data, start, stop, k0, k1)
            continue
        put_in_lane(data, start, stop, row, lane, lanes)
        lane += 1
        if lane == LANES:
            flush_lanes(lane, k0, k1, lanes, ids)
            lane = 0
    flush_lanes(lane, k0, k1, lanes, ids)


@njit(types.void(BYTES, OFFSETS, types.boolean, types.uint64, types.uint64, IDS, CODES, FLAGS), nogil=True, cache=True)
def key_networks(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    is_network: Scalar,
    k0: Scalar,
    k1: Scalar,
    ids: NDArray[np.uint64],
    evidence: NDArray[np.int8],
    is_hard: NDArray[np.bool_],
) -> None:
    """Key IPv4 addresses, or their /24 networks. No checks: the caller is ``plain.py``.

    Parameters
    ----------
    is_network : whether the network is meant
    others : those of ``key_ids``
    """
    form = np.empty(_LONGEST_IP + 4, np.uint8)
    lanes, lane = make_lanes(ids.shape[0]), 0
    for row in range(ids.shape[0]):
        start, stop = offsets[row], offsets[row + 1]
        is_hard[row] = False
        if start == stop:
            ids[row], evidence[row] = np.uint64(0), _ABSENT
            continue
        n, n_digits, last_dot, octet, first = 0, 0, start, np.int64(0), np.int64(0)
        is_plain = stop - start <= _LONGEST_IP
        for at in range(start, stop if is_plain else start):
            sign = data[np.uint64(at)]
            digit = np.int64(sign) - np.int64(_ZERO)
            if 0 <= digit <= 9:  # noqa: PLR2004 -- what a digit is
                # A leading zero is refused, as `ipaddress` refuses it.
                is_plain &= n_digits == 0 or octet > 0
                octet = octet * 10 + digit
                n_digits += 1
            else:
                is_plain &= sign == _DOT and n_digits > 0 and octet <= _MAX_OCTET
                first = octet if n == 0 else first
                n, n_digits, last_dot, octet = n + 1, 0, at, np.int64(0)
        is_plain &= n == _N_OCTETS - 1 and n_digits > 0 and octet <= _MAX_OCTET
        if not is_plain or _IS_RULED[np.uint8(first)]:
            is_hard[row] = True
            continue
        evidence[row] = _KNOWN
        if is_network:
            n_kept = last_dot + 1 - start
            for i in range(n_kept):
                form[i] = data[np.uint64(start + i)]
            form[n_kept], form[n_kept + 1] = _ZERO, np.uint8(ord("/"))
            form[n_kept + 2], form[n_kept + 3] = np.uint8(ord("2")), np.uint8(ord("4"))
        if len(lanes) == 0:
            ids[row] = hash_bytes(form, 0, n_kept + 4, k0, k1) if is_network else hash_bytes(data, start, stop, k0, k1)
            continue
        if is_network:
            put_in_lane(form, 0, n_kept + 4, row, lane, lanes)
        else:
            put_in_lane(data, start, stop, row, lane, lanes)
        lane += 1
        if lane == LANES:
            flush_lanes(lane, k0, k1, lanes, ids)
            lane = 0
    flush_lanes(lane, k0, k1, lanes, ids)
