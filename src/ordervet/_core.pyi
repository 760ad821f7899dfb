# What the compiled core offers; src/core has the code, one file or folder per concern.

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Texts: src/core/text.

def scan_texts(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int32],
    validity: NDArray[np.uint8],
    first_bit: int,
    may_begin: NDArray[np.bool_],
) -> tuple[bool, int]: ...
def has_repeats(
    data: NDArray[np.uint8], offsets: NDArray[np.int32], validity: NDArray[np.uint8], first_bit: int
) -> bool: ...

# Ids: src/core/keys.

def hash_text(text: bytes, subkey: bytes) -> int: ...
def hash_texts(data: NDArray[np.uint8], offsets: NDArray[np.int64], subkey: bytes, ids: NDArray[np.uint64]) -> None: ...

class Form:
    def key(
        self,
        data: NDArray[np.uint8],
        offsets: NDArray[np.int64],
        subkey: bytes,
        ids: NDArray[np.uint64],
        evidence: NDArray[np.int8],
    ) -> None: ...

class IdForm(Form):
    def __init__(self, is_case_kept: bool, placeholders: Sequence[bytes]) -> None: ...

class PlainForm(Form):
    def __init__(self, placeholders: Sequence[bytes]) -> None: ...

class PhoneForm(Form):
    def __init__(self, placeholders: Sequence[int]) -> None: ...

class RecipientForm(Form):
    def __init__(self, in_name: bytes) -> None: ...

class NetworkForm(Form):
    def __init__(self, is_network: bool) -> None: ...

class OrderKeyer:
    def __init__(self, forms: Sequence[Form], tables: AddressTables, subkeys: Sequence[bytes]) -> None: ...
    def key(
        self, texts: tuple[str | None, ...], extras: tuple[str, ...], words: NDArray[np.uint64]
    ) -> tuple[list[int], int, bool]: ...

# Addresses: src/core/address.

ADDRESS_MARKS: dict[str, int]
ADDRESS_CLASSES: tuple[str, ...]
ADDRESS_UNITS: tuple[str, ...]
WESTERN_LISTS: list[str]

class AddressTables:
    def __init__(self, arrays: dict[str, NDArray[Any]]) -> None: ...
    def key(
        self,
        data: NDArray[np.uint8],
        offsets: NDArray[np.int64],
        door_subkey: bytes,
        place_subkey: bytes,
        doors: NDArray[np.uint64],
        places: NDArray[np.uint64],
        door_evidence: NDArray[np.int8],
        place_evidence: NDArray[np.int8],
        place_types: NDArray[np.int8],
    ) -> None: ...
    def key_skeletons(
        self,
        data: NDArray[np.uint8],
        offsets: NDArray[np.int64],
        subkey: bytes,
        ids: NDArray[np.uint64],
        evidence: NDArray[np.int8],
    ) -> None: ...
    def write_texts(self, text: bytes) -> tuple[bytes, bytes]: ...
    def read_western(self, text: bytes) -> tuple[bytes, bytes, bytes, list[tuple[int, bytes]], int]: ...

def build_trie(
    points: NDArray[np.uint32],
    offsets: NDArray[np.int64],
    roots: NDArray[np.int32],
    payloads: NDArray[np.int32],
    n_roots: int,
    edge_bits: int,
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]: ...
def build_starts(
    points: NDArray[np.uint32], offsets: NDArray[np.int64], roots: NDArray[np.int32], bits: int
) -> NDArray[np.uint8]: ...

# Features: src/core/features.

STATISTICS: list[str]
CELL_KINDS: list[str]
FEATURE_BITS: dict[str, int]
FIRST_REFUND_SHIFT: int
MAX_LINKED: int
SIZED_POSITIONS: list[int]
SIZE_SOURCE: int
CAPPED_SOURCE: int
SPIKE_SOURCE: int
SPIKE_FROM: float

class EarlierEventsError(ValueError): ...
class InvalidStateError(ValueError): ...

class EntityArrays:
    def __init__(
        self,
        *,
        name: str,
        own: int,
        level: int,
        windows_us: Sequence[int],
        values: Sequence[int],
        cells: Sequence[tuple[int, int, int, int]],
        clocks: Sequence[int],
        asks: Sequence[tuple[int, int, int, int, int]],
        usual: Sequence[int],
        operations: Sequence[tuple[int, int, int, int, int, int, int]],
    ) -> None: ...

class GroupPlan:
    def __init__(
        self, *, buyer: int, keys: Sequence[int], address: int, measures: Sequence[int], columns: Sequence[int]
    ) -> None: ...

class FeatureEngine:
    def __init__(
        self,
        *,
        entities: Sequence[EntityArrays],
        groups: GroupPlan | None,
        own_columns: Sequence[int],
        n_features: int,
        n_weights: int,
        prior_orders: int,
        first_order_entity: int,
        hot_from: int,
        n_threads: int,
    ) -> None: ...
    def advance(
        self,
        *,
        order_id: NDArray[np.uint64],
        placed_at: NDArray[np.int64],
        seen_at: NDArray[np.int64],
        amount: NDArray[np.int64],
        rate: NDArray[np.float64],
        mask: NDArray[np.int64],
        ids: Sequence[NDArray[np.uint64]],
        later_id: NDArray[np.uint64],
        later_happened_at: NDArray[np.int64],
        later_seen_at: NDArray[np.int64],
        later_mask: NDArray[np.int64],
        later_amount: NDArray[np.int64],
        later_rank: NDArray[np.uint8],
        own: NDArray[np.float32] | None,
        out: NDArray[np.float32] | None,
        order_weights: NDArray[np.int32] | None = None,
        later_weights: NDArray[np.int32] | None = None,
    ) -> None: ...
    def advance_one(
        self,
        order_id: int,
        placed_at: int,
        seen_at: int,
        amount: int,
        rate: float,
        mask: int,
        ids: NDArray[np.uint64],
        own: Sequence[float],
        out: NDArray[np.float32],
        /,
    ) -> None: ...
    def compact(self) -> None: ...
    def export_state(self) -> dict[str, NDArray[np.uint8]]: ...
    def import_state(self, arrays: dict[str, NDArray[Any]], last_seen_at: int) -> None: ...
    @property
    def last_seen_at(self) -> int: ...

# Forests: src/core/model.

def list_instructions() -> list[str]: ...
def round_threshold(threshold: float) -> float: ...

class Forest:
    def __init__(
        self,
        n_features: int,
        n_outputs: int,
        node_start: NDArray[np.int64],
        leaf_start: NDArray[np.int64],
        feature: NDArray[np.int64],
        threshold: NDArray[np.float64],
        missing: NDArray[np.int8],
        default_left: NDArray[np.bool_],
        left: NDArray[np.int64],
        right: NDArray[np.int64],
        leaf_value: NDArray[np.float64],
        instructions: str = "",
    ) -> None: ...
    def score(self, features: NDArray[np.float32], start: int, stop: int, raw: NDArray[np.float64]) -> None: ...
    def score_one(self, features: NDArray[np.float32]) -> float: ...
    def walk(self, features: NDArray[np.float32], raw: NDArray[np.float64]) -> None: ...
    @property
    def depths(self) -> list[int]: ...
    @property
    def n_columns(self) -> int: ...
    @property
    def instructions(self) -> str: ...

class Contributions:
    def __init__(self, forest: Forest, node_count: NDArray[np.float64], leaf_count: NDArray[np.float64]) -> None: ...
    def explain(
        self,
        features: NDArray[np.float32],
        start: int,
        stop: int,
        columns: NDArray[np.int32],
        shares: NDArray[np.float64],
    ) -> None: ...
