"""SipHash-2-4, in plain Python: the definition that the core is measured against.

A keyed hash: without the key an id can neither be computed for a guessed phone number nor turned back.

References
----------
J.-P. Aumasson, D. J. Bernstein: SipHash: a fast short-input PRF (2012), section 2 and appendix A.
"""

from __future__ import annotations

__all__ = ["siphash24"]

_MASK = (1 << 64) - 1


def siphash24(data: bytes, key: bytes) -> int:
    """Hash bytes under a key.

    Parameters
    ----------
    data : any bytes
    key : 16 bytes

    Returns
    -------
    0 .. 2**64 - 1
    """
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:16], "little")
    state = (k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573)
    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 0xFF])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        v0, v1, v2, v3 = _round(_round((*state[:3], state[3] ^ word)))
        state = (v0 ^ word, v1, v2, v3)
    v0, v1, v2, v3 = state[0], state[1], state[2] ^ 0xFF, state[3]
    v0, v1, v2, v3 = _round(_round(_round(_round((v0, v1, v2, v3)))))
    return v0 ^ v1 ^ v2 ^ v3


def _round(state: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    v0, v1, v2, v3 = state
    v0 = (v0 + v1) & _MASK
    v1 = _rotate(v1, 13) ^ v0
    v0 = _rotate(v0, 32)
    v2 = (v2 + v3) & _MASK
    v3 = _rotate(v3, 16) ^ v2
    v0 = (v0 + v3) & _MASK
    v3 = _rotate(v3, 21) ^ v0
    v2 = (v2 + v1) & _MASK
    v1 = _rotate(v1, 17) ^ v2
    v2 = _rotate(v2, 32)
    return v0, v1, v2, v3


def _rotate(word: int, by: int) -> int:
    return ((word << by) | (word >> (64 - by))) & _MASK
