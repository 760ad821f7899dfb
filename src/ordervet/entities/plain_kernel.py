"""Ids of texts that are in their canonical form already, which nearly all are: keyed without a detour through Python.

A row that a kernel here cannot be sure of is marked hard, and `identities.py` and `phones.py`, which define the forms,
look at it. So a kernel may give up on anything, but must never differ from them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit, types

from ordervet.entities.siphash_kernel import BYTES, IDS, OFFSETS, hash_bytes

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
_MOBILE_DIGITS, _LONGEST_EXTENSION = 11, 6
_LONGEST_IP, _N_OCTETS, _MAX_OCTET = 15, 4, 255


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
    for row in range(ids.shape[0]):
        start, n = offsets[row], offsets[row + 1] - offsets[row]
        is_hard[row] = False
        if n == 0:
            ids[row], evidence[row] = np.uint64(0), _ABSENT
            continue
        if n > _LONGEST or data[start] in (_HASH, _DOLLAR, _TILDE):
            is_hard[row] = True
            continue
        tells = is_case_kept
        at = np.int64(0)
        while at < n:
            sign = data[start + at]
            if sign <= _SPACE or sign in (_STAR, _DELETE):
                break
            if sign >= np.uint8(0x80):
                if not (_FIRST_CJK_LEAD <= sign <= _LAST_CJK_LEAD):
                    break
                lowered[at], lowered[at + 1], lowered[at + 2] = sign, data[start + at + 1], data[start + at + 2]
                tells = True
                at += 3
                continue
            tells |= sign not in (_ZERO, _DASH, _COLON)
            is_upper = np.uint8(ord("A")) <= sign <= np.uint8(ord("Z"))
            lowered[at] = sign + np.uint8(32) if is_upper else sign
            at += 1
        if at < n or not tells or (n < is_suspect.shape[1] and is_suspect[lowered[0], n]):
            is_hard[row] = True
            continue
        evidence[row] = _KNOWN
        if is_case_kept:
            ids[row] = hash_bytes(data, start, start + n, k0, k1)
        else:
            ids[row] = hash_bytes(lowered, 0, n, k0, k1)


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
        ids[row], evidence[row] = hash_bytes(form, 0, _MOBILE_DIGITS + 3, k0, k1), _KNOWN


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
        ids[row], evidence[row] = hash_bytes(data, start, stop, k0, k1), _KNOWN


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
    octets = np.zeros(_N_OCTETS, np.int64)
    for row in range(ids.shape[0]):
        start, stop = offsets[row], offsets[row + 1]
        is_hard[row] = False
        if start == stop:
            ids[row], evidence[row] = np.uint64(0), _ABSENT
            continue
        n, n_digits, last_dot = np.int64(0), np.int64(0), start
        octets[0] = 0
        is_plain = stop - start <= _LONGEST_IP
        at = start
        while is_plain and at < stop:
            sign = data[at]
            if _ZERO <= sign <= _NINE:
                # A leading zero is refused, as `ipaddress` refuses it.
                is_plain = n_digits == 0 or octets[n] > 0
                octets[n] = octets[n] * 10 + np.int64(sign - _ZERO)
                n_digits += 1
            elif sign == _DOT and n_digits > 0 and n < _N_OCTETS - 1:
                n += 1
                octets[n], n_digits, last_dot = 0, np.int64(0), at
            else:
                is_plain = False
            at += 1
        is_plain &= n == _N_OCTETS - 1 and n_digits > 0
        for i in range(_N_OCTETS):
            is_plain &= octets[i] <= _MAX_OCTET
        # Networks for which there are rules of their own (RFC 6890); 240 to 254 are those of made-up orders.
        first = octets[0]
        is_ruled = first in (0, 10, 100, 127, 169, 172, 192, 198, 203) or 224 <= first < 240 or first == 255  # noqa: PLR2004 -- see above
        if not is_plain or is_ruled:
            is_hard[row] = True
            continue
        evidence[row] = _KNOWN
        if not is_network:
            ids[row] = hash_bytes(data, start, stop, k0, k1)
            continue
        n_kept = last_dot + 1 - start
        for i in range(n_kept):
            form[i] = data[start + i]
        form[n_kept], form[n_kept + 1] = _ZERO, np.uint8(ord("/"))
        form[n_kept + 2], form[n_kept + 3] = np.uint8(ord("2")), np.uint8(ord("4"))
        ids[row] = hash_bytes(form, 0, n_kept + 4, k0, k1)
