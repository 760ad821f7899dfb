"""The ids of one order, without a table: what `key_orders` gives for a table of one, at a hundredth of the cost."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Final

import numpy as np

from ordervet.entities import one_order_kernel as kernel
from ordervet.entities.address.arrays import load_tables, make_scratch
from ordervet.entities.address.columns import DOOR, PLACE
from ordervet.entities.build import CANONICAL, PLAIN
from ordervet.entities.ids import split_subkey
from ordervet.entities.plain import kernel_of
from ordervet.entities.siphash_kernel import hash_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.contract import Order
    from ordervet.entities.keys import Key

__all__ = ["FORMS", "KeyedOrder", "OrderKeyer", "TextKeyer"]

FORMS: Final = ("buyer", "device", "payment", "phone", "ip", "network", "recipient")
"""The entities whose texts are brought to one form, in the order in which the kernel keys them."""

_NAMESPACES: Final = (
    *FORMS, "phone group", f"{DOOR} group", f"{PLACE} group", DOOR, PLACE, "order", "event", *PLAIN,
)  # fmt: skip
"""Namespaces of the texts that every order is asked for, in the order of the kernel's sub-keys."""

_COLUMNS: Final = (
    *(CANONICAL[name][0] if name in CANONICAL else name.replace(" ", "_") for name in kernel.TEXTS[:-2]),
    "order_id", *PLAIN.values(),
)  # fmt: skip
_read_texts = itemgetter(*_COLUMNS)
_AT_ORDER = _COLUMNS.index("order_id")

_EVENT_TAIL = kernel.SEPARATOR * 7
"""What follows the id of an order in the text of its identity: the empty details of other events."""

_ROOM = 4_096


class KeyedOrder:
    """One order's ids.

    Parameters
    ----------
    names : n entities
    words : shape (n + 3,), uint64; per entity its id, 0 = no key; then 0, the keyed id of the order, and its identity
    codes : n codes of ``Evidence``
    place_type : code of ``PlaceType``
    """

    __slots__ = ("codes", "names", "place_type", "words")

    def __init__(self, names: tuple[str, ...], words: NDArray[np.uint64], codes: list[int], place_type: int) -> None:
        self.names, self.words, self.codes, self.place_type = names, words, codes, place_type

    @property
    def order_id(self) -> int:
        """Keyed id of the order, unsigned."""
        return self.words.item(-2)

    @property
    def event_id(self) -> int:
        """Identity of the order, unsigned."""
        return self.words.item(-1)

    @property
    def ids(self) -> dict[str, int]:
        """Entity → id, unsigned; 0 = no key."""
        return dict(zip(self.names, self.words.tolist(), strict=False))

    @property
    def evidence(self) -> dict[str, int]:
        """Entity → code of ``Evidence``."""
        return dict(zip(self.names, self.codes, strict=True))


class OrderKeyer:
    """Keys orders one by one; used by one thread at a time.

    Parameters
    ----------
    key : the identifier key
    """

    def __init__(self, key: Key) -> None:
        self._key = key
        self._sheets: dict[tuple[str, ...], _Sheet] = {}

    def key(self, order: Order) -> KeyedOrder:
        """Give the ids of one order.

        Parameters
        ----------
        order : as the contract checked it

        References
        ----------
        Truth: `keyed.key_orders`, and `history.identity.identify` for the event id.
        """
        texts: list[str | None] = [*_read_texts(order.__dict__)]
        extras: tuple[str, ...] = ()
        if order.entities or order.categories:
            more = {**order.entities, **order.categories}
            extras = tuple(more)
            texts += more.values()
        sheet = self._sheets.get(extras)
        if sheet is None:
            sheet = self._sheets[extras] = _Sheet(self._key, extras)
        return sheet.key([text or "" for text in texts])


class _Sheet:
    """All that a call of the kernel reads and writes, for orders with the same extras."""

    def __init__(self, key: Key, extras: tuple[str, ...]) -> None:
        self._key = key
        self._names = (*FORMS, *PLAIN, *extras, DOOR, PLACE)
        tables = {name: kernel_of(CANONICAL[name][1])[-1] for name in ("buyer", "phone", "recipient")}
        suspects, placeholders, in_name = tables.values()
        n_texts = len(_COLUMNS) + len(extras)
        self._text = np.zeros(_ROOM, np.uint8)
        self._view = self._text.data
        self._offsets = np.zeros(2 * n_texts + 2, np.int64)
        self._subkeys = np.array([split_subkey(key, name) for name in (*_NAMESPACES, *extras)], np.uint64)
        self._words = np.zeros(len(self._names) + 3, np.uint64)
        self._codes, self._is_hard = np.zeros(len(self._names), np.int8), np.zeros(len(FORMS), np.bool_)
        self._place_type = np.zeros(1, np.int8)
        self._read = (suspects, placeholders, in_name, load_tables(), make_scratch())  # what addresses are of must live
        self._book = np.zeros(kernel.BOOK_SIZE, np.int64)
        self._book[kernel.N_TEXTS], self._book[kernel.N_LENGTHS] = n_texts, suspects.shape[1]
        self._book[kernel.N_PLACEHOLDERS], self._book[kernel.N_NAMES] = len(placeholders), len(in_name)
        for column, array in {
            kernel.DATA: self._text, kernel.OFFSETS: self._offsets, kernel.SUBKEYS: self._subkeys,
            kernel.SUSPECTS: suspects, kernel.PLACEHOLDERS: placeholders, kernel.NAMES: in_name,
            kernel.TABLES: np.frombuffer(self._read[-2], np.uint8),
            kernel.SCRATCH: np.frombuffer(self._read[-1], np.uint8), kernel.WORDS: self._words,
            kernel.STATES: self._codes, kernel.IS_HARD: self._is_hard, kernel.PLACE_TYPE: self._place_type,
        }.items():  # fmt: skip
            self._book[column] = array.ctypes.data

    def key(self, texts: list[str]) -> KeyedOrder:
        """Key the texts of one order, those of `_COLUMNS` and of the extras."""
        order_id = texts[_AT_ORDER]
        separator = kernel.SEPARATOR
        self._write(f"{separator.join(texts)}{separator}order{separator}{order_id}{_EVENT_TAIL}".encode())
        answer = kernel.key_one(self._book)
        if answer == kernel.UNTIDY:
            texts = [text.strip() for text in texts]  # as a table's column is trimmed
            answer = self._key_split(texts)
        keyed = KeyedOrder(self._names, self._words.copy(), self._codes.tolist(), self._place_type.item(0))
        if answer == kernel.HAS_HARD:
            self._key_hard(keyed, texts)
        return keyed

    def _write(self, data: bytes) -> None:
        if len(data) > len(self._view):
            self._text = np.zeros(2 * len(data), np.uint8)
            self._view = self._text.data
            self._book[kernel.DATA] = self._text.ctypes.data
        self._view[: len(data)] = data
        self._book[kernel.N_BYTES] = len(data)

    def _key_split(self, texts: list[str]) -> int:
        """Key texts that the kernel cannot tell apart by their separators."""
        order_id, separator = texts[_AT_ORDER], kernel.SEPARATOR
        encoded = [text.encode() for text in (*texts, f"order{separator}{order_id}{_EVENT_TAIL}")]
        ends = np.cumsum([len(text) for text in encoded])
        self._offsets[1::2], self._offsets[0] = ends, 0
        self._offsets[2::2] = ends[:-1]
        self._write(b"".join(encoded))
        self._book[kernel.IS_SPLIT] = 1
        answer: int = kernel.key_one(self._book)
        self._book[kernel.IS_SPLIT] = 0
        return answer

    def _key_hard(self, keyed: KeyedOrder, texts: list[str]) -> None:
        """Key what the kernel leaves to the definitions."""
        for at in np.flatnonzero(self._is_hard).tolist():
            column, canonicalise = CANONICAL[FORMS[at]]
            form = canonicalise(texts[_COLUMNS.index(column)])
            text = np.frombuffer(form.text.encode(), np.uint8)
            subkey = split_subkey(self._key, FORMS[at])
            keyed.words[at] = hash_bytes(text, 0, len(text), *subkey) if len(text) else 0
            keyed.codes[at] = int(form.evidence)


class TextKeyer:
    """Keys a few texts of fixed namespaces, again and again.

    Parameters
    ----------
    key : the identifier key
    namespaces : of the texts
    """

    def __init__(self, key: Key, namespaces: tuple[str, ...]) -> None:
        self._subkeys = [split_subkey(key, name) for name in namespaces]

    def key(self, texts: list[str]) -> list[int]:
        """Give the ids of texts, one per namespace, unsigned; 0 of an empty text.

        References
        ----------
        Truth: `ids.hash_text`.
        """
        return [
            int(hash_bytes(np.frombuffer(data, np.uint8), 0, len(data), *subkey)) if data else 0
            for data, subkey in zip(map(str.encode, texts), self._subkeys, strict=True)
        ]
