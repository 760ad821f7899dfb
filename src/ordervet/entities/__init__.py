"""Who was involved: raw personal data comes in, keyed 64-bit ids and place types go out.

Nothing later than this room holds a name, a phone number or an address.
"""

from ordervet.entities.build import ENTITY_NAMES, Entities, Evidence, build_entities, order_ids
from ordervet.entities.ids import hash_text, hash_texts
from ordervet.entities.keys import Key, check_key_id, load_key, new_key, save_key

__all__ = [
    "ENTITY_NAMES",
    "Entities",
    "Evidence",
    "Key",
    "build_entities",
    "check_key_id",
    "hash_text",
    "hash_texts",
    "load_key",
    "new_key",
    "order_ids",
    "save_key",
]
