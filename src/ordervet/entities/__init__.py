"""Who was involved: raw personal data comes in, keyed 64-bit ids and place types go out.

Nothing later than this room holds a name, a phone number or an address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordervet.late_imports import export_lazily

if TYPE_CHECKING:
    from ordervet.entities.address.address_columns import KeyedAddresses, key_addresses
    from ordervet.entities.address.lexicon import PlaceType, Unit
    from ordervet.entities.address.parser import Address, parse_address
    from ordervet.entities.address.similarity import place_similarity
    from ordervet.entities.build import ENTITY_NAMES, Entities, build_entities, order_ids
    from ordervet.entities.evidence import Canonical, Evidence
    from ordervet.entities.identities import (
        canonical_buyer,
        canonical_device,
        canonical_ip,
        canonical_network,
        canonical_payment,
        canonical_recipient,
    )
    from ordervet.entities.ids import hash_text, hash_texts
    from ordervet.entities.keyed import KeyedEvents, key_events, key_orders
    from ordervet.entities.keys import Key, check_key_id, load_key, new_key, save_key
    from ordervet.entities.phones import canonical_phone

__all__ = [
    "ENTITY_NAMES",
    "Address",
    "Canonical",
    "Entities",
    "Evidence",
    "Key",
    "KeyedAddresses",
    "KeyedEvents",
    "PlaceType",
    "Unit",
    "build_entities",
    "canonical_buyer",
    "canonical_device",
    "canonical_ip",
    "canonical_network",
    "canonical_payment",
    "canonical_phone",
    "canonical_recipient",
    "check_key_id",
    "hash_text",
    "hash_texts",
    "key_addresses",
    "key_events",
    "key_orders",
    "load_key",
    "new_key",
    "order_ids",
    "parse_address",
    "place_similarity",
    "save_key",
]

__getattr__ = export_lazily(
    __name__,
    {
        "address.address_columns": "KeyedAddresses key_addresses",
        "address.lexicon": "PlaceType Unit",
        "address.parser": "Address parse_address",
        "address.similarity": "place_similarity",
        "build": "ENTITY_NAMES Entities build_entities order_ids",
        "evidence": "Canonical Evidence",
        "identities": (
            "canonical_buyer canonical_device canonical_ip canonical_network canonical_payment canonical_recipient"
        ),
        "ids": "hash_text hash_texts",
        "keyed": "KeyedEvents key_events key_orders",
        "keys": "Key check_key_id load_key new_key save_key",
        "phones": "canonical_phone",
    },
)
