# mypy: disable-error-code="no-untyped-def,no-untyped-call"
# ruff: noqa: ARG001 - an intrinsic names all arguments of its calls, though its typing does not read them
"""Vector operations that compilers do not find by themselves, as LLVM vectors inside numba kernels.

Bits and bytes of rows: a *word* is a uint64 that holds one bit for each of 64 rows; a *plane* is eight words, one bit
for each of 512 rows. LLVM lowers the vectors to what the machine has (AVX-512, AVX2, SSE2, NEON); the answer is the
same bits everywhere.

No checks here, not even of bounds: the callers are `forest_kernel.py` and `treeshap_kernel.py`.

NOTE: numba caches a kernel under the time stamp of the kernel's own file. Who changes an operation here touches the
files that call it, too.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

from llvmlite import ir
from numba import extending, types

#: numba types the decorator as if callers passed the typing context; they do not.
intrinsic: Any = extending.intrinsic

BLOCK_ROWS = 512
WORD_ROWS = 64
PLANE_WORDS = 8
MAX_DEPTH = 6

_DOUBLE_BITS = 3
_I8, _I16, _I32, _I64 = (ir.IntType(n_bits) for n_bits in (8, 16, 32, 64))
_NUMBERS = ir.VectorType(ir.FloatType(), 16)
_ROW_BYTES = ir.VectorType(_I8, WORD_ROWS)
_ROW_BITS = ir.VectorType(ir.IntType(1), WORD_ROWS)
_PLANE = ir.VectorType(_I64, PLANE_WORDS)
_DOUBLES = ir.VectorType(ir.DoubleType(), 8)


def _point_at(context, builder, array_type, array, at, element):
    """Give a pointer to `element` at position `at` of a flat array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), element.as_pointer())


def _load(context, builder, array_type, array, at, element):
    pointer = _point_at(context, builder, array_type, array, at, element)
    return builder.load(pointer, align=1)


def _store(context, builder, array_type, array, at, vector):
    pointer = _point_at(context, builder, array_type, array, at, vector.type)
    builder.store(vector, pointer, align=1)


def _splat(builder, scalar, vector_type):
    first = builder.insert_element(ir.Constant(vector_type, ir.Undefined), scalar, ir.Constant(_I32, 0))
    zeros = ir.Constant(ir.VectorType(_I32, vector_type.count), None)
    return builder.shuffle_vector(first, ir.Constant(vector_type, ir.Undefined), zeros)


def _call(builder, name, result, arguments):
    """Call one of LLVM's own intrinsics."""
    function_type = ir.FunctionType(result, [argument.type for argument in arguments])
    functions = builder.module.globals
    function = functions.get(name) or ir.Function(builder.module, function_type, name)
    return builder.call(function, arguments)


@intrinsic
def find_bin(_context, value, table, at, bases, base_at):
    """Find a float32's bin in a column of `ForestTables`: two comparisons with 16 numbers at a time, no branch.

    The first counts the pivots below the value, and so names a block; NaN is above all of them and gets a block of its
    own. The second counts the block's thresholds below the value, none for NaN.
    """

    def generate(context, builder, signature, arguments):
        value_, table_, at_, bases_, base_at_ = arguments
        table_type, bases_type = signature.args[1], signature.args[3]
        values = _splat(builder, value_, _NUMBERS)

        def count(position, compare):
            mask = builder.bitcast(
                compare(">", values, _load(context, builder, table_type, table_, position, _NUMBERS)), _I16
            )
            return builder.zext(_call(builder, "llvm.ctpop.i16", _I16, [mask]), _I64)

        width = ir.Constant(_I64, _NUMBERS.count)
        block = count(at_, builder.fcmp_unordered)
        position = builder.add(builder.add(at_, width), builder.mul(block, width))
        base = _load(context, builder, bases_type, bases_, builder.add(base_at_, block), _I8)
        return builder.add(base, builder.trunc(count(position, builder.fcmp_ordered), _I8))

    return types.uint8(types.float32, table, types.int64, bases, types.int64), generate


@intrinsic
def load_flat(_context, array, at):
    """Read ``array[at]`` without a look at the sign of `at`."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load(builder.gep(data, [arguments[1]]))

    return array.dtype(array, types.int64), generate


def _compare(context, builder, signature, arguments, word):
    array, position, by, highest = arguments[:4]
    moved_on = builder.add(position, ir.Constant(position.type, word * WORD_ROWS))
    bins = _load(context, builder, signature.args[0], array, moved_on, _ROW_BYTES)
    moved = builder.add(bins, _splat(builder, by, _ROW_BYTES))
    is_above = builder.icmp_unsigned(">", moved, _splat(builder, highest, _ROW_BYTES))
    return builder.bitcast(is_above, _I64)


@intrinsic
def compare_rows(_context, bins, at, shift, limit):
    """Give the word of ``uint8(bin + shift) > limit`` over 64 bins from ``bins[at]`` on."""

    def generate(context, builder, signature, arguments):
        return _compare(context, builder, signature, arguments, 0)

    return types.uint64(bins, types.int64, types.uint8, types.uint8), generate


@intrinsic
def compare_plane(_context, bins, at, shift, limit, planes, to):
    """Write the plane of ``uint8(bin + shift) > limit`` over 512 bins from ``bins[at]`` on to ``planes[to]``."""

    def generate(context, builder, signature, arguments):
        for word in range(PLANE_WORDS):
            mask = _compare(context, builder, signature, arguments, word)
            position = builder.add(arguments[5], ir.Constant(_I64, word))
            _store(context, builder, signature.args[4], arguments[4], position, mask)
        return context.get_dummy_value()

    return types.void(bins, types.int64, types.uint8, types.uint8, planes, types.int64), generate


@intrinsic
def answer_planes(_context, a_bin, shifts, limits, at, answers):
    """Write 0 or 1 for ``uint8(bin + shift) > limit`` of one bin and 64 planes from `at` on to ``answers[at]``."""

    def generate(context, builder, signature, arguments):
        of_row, shifts_, limits_, at_, answers_ = arguments
        _, shifts_type, limits_type, _, answers_type = signature.args
        shift = _load(context, builder, shifts_type, shifts_, at_, _ROW_BYTES)
        limit = _load(context, builder, limits_type, limits_, at_, _ROW_BYTES)
        moved = builder.add(_splat(builder, of_row, _ROW_BYTES), shift)
        is_above = builder.icmp_unsigned(">", moved, limit)
        _store(context, builder, answers_type, answers_, at_, builder.zext(is_above, _ROW_BYTES))
        return context.get_dummy_value()

    return types.void(types.uint8, shifts, limits, types.int64, answers), generate


def _choose(builder, which, left, right):
    return builder.or_(builder.and_(which, right), builder.and_(builder.not_(which), left))


@intrinsic
def walk_planes(_context, planes, nodes, at, path):
    """Walk one perfect tree of depth 6 for 512 rows at once.

    The nodes are in heap order: ``nodes[at + 1]`` names the root's plane, the children of node n are 2 n and 2 n + 1.
    A set bit goes right. At each level a row's own plane is chosen from the level's by the bits of the levels above.

    Writes to `path`, shape (48,): the plane of decisions at each of six levels, the root's first.
    """

    def generate(context, builder, signature, arguments):
        planes_, nodes_, at_, path_ = arguments
        planes_type, nodes_type, _, path_type = signature.args
        taken: list[Any] = []

        def load_plane(node):
            position = builder.add(at_, ir.Constant(at_.type, node))
            plane = _load(context, builder, nodes_type, nodes_, position, _I32)
            start = builder.mul(builder.sext(plane, _I64), ir.Constant(_I64, PLANE_WORDS))
            return _load(context, builder, planes_type, planes_, start, _PLANE)

        def choose_plane(node, level):
            if level == len(taken):
                return load_plane(node)
            left, right = choose_plane(2 * node, level + 1), choose_plane(2 * node + 1, level + 1)
            return _choose(builder, taken[level], left, right)

        for level in range(MAX_DEPTH):
            taken.append(choose_plane(1, 0))
            _store(context, builder, path_type, path_, ir.Constant(at_.type, level * PLANE_WORDS), taken[-1])
        return context.get_dummy_value()

    return types.void(planes, nodes, at, path), generate


def _join_bits(context, builder, array_type, array, word, n_bits):
    """Turn `n_bits` words, one plane apart, into 64 bytes; the first word holds the highest bit."""
    zero = ir.Constant(_ROW_BYTES, None)
    parts = []
    for bit in range(n_bits):
        position = builder.add(word, ir.Constant(word.type, bit * PLANE_WORDS))
        mask = builder.bitcast(_load(context, builder, array_type, array, position, _I64), _ROW_BITS)
        value = ir.Constant(_ROW_BYTES, [1 << (n_bits - 1 - bit)] * WORD_ROWS)
        parts.append(builder.select(mask, value, zero))
    return reduce(builder.or_, parts)


@intrinsic
def join_bits(_context, planes, word, n_bits, row_bytes, at):
    """Write 64 bytes to ``row_bytes[at]``: per row the number whose bits, highest first, are in `n_bits` planes.

    The planes lie one after the other in `planes`; `word` says which 64 of their 512 rows; `n_bits` is a literal.
    """
    if not isinstance(n_bits, types.IntegerLiteral):
        return None
    count = n_bits.literal_value

    def generate(context, builder, signature, arguments):
        joined = _join_bits(context, builder, signature.args[0], arguments[0], arguments[1], count)
        _store(context, builder, signature.args[3], arguments[3], arguments[4], joined)
        return context.get_dummy_value()

    return types.void(planes, word, n_bits, row_bytes, at), generate


@intrinsic
def add_looked_up(_context, row_bytes, at, table, start, size_bits, totals, to):
    """Add, for 8 rows, ``table[start + (row_bytes[at + i] << size_bits)]`` to ``totals[to + i]``, in float64.

    `size_bits`, a literal, says how many numbers lie from one entry of the table to the next: two to its power.
    """
    if not isinstance(size_bits, types.IntegerLiteral):
        return None
    shift = _DOUBLE_BITS + size_bits.literal_value

    def generate(context, builder, signature, arguments):
        bytes_, at_, table_, start_, _, totals_, to_ = arguments
        bytes_type, _, table_type, _, _, totals_type, _ = signature.args
        which = _load(context, builder, bytes_type, bytes_, at_, ir.VectorType(_I8, _DOUBLES.count))
        base = builder.ptrtoint(_point_at(context, builder, table_type, table_, start_, ir.DoubleType()), _I64)
        offsets = builder.shl(builder.zext(which, _PLANE), ir.Constant(_PLANE, [shift] * _PLANE.count))
        addresses = builder.add(_splat(builder, base, _PLANE), offsets)
        pointers = builder.inttoptr(addresses, ir.VectorType(ir.DoubleType().as_pointer(), _DOUBLES.count))
        all_rows = ir.Constant(ir.VectorType(ir.IntType(1), _DOUBLES.count), [1] * _DOUBLES.count)
        arguments_ = [pointers, ir.Constant(_I32, 1 << _DOUBLE_BITS), all_rows, ir.Constant(_DOUBLES, None)]
        looked_up = _call(builder, "llvm.masked.gather.v8f64.v8p0", _DOUBLES, arguments_)
        before = _load(context, builder, totals_type, totals_, to_, _DOUBLES)
        _store(context, builder, totals_type, totals_, to_, builder.fadd(before, looked_up))
        return context.get_dummy_value()

    return types.void(row_bytes, at, table, start, size_bits, totals, to), generate


@intrinsic
def keep_where(_context, planes, plane, is_set, kept, at):
    """Keep of the 512 bits at ``kept[at]`` only those where a plane's bit is `is_set`, all ones or none."""

    def generate(context, builder, signature, arguments):
        planes_, plane_, wanted, kept_, at_ = arguments
        start = builder.mul(plane_, ir.Constant(_I64, PLANE_WORDS))
        answers = _load(context, builder, signature.args[0], planes_, start, _PLANE)
        differs = builder.xor(answers, _splat(builder, wanted, _PLANE))
        before = _load(context, builder, signature.args[3], kept_, at_, _PLANE)
        _store(context, builder, signature.args[3], kept_, at_, builder.and_(before, builder.not_(differs)))
        return context.get_dummy_value()

    return types.void(planes, types.int64, types.uint64, kept, types.int64), generate
