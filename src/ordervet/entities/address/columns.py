"""Columns of addresses, keyed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ordervet.entities.buffers import view_texts
from ordervet.entities.ids import split_subkey

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.entities.buffers import TextColumn
    from ordervet.entities.keys import Key

__all__ = ["DOOR", "PLACE", "KeyedAddresses", "canonical_texts", "key_addresses"]

DOOR, PLACE = "address", "place"
"""Namespaces of the ids of door texts and place texts."""


@dataclass(frozen=True, slots=True)
class KeyedAddresses:
    """The ids of a column of addresses.

    Parameters
    ----------
    doors, places : shape (n_rows,), uint64; 0 = no key
    door_evidence, place_evidence : shape (n_rows,), int8 codes of ``Evidence``
    place_types : shape (n_rows,), int8 codes of ``PlaceType``
    """

    doors: NDArray[np.uint64] = field(repr=False)
    places: NDArray[np.uint64] = field(repr=False)
    door_evidence: NDArray[np.int8] = field(repr=False)
    place_evidence: NDArray[np.int8] = field(repr=False)
    place_types: NDArray[np.int8] = field(repr=False)


def key_addresses(column: TextColumn, key: Key) -> KeyedAddresses:
    """Canonicalise and key a column of addresses.

    Parameters
    ----------
    column : shape (n_rows,), addresses as somebody wrote them
    key : the identifier key

    Returns
    -------
    door and place ids, what is missing, and the kind of each place

    References
    ----------
    Truth: ``parse_address`` for the texts and ``hash_text`` for their ids.
    """
    # NOT: at the top. numba and the tables load when the first address is keyed.
    from ordervet.entities.address import kernel as address_kernel  # noqa: PLC0415 -- see above
    from ordervet.entities.address.arrays import load_tables, make_scratch  # noqa: PLC0415 -- see above

    data, offsets = view_texts(column)
    n_rows = len(offsets) - 1
    subkeys = np.array([split_subkey(key, DOOR), split_subkey(key, PLACE)], dtype=np.uint64)
    ids = np.empty((2, n_rows), dtype=np.uint64)
    evidence = np.empty((2, n_rows), dtype=np.int8)
    place_types = np.empty(n_rows, dtype=np.int8)
    address_kernel.key_addresses(data, offsets, load_tables(), make_scratch(), subkeys, ids, evidence, place_types)
    return KeyedAddresses(ids[0], ids[1], evidence[0], evidence[1], place_types)


def canonical_texts(text: str) -> tuple[str, str]:
    """Make the door text and the place text of one address with the kernel: for the parity test and for debugging.

    Parameters
    ----------
    text : an address

    Returns
    -------
    door text and place text, as ``Address.door_text`` and ``Address.place_text``
    """
    from ordervet.entities.address import kernel as address_kernel  # noqa: PLC0415 -- as above
    from ordervet.entities.address.arrays import load_tables, make_scratch  # noqa: PLC0415 -- as above
    from ordervet.entities.address.fold_kernel import fold_bytes  # noqa: PLC0415 -- as above

    data = np.frombuffer(text.encode(), dtype=np.uint8)
    tables, scratch = load_tables(), make_scratch()
    n, is_hidden = fold_bytes(data, 0, len(data), tables, scratch)
    if is_hidden:
        return "", ""
    address_kernel.read_folded(n, tables, scratch)
    n_door, n_place, region = address_kernel.write_texts(tables, scratch)
    door = scratch["out"][:n_door].tobytes().decode()
    address_kernel.rewrite_region(tables, scratch, region)
    return door, scratch["out"][:n_place].tobytes().decode()
