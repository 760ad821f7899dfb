"""The ids of one order, without a table: what `key_orders` gives for a table of one, at a hundredth of the cost."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Final

import numpy as np

from ordervet import _core
from ordervet.entities.address.address_columns import DOOR, PLACE, SKELETON, address_forms, skeleton_form
from ordervet.entities.address.arrays import load_tables
from ordervet.entities.build import CANONICAL, PLAIN
from ordervet.entities.evidence import Evidence
from ordervet.entities.identities import canonical_plain
from ordervet.entities.phones import canonical_phone, find_phone
from ordervet.entities.plain import form_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.contract import Order
    from ordervet.entities.evidence import Canonical
    from ordervet.entities.keys import Key

__all__ = ["KeyedOrder", "OrderKeyer", "TextKeyer"]

_FORMS: Final = ("buyer", "device", "payment", "phone", "ip", "network", "recipient")
"""The entities whose texts are brought to one form. These names, columns and namespaces are in the order in which the
core takes them: src/core/keys/orders.hpp."""

_NAMESPACES: Final = (
    *_FORMS, "phone group", f"{DOOR} group", f"{PLACE} group", DOOR, PLACE, "order", "event", *PLAIN,
)  # fmt: skip

_read_texts = itemgetter(
    "buyer_id", "device_id", "payment_account", "phone", "ip", "recipient", "phone_group", "address_group", "address",
    "order_id", "country", *PLAIN.values(),
)  # fmt: skip

_UNDECIDED: Final = -1
_PHONE: Final = _FORMS.index("phone")
_ABSENT: Final = int(Evidence.ABSENT)


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

    def read_id(self, entity: str) -> int:
        """Return the id of one entity, unsigned; 0 = no key."""
        return self.words.item(self.names.index(entity)) if entity in self.names else 0

    @property
    def evidence(self) -> dict[str, int]:
        """Entity → code of ``Evidence``."""
        return dict(zip(self.names, self.codes, strict=True))


#: So many sets of names of extras are keyed without being prepared again.
_MAX_KEYERS = 64


class OrderKeyer:
    """Keys orders one by one; used by one thread at a time.

    Parameters
    ----------
    key : the identifier key
    """

    def __init__(self, key: Key) -> None:
        self._key = key
        self._keyers: dict[tuple[str, ...], tuple[tuple[str, ...], _core.OrderKeyer]] = {}

    def key(self, order: Order) -> KeyedOrder:
        """Give the ids of one order.

        Parameters
        ----------
        order : as the contract checked it

        References
        ----------
        Truth: `keyed.key_orders`, and `history.identity.identify` for the event id.
        """
        extras = {**order.entities, **order.categories} if order.entities or order.categories else {}
        more = tuple(extras)
        found = self._keyers.get(more)
        if found is None:
            if len(self._keyers) == _MAX_KEYERS:  # of an order system whose extras have ever new names
                self._keyers.clear()
            found = self._keyers[more] = self._build(more)
        names, keyer = found
        words = np.empty(len(names) + 3, np.uint64)
        codes, place_type, is_undecided = keyer.key(_read_texts(order.__dict__), tuple(extras.values()), words)
        keyed = KeyedOrder(names, words, codes, place_type)
        if is_undecided:
            self._key_undecided(keyed, order, extras)
        if SKELETON in order.entities:
            self._put(keyed, names.index(SKELETON), SKELETON, skeleton_form(order.entities[SKELETON].strip()))
        if codes[_PHONE] == _ABSENT and order.address is not None:
            self._put(keyed, _PHONE, "phone", find_phone(order.address))
        return keyed

    def _build(self, extras: tuple[str, ...]) -> tuple[tuple[str, ...], _core.OrderKeyer]:
        forms = [form_of(canonicalise) for canonicalise in (*(CANONICAL[name][1] for name in _FORMS), canonical_plain)]
        subkeys = [self._key.subkey(name) for name in (*_NAMESPACES, *extras)]
        return (*_FORMS, *PLAIN, *extras, DOOR, PLACE), _core.OrderKeyer(forms, load_tables(), subkeys)

    def _key_undecided(self, keyed: KeyedOrder, order: Order, extras: dict[str, str]) -> None:
        """Key what the core leaves to the definitions."""
        undecided = [at for at, code in enumerate(keyed.codes) if code == _UNDECIDED]
        # SPEED: an address takes far longer than all else, and the core has often read it (bench_live.py).
        is_door_open = any(keyed.names[at] in {DOOR, PLACE} for at in undecided)
        door, place, place_type = address_forms((order.address or "").strip() if is_door_open else "")
        for at in undecided:
            self._put(keyed, at, *_find_form(keyed.names[at], order, extras, door, place))
        if is_door_open:
            keyed.place_type = int(place_type)

    def _put(self, keyed: KeyedOrder, at: int, namespace: str, form: Canonical) -> None:
        keyed.words[at] = _core.hash_text(form.text.encode(), self._key.subkey(namespace))
        keyed.codes[at] = int(form.evidence)


def _find_form(
    name: str, order: Order, extras: dict[str, str], door: Canonical, place: Canonical
) -> tuple[str, Canonical]:
    """Find the namespace and the form of one entity, as `build_entities` has them."""
    if name in {"phone", DOOR, PLACE}:
        group = canonical_plain(((order.phone_group if name == "phone" else order.address_group) or "").strip())
        form = {"phone": canonical_phone(order.phone, order.country), DOOR: door, PLACE: place}[name]
        is_grouped = not group.evidence and (name != PLACE or bool(form.evidence))
        return (f"{name} group", group) if is_grouped else (name, form)
    if name in CANONICAL:
        column, canonicalise = CANONICAL[name]
        return name, canonicalise(order.__dict__[column])
    text = extras[name] if name in extras else order.__dict__[PLAIN[name]]
    return name, canonical_plain((text or "").strip())


class TextKeyer:
    """Keys a few texts of fixed namespaces, again and again.

    Parameters
    ----------
    key : the identifier key
    namespaces : of the texts
    """

    def __init__(self, key: Key, namespaces: tuple[str, ...]) -> None:
        self._subkeys = [key.subkey(name) for name in namespaces]

    def key(self, texts: list[str]) -> list[int]:
        """Give the ids of texts, one per namespace, unsigned; 0 of an empty text.

        References
        ----------
        Truth: `ids.hash_text`.
        """
        return [_core.hash_text(text.encode(), subkey) for text, subkey in zip(texts, self._subkeys, strict=True)]
