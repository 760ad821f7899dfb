"""Mend the write-ahead log of a journal in which the disk has changed something.

SQLite sums up each frame of the log together with all before it, and takes a log up to the first frame whose sum is
wrong: one lost bit would drop every later event. Here each frame is checked alone, from the sum that the frame before
it carries, so that a damaged frame is told from the whole ones behind it; the sums are then written again. What a
damaged frame holds is judged by the journal's own chain.

    header   magic, version, size of a page, count, two salts, two sums                          32 bytes
    frame    page, size of the file after a commit, the two salts, two sums | the page            24 bytes and a page

References
----------
The SQLite database file format, section 4.1, "WAL File Format".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words = NDArray[np.uint32]

_HEADER, _FRAME_HEADER = 32, 24
_VERSION = 3_007_000
#: Sums are of words in the order of bytes that the last bit of the magic number names: 0 is little-endian.
_MAGIC = 0x377F0682
_PAGE_SIZES = {1 << power for power in range(9, 17)}


def mend_log(log: bytes, page_size: int) -> tuple[bytes, bytes] | None:
    """Write a log so that SQLite reads all of its whole frames.

    Parameters
    ----------
    log : the file
    page_size : bytes, of the database that the log is of

    Returns
    -------
    the log up to its last whole frame twice: with what damaged frames hold, and with their pages as the frames before
    have them; None where nothing stands between SQLite and all of that
    """
    if len(log) <= _HEADER or page_size not in _PAGE_SIZES:
        return None
    n_frames = (len(log) - _HEADER) // (_FRAME_HEADER + page_size)
    if n_frames == 0:
        return None
    magic, _, _, count, *_ = struct.unpack(">8I", log[:_HEADER])
    frames = np.frombuffer(log, np.uint8, n_frames * (_FRAME_HEADER + page_size), _HEADER).reshape(n_frames, -1)
    heads = frames[:, :_FRAME_HEADER].copy().view(">u4").astype(np.uint32)
    salts = _find_common(heads[:, 2:4])
    order = ">u4" if magic == _MAGIC + 1 else "<u4"
    header = struct.pack(">6I", _MAGIC | (order == ">u4"), _VERSION, page_size, count, *salts.tolist())
    (head_sum,) = _sum_up(np.frombuffer(header, order).astype(np.uint32)[None])
    header += head_sum.astype(">u4").tobytes()
    added, step = _sum_up_frames(frames, order)
    before = np.concatenate([head_sum[None], heads[:-1, 4:6]])
    is_of_log = (heads[:, 2:4] == salts).all(axis=1)
    is_whole = is_of_log & (added + before @ step == heads[:, 4:6]).all(axis=1)
    if not is_whole.any():
        return None
    kept = frames[: int(np.flatnonzero(is_whole)[-1]) + 1]
    if header == log[:_HEADER] and is_whole[: len(kept)].all():
        return None
    # Where a frame is damaged, the newest whole frame of its page.
    newest, pages = list(range(len(kept))), {}
    for number, page in enumerate(heads[: len(kept), 0].tolist()):
        if is_whole[number]:
            pages[page] = number
        newest[number] = pages.get(page, number)
    earlier = kept.copy()
    earlier[:, _FRAME_HEADER:] = kept[newest, _FRAME_HEADER:]
    return _write(header, kept, order), _write(header, earlier, order)


def _write(header: bytes, frames: NDArray[np.uint8], order: str) -> bytes:
    """Write a log of these frames, with the salts and sums that belong to its header."""
    salts, running = np.frombuffer(header, ">u4").astype(np.uint32)[4:].reshape(2, 2)
    added, step = _sum_up_frames(frames, order)
    written = [header]
    for number, frame in enumerate(frames):
        running = added[number] + running @ step
        ends = np.concatenate([salts, running]).astype(">u4").tobytes()
        written += [frame[:8].tobytes(), ends, frame[_FRAME_HEADER:].tobytes()]
    return b"".join(written)


def _sum_up_frames(frames: NDArray[np.uint8], order: str) -> tuple[Words, Words]:
    """Sum up each frame alone.

    Returns
    -------
    what each adds, shape (n, 2), and the matrix, shape (2, 2), that the sums before a frame are multiplied by: they are
    linear in those
    """
    words = np.concatenate([frames[:, :8], frames[:, _FRAME_HEADER:]], axis=1).view(order).astype(np.uint32)
    return _sum_up(words), _sum_up(np.zeros((2, words.shape[1]), np.uint32), np.eye(2, dtype=np.uint32))


def _find_common(salts: Words) -> Words:
    values, counts = np.unique(salts, axis=0, return_counts=True)
    common: Words = values[np.argmax(counts)]
    return common


def _sum_up(words: Words, before: Words | None = None) -> Words:
    """Sum up words as SQLite does, going on from other sums.

    Parameters
    ----------
    words : shape (n, n_words), n_words even
    before : shape (n, 2); None stands for zeros
    """
    first, second = np.zeros((2, len(words)), np.uint32) if before is None else before.T.copy()
    columns = np.ascontiguousarray(words.T)
    for at in range(0, len(columns), 2):
        first += columns[at] + second
        second += columns[at + 1] + first
    return np.stack([first, second], axis=1)
