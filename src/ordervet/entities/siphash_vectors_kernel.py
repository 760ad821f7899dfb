# mypy: disable-error-code="no-untyped-def,no-untyped-call"
# ruff: noqa: ARG001 - an intrinsic names all arguments of its calls, though its typing does not read them
"""Steps of SipHash for eight texts at once, as LLVM vectors, which LLVM lowers to what the machine has.

No checks here: the caller is ``siphash_lanes_kernel.py``, which says how lanes are laid out.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import extending, types

__all__ = ["LANES", "MAX_WORDS", "VECTOR", "absorb_words", "finish_lanes"]

#: numba types the decorator as if callers passed the typing context; they do not.
intrinsic: Any = extending.intrinsic

VECTOR = 8
LANES, MAX_WORDS = 64, 16
COUNT, _STATE = LANES * MAX_WORDS, LANES * (MAX_WORDS + 2)

_I64 = ir.IntType(64)
_WORDS = ir.VectorType(_I64, VECTOR)


def _point_at(context, builder, signature, arguments, offset):
    """Give a pointer to eight numbers of the lanes, so far from the place that the call names."""
    data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
    at = builder.add(arguments[1], ir.Constant(_I64, offset))
    return builder.bitcast(builder.gep(data, [at]), _WORDS.as_pointer())


def _rotate(builder, words, by):
    function_type = ir.FunctionType(_WORDS, [_WORDS] * 3)
    name = "llvm.fshl.v8i64"
    function = builder.module.globals.get(name) or ir.Function(builder.module, function_type, name)
    return builder.call(function, [words, words, ir.Constant(_WORDS, [by] * VECTOR)])


def _mix(builder, v0, v1, v2, v3):
    """Build the round of ``siphash_round_kernel.sip_round``."""
    v0 = builder.add(v0, v1)
    v1 = builder.xor(_rotate(builder, v1, 13), v0)
    v0 = _rotate(builder, v0, 32)
    v2 = builder.add(v2, v3)
    v3 = builder.xor(_rotate(builder, v3, 16), v2)
    v0 = builder.add(v0, v3)
    v3 = builder.xor(_rotate(builder, v3, 21), v0)
    v2 = builder.add(v2, v1)
    v1 = builder.xor(_rotate(builder, v1, 17), v2)
    v2 = _rotate(builder, v2, 32)
    return v0, v1, v2, v3


def _load_state(context, builder, signature, arguments):
    places = [_point_at(context, builder, signature, arguments, _STATE + LANES * part) for part in range(4)]
    return places, [builder.load(place, align=8) for place in places]


@intrinsic
def absorb_words(_context, lanes, first, at):
    """Take word `at` of the texts in eight lanes from `first` on, of those that have so many words."""

    def generate(context, builder, signature, arguments):
        number = arguments[2]
        moved = [arguments[0], builder.add(arguments[1], builder.mul(number, ir.Constant(_I64, LANES)))]
        word = builder.load(_point_at(context, builder, signature, moved, 0), align=8)
        count = builder.load(_point_at(context, builder, signature, arguments, COUNT), align=8)
        places, before = _load_state(context, builder, signature, arguments)
        v0, v1, v2, v3 = before
        after = _mix(builder, *_mix(builder, v0, v1, v2, builder.xor(v3, word)))
        after = [builder.xor(after[0], word), *after[1:]]
        single = builder.insert_element(ir.Constant(_WORDS, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), VECTOR), None)
        numbers = builder.shuffle_vector(single, ir.Constant(_WORDS, ir.Undefined), zeros)
        has_word = builder.icmp_unsigned("<", numbers, count)
        for place, old, new in zip(places, before, after, strict=True):
            builder.store(builder.select(has_word, new, old), place, align=8)
        return context.get_dummy_value()

    return types.void(lanes, types.int64, types.int64), generate


@intrinsic
def finish_lanes(_context, lanes, first):
    """Write the hashes of eight lanes over the first words of their states; a hash of 0 becomes 1."""

    def generate(context, builder, signature, arguments):
        places, (v0, v1, v2, v3) = _load_state(context, builder, signature, arguments)
        state = (v0, v1, builder.xor(v2, ir.Constant(_WORDS, [0xFF] * VECTOR)), v3)
        for _ in range(4):
            state = _mix(builder, *state)
        hashed = builder.xor(builder.xor(state[0], state[1]), builder.xor(state[2], state[3]))
        one = ir.Constant(_WORDS, [1] * VECTOR)
        is_zero = builder.icmp_unsigned("==", hashed, ir.Constant(_WORDS, None))
        builder.store(builder.select(is_zero, one, hashed), places[0], align=8)
        return context.get_dummy_value()

    return types.void(lanes, types.int64), generate
