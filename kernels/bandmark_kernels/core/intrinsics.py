"""Operations that compiled CPU code needs and Python has no words for, as Numba intrinsics.

This module imports Numba: import it only where compiled code is about to run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from bandmark_kernels.core.elements import load, store, zero

LINE_BYTES = 64
"""Bytes that one store past the cache writes: a cache line, or half of the longest in use."""

BLOCK_BYTES = 1024
"""Bytes that are computed before they are stored past the cache. Below 512 LLVM unrolls the loop over a block and does
not vectorize it (0.8 of C's speed, LLVM 20)."""


@intrinsic
def load_address(typing_context: Any, address: Any) -> Any:
    """Return the 8 bytes at an address, as the next address: one load that depends on the one before it.

    An index into an array would add Numba's check for negative numbers, two cycles, to the chain of dependences.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(builder.inttoptr(arguments[0], ir.IntType(64).as_pointer()))

    return types.uint64(types.uint64), code


@intrinsic
def compiler_barrier(typing_context: Any) -> Any:
    """Keep the compiler from moving memory accesses across this point, so that repeats are not merged or hoisted."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        nothing = ir.FunctionType(ir.VoidType(), [])
        builder.asm(nothing, "", "~{memory}", [], True)
        return context.get_dummy_value()

    return types.void(), code


@intrinsic
def new_block(typing_context: Any, array: Any) -> Any:
    """Return an array of BLOCK_BYTES on the stack, aligned to cache lines, with elements as another array's."""
    itemsize = array.dtype.bitwidth // 8
    count = BLOCK_BYTES // itemsize

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        room = cgutils.alloca_once(builder, ir.ArrayType(context.get_data_type(array.dtype), count))
        room.align = LINE_BYTES
        new = context.make_array(array)(context, builder)
        new.data = builder.bitcast(room, new.data.type)
        new.nitems, new.itemsize = (context.get_constant(types.intp, number) for number in (count, itemsize))
        new.shape, new.strides = (cgutils.pack_array(builder, [n]) for n in (new.nitems, new.itemsize))
        new.meminfo = context.get_constant_null(types.MemInfoPointer(types.voidptr))
        new.parent = context.get_constant_null(types.pyobject)
        return new._getvalue()

    return array(array), code


@intrinsic
def stream_block(typing_context: Any, address: Any, block: Any) -> Any:
    """Copy a block to an address, a multiple of LINE_BYTES, by stores that bypass the cache.

    LLVM makes them movnt on x86 and stnp on Arm (LLVM Language Reference, store, !nontemporal).
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = context.get_data_type(block.dtype)
        line = ir.VectorType(number, LINE_BYTES * 8 // block.dtype.bitwidth).as_pointer()
        source = builder.bitcast(context.make_array(block)(context, builder, value=arguments[1]).data, line)
        target = builder.inttoptr(arguments[0], line)
        mark = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
        for index in range(BLOCK_BYTES // LINE_BYTES):
            place = [ir.Constant(ir.IntType(64), index)]
            value = builder.load(builder.gep(source, place), align=LINE_BYTES)
            store = builder.store(value, builder.gep(target, place), align=LINE_BYTES)
            store.set_metadata("nontemporal", mark)
        return context.get_dummy_value()

    return types.void(types.uint64, block), code


@intrinsic
def memory_fence(typing_context: Any) -> Any:
    """Wait until every store so far can be seen by all, those that bypass the cache included."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), code


@intrinsic
def _from_half(typing_context: Any, bits: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fpext(builder.bitcast(arguments[0], ir.HalfType()), ir.FloatType())

    return types.float32(types.int16), code


@intrinsic
def _to_half(typing_context: Any, value: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(builder.fptrunc(arguments[0], ir.HalfType()), ir.IntType(16))

    return types.int16(types.float32), code


@intrinsic
def float_of_bits(typing_context: Any, bits: Any) -> Any:
    """Return the float32 that 32 bits stand for."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.uint32), code


@intrinsic
def bits_of_float(typing_context: Any, value: Any) -> Any:
    """Return the 32 bits of a float32."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.uint32(types.float32), code


@overload(load, strict=False)
def _load(array: Any, index: Any) -> Any:
    if array.dtype == types.int16:
        return lambda array, index: _from_half(array[index])
    if array.dtype == types.uint16:
        return lambda array, index: float_of_bits(np.uint32(array[index]) << np.uint32(16))
    if array.dtype == types.uint8:

        def code(array: Any, index: Any) -> Any:
            bits = np.uint32(array[index])
            # as a float32's sign, exponent and fraction they stand for the number times 2 ** -120: biases of 7 and 127
            shifted = ((bits & np.uint32(128)) << np.uint32(24)) | ((bits & np.uint32(127)) << np.uint32(20))
            return float_of_bits(shifted) * np.float32(2.0**120)

        return code
    if array.dtype == types.int8:
        return lambda array, index: np.float32(array[index])
    return lambda array, index: array[index]


@overload(store, strict=False)
def _store(array: Any, index: Any, value: Any) -> Any:
    if array.dtype == types.int16:

        def code(array: Any, index: Any, value: Any) -> None:
            array[index] = _to_half(np.float32(value))

    elif array.dtype == types.uint16:

        def code(array: Any, index: Any, value: Any) -> None:
            bits = bits_of_float(np.float32(value))
            odd = (bits >> np.uint32(16)) & np.uint32(1)
            array[index] = np.uint16((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16))

    else:

        def code(array: Any, index: Any, value: Any) -> None:
            array[index] = value

    return code


@overload(zero, strict=False)
def _zero(array: Any) -> Any:
    number = types.float64 if array.dtype == types.float64 else types.float32
    return lambda array: number(0)


def element(i: Any, operands: Any) -> Any:
    """Stand for the compiled function that takes this name when the loops below are compiled for it."""
    raise NotImplementedError


def store_all(out: Any, operands: Any) -> None:
    """Compute every element of an output, with the stores that any loop has."""
    for i in range(out.size):
        store(out, i, element(i, operands))


def store_past_cache(out: Any, operands: Any) -> None:
    """Compute every element of an output, a block at a time, and store the blocks past the cache.

    The ends, before the first cache line and after the last block, are stored as usual. Indices are unsigned: for
    signed ones Numba adds a check for negative numbers, and the loop is not vectorized.
    """
    block, itemsize = new_block(out), np.uint64(out.itemsize)
    address, size, count = np.uint64(out.ctypes.data), np.uint64(out.size), np.uint64(block.size)
    head = min(size, (np.uint64(0) - address) % np.uint64(LINE_BYTES) // itemsize)
    end = head + (size - head) // count * count
    for i in range(head):
        store(out, i, element(i, operands))
    for k in range(head, end, count):
        for i in range(count):
            store(block, i, element(k + i, operands))
        stream_block(address + k * itemsize, block)
    for i in range(end, size):
        store(out, i, element(i, operands))
    memory_fence()
