import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordervet import _core
from ordervet.entities import Key, hash_text, hash_texts
from ordervet.entities.siphash import siphash24

KEY = Key(bytes(range(16)))
TEXTS = st.lists(st.none() | st.text(max_size=40), max_size=12)

# The reference implementation's vectors_sip64 (github.com/veorq/SipHash, vectors.h): the hash of 00 01 02 .. of each
# length from 0 to 63 under the key 00 01 .. 0f, as it lies in memory.
VECTORS = """
310e0edd47db6f72 fd67dc93c539f874 5a4fa9d909806c0d 2d7efbd796666785 b7877127e09427cf 8da699cd64557618 cee3fe586e46c9cb
37d1018bf50002ab 6224939a79f5f593 b0e4a90bdf82009e f3b9dd94c5bb5d7a a7ad6b22462fb3f4 fbe50e86bc8f1e75 903d84c02756ea14
eef27a8e90ca23f7 e545be4961ca29a1 db9bc2577fcc2a3f 9447be2cf5e99a69 9cd38d96f0b3c14b bd6179a71dc96dbb 98eea21af25cd6be
c7673b2eb0cbf2d0 883ea3e395675393 c8ce5ccd8c030ca8 94af49f6c650adb8 eab8858ade92e1bc f315bb5bb835d817 adcf6b0763612e2f
a5c91da7acaa4dde 716595876650a2a6 28ef495c53a387ad 42c341d8fa92d832 ce7cf2722f512771 e37859f94623f3a7 381205bb1ab0e012
ae97a10fd434e015 b4a31508beff4d31 81396229f0907902 4d0cf49ee5d4dcca 5c73336a76d8bf9a d0a704536ba93e0e 925958fcd6420cad
a915c29bc8067318 952b79f3bc0aa6d4 f21df2e41d4535f9 87577519048f53a9 10a56cf5dfcd9adb eb75095ccd986cd0 51a9cb9ecba312e6
96afadfc2ce666c7 72fe52975a4364ee 5a1645b276d592a1 b274cb8ebf87870a 6f9bb4203de7b381 eaecb2a30b22a87f 9924a43cc1315724
bd838d3aafbf8db7 0b1a2a3265d51aea 135079a3231ce660 932b2846e4d70666 e1915f5cb1eca46c f325965ca16d629f 575ff28e60381be5
724506eb4c328a95
"""


def test_siphash_gives_the_reference_vectors() -> None:
    expected = bytes.fromhex("".join(VECTORS.split()))

    hashed = b"".join(siphash24(bytes(range(n)), bytes(range(16))).to_bytes(8, "little") for n in range(64))

    assert hashed == expected


@given(data=st.binary(min_size=1, max_size=70), secret=st.binary(min_size=16, max_size=16))
def test_core_hashes_as_the_twin(data: bytes, secret: bytes) -> None:
    hashed = _core.hash_text(data, secret)

    assert hashed == (siphash24(data, secret) or 1)


@given(
    texts=st.lists(
        st.none()
        | st.text(max_size=12)
        | st.text("a", min_size=60, max_size=70)
        | st.text("a", min_size=120, max_size=130),
        min_size=1,
        max_size=9,
    ),
    n_rows=st.sampled_from([63, 64, 65, 200]),
)
def test_many_texts_are_hashed_as_each_alone(texts: list[str | None], n_rows: int) -> None:
    column = [texts[row % len(texts)] for row in range(n_rows)]

    ids = hash_texts(pa.array(column, pa.string()), KEY, "buyer")

    assert ids.tolist() == [hash_text(text, KEY, "buyer") for text in column]


@given(texts=st.lists(st.none() | st.text(max_size=5), max_size=9), start=st.integers(0, 3))
def test_bytes_under_a_null_are_nobodys_text(texts: list[str | None], start: int) -> None:
    told = pa.array([text or "hidden" for text in texts], pa.string())
    validity = pa.py_buffer(
        np.packbits(np.array([text is not None for text in texts], bool), bitorder="little").tobytes()
    )
    column = pa.Array.from_buffers(pa.string(), len(texts), [validity, *told.buffers()[1:]]).slice(start)

    ids = hash_texts(column, KEY, "buyer")

    assert ids.tolist() == [hash_text(text, KEY, "buyer") for text in column.to_pylist()]


@given(texts=TEXTS, start=st.integers(0, 3), kind=st.sampled_from([pa.string(), pa.large_string(), pa.string_view()]))
def test_hash_texts_equals_hash_text_when_the_column_is_sliced(
    texts: list[str | None], start: int, kind: pa.DataType
) -> None:
    column = pa.array(texts, type=kind).slice(start)

    ids = hash_texts(column, KEY, "buyer")

    assert ids.tolist() == [hash_text(text, KEY, "buyer") for text in texts[start:]]
    assert ids.dtype == np.uint64
    assert ids.flags.c_contiguous


@given(chunks=st.lists(TEXTS, max_size=3))
def test_hash_texts_reads_chunks_and_dictionaries(chunks: list[list[str | None]]) -> None:
    column = pa.chunked_array(chunks, type=pa.string())
    expected = [hash_text(text, KEY, "buyer") for chunk in chunks for text in chunk]

    assert hash_texts(column, KEY, "buyer").tolist() == expected
    assert hash_texts(column.dictionary_encode(), KEY, "buyer").tolist() == expected


def test_hash_texts_sees_nothing_under_a_null() -> None:
    hidden = pa.Array.from_buffers(
        pa.string(), 1, [pa.py_buffer(b"\0"), pa.py_buffer(np.array([0, 5], np.int32)), pa.py_buffer(b"hello")]
    )

    assert hash_texts(hidden, KEY, "buyer").tolist() == [0]


def test_hash_texts_takes_a_column_without_a_type() -> None:
    assert hash_texts(pa.nulls(2), KEY, "buyer").tolist() == [0, 0]


@pytest.mark.parametrize("other", ["phone", "buyer group"])
def test_ids_of_one_text_differ_between_namespaces(other: str) -> None:
    assert hash_text("13800000000", KEY, "buyer") != hash_text("13800000000", KEY, other)


def test_ids_of_one_text_differ_between_keys() -> None:
    assert hash_text("a", KEY, "buyer") != hash_text("a", Key(bytes(16)), "buyer")


def test_importing_the_room_does_not_load_pandas() -> None:
    code = "import sys, ordervet.entities; sys.exit('pandas' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
