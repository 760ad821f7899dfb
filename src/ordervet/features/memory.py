"""Read and write numbers at an address, inside kernels.

    get64(address, index)            the int64 word number `index` from the address on
    put64(address, index, value)
    get32(address, index)            the int32 number, as int64
    put32(address, index, value)     an int64, cut to 32 bits
    get_float(address, index)        the float32 number, as float64
    put_float(address, index, value) a float64, rounded to float32
    prefetch(address, offset)        ask for the cache line `offset` bytes on; without effect on any result

NOT: arrays. An array costs a kernel seven words wherever it is passed on, and counting its references; an address costs
one. Whoever calls sees to it that what is read is there.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_WORD, _HALF, _FLOAT, _BYTE = ir.IntType(64), ir.IntType(32), ir.FloatType(), ir.IntType(8)
_DOUBLE = ir.DoubleType()


def _find(builder: ir.IRBuilder, kind: ir.Type, address: ir.Value, index: ir.Value) -> ir.Value:
    return builder.gep(builder.inttoptr(address, kind.as_pointer()), [index])


def _build_get(kind: ir.Type) -> Any:
    def get(_typing: Any, address: Any, index: Any) -> Any:  # noqa: ARG001 -- numba reads the names
        def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, at: list[ir.Value]) -> ir.Value:
            value = builder.load(_find(builder, kind, at[0], at[1]))
            if kind is _FLOAT:
                return builder.fpext(value, _DOUBLE)
            return value if kind is _WORD else builder.sext(value, _WORD)

        given = types.float64 if kind is _FLOAT else types.int64
        return given(types.int64, types.int64), generate

    return intrinsic(get)


def _build_put(kind: ir.Type) -> Any:
    taken = types.float64 if kind is _FLOAT else types.int64

    def put(_typing: Any, address: Any, index: Any, value: Any) -> Any:  # noqa: ARG001 -- likewise
        def generate(context: Any, builder: ir.IRBuilder, _signature: Any, at: list[ir.Value]) -> ir.Value:
            narrow = {_WORD: lambda v, _: v, _HALF: builder.trunc, _FLOAT: builder.fptrunc}[kind](at[2], kind)
            builder.store(narrow, _find(builder, kind, at[0], at[1]))
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, taken), generate

    return intrinsic(put)


def _prefetch(_typing: Any, address: Any, offset: Any) -> Any:  # noqa: ARG001 -- likewise
    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, at: list[ir.Value]) -> ir.Value:
        pointer = _BYTE.as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, _HALF, _HALF, _HALF])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
        to_write_nearest_data = [ir.Constant(_HALF, value) for value in (1, 3, 1)]
        builder.call(function, [builder.inttoptr(builder.add(at[0], at[1]), pointer), *to_write_nearest_data])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


get64, get32, get_float = _build_get(_WORD), _build_get(_HALF), _build_get(_FLOAT)
put64, put32, put_float = _build_put(_WORD), _build_put(_HALF), _build_put(_FLOAT)
prefetch: Any = intrinsic(_prefetch)
