"""Columns of addresses, keyed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ordervet.entities.address.arrays import load_tables
from ordervet.entities.address.lexicon import PlaceType
from ordervet.entities.address.parser import parse_address
from ordervet.entities.buffers import view_texts
from ordervet.entities.evidence import ABSENT, MASKED, UNUSABLE, known

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.entities.buffers import TextColumn
    from ordervet.entities.evidence import Canonical
    from ordervet.entities.keys import Key

__all__ = [
    "DOOR",
    "PLACE",
    "SKELETON",
    "KeyedAddresses",
    "address_forms",
    "canonical_texts",
    "key_addresses",
    "key_skeletons",
    "skeleton_form",
]

DOOR, PLACE = "address", "place"
"""Namespaces of the ids of door texts and place texts."""

SKELETON = "skeleton"
"""The mapped entity whose value is an address, of which the skeleton is keyed: a softer tie, for features alone."""


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
    data, offsets = view_texts(column)
    n_rows = len(offsets) - 1
    ids = np.empty((2, n_rows), dtype=np.uint64)
    codes = np.empty((3, n_rows), dtype=np.int8)
    load_tables().key(data, offsets, key.subkey(DOOR), key.subkey(PLACE), *ids, *codes)
    return KeyedAddresses(*ids, *codes)


def key_skeletons(column: TextColumn, key: Key) -> tuple[NDArray[np.uint64], NDArray[np.int8]]:
    """Key the skeletons of a column of addresses: region and numbers without names.

    Parameters
    ----------
    column : shape (n_rows,), addresses as somebody wrote them
    key : the identifier key

    Returns
    -------
    ids, shape (n_rows,), uint64, 0 = no key; and evidence, shape (n_rows,), int8 codes of ``Evidence``

    References
    ----------
    Truth: `skeleton_form`.
    """
    data, offsets = view_texts(column)
    ids, evidence = np.empty(len(offsets) - 1, dtype=np.uint64), np.empty(len(offsets) - 1, dtype=np.int8)
    load_tables().key_skeletons(data, offsets, key.subkey(SKELETON), ids, evidence)
    return ids, evidence


def skeleton_form(text: str) -> Canonical:
    """Bring an address to its skeleton, by the definition.

    Parameters
    ----------
    text : an address
    """
    if not text:
        return ABSENT
    parsed = parse_address(text)
    return known(parsed.skeleton_text) if parsed.skeleton_text else MASKED if parsed.is_masked else UNUSABLE


def address_forms(text: str) -> tuple[Canonical, Canonical, PlaceType]:
    """Bring an address to its forms, that of the door and that of the place, by their definition.

    Parameters
    ----------
    text : an address

    Returns
    -------
    door, place, and what kind of place it is
    """
    if not text:
        return ABSENT, ABSENT, PlaceType.UNKNOWN
    parsed = parse_address(text)
    lacking = MASKED if parsed.is_masked else UNUSABLE
    door, place = (known(text) if text else lacking for text in (parsed.door_text, parsed.place_text))
    return door, place, parsed.place_type


def canonical_texts(text: str) -> tuple[str, str]:
    """Make the door text and the place text of one address with the core: for the parity test and for debugging.

    Parameters
    ----------
    text : an address

    Returns
    -------
    door text and place text, as ``Address.door_text`` and ``Address.place_text``
    """
    door, place = load_tables().write_texts(text.encode())
    return door.decode(), place.decode()
