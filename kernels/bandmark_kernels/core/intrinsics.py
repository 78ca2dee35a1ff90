"""Operations that compiled CPU code needs and Python has no words for, as Numba intrinsics.

This module imports Numba: import it only where compiled code is about to run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from bandmark_kernels.core.elements import load, store, zero


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
def stream_line(typing_context: Any, target: Any, source: Any) -> Any:
    """Copy 64 bytes between addresses that are multiples of 64 by a store that bypasses the cache.

    LLVM makes it movntps on x86 and stnp on Arm (LLVM Language Reference, store, !nontemporal).
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        line = ir.VectorType(ir.IntType(64), 8).as_pointer()
        to, start = (builder.inttoptr(address, line) for address in arguments)
        store = builder.store(builder.load(start, align=64), to, align=64)
        store.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64), code


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


def slices(values: Any, start: Any, stop: Any) -> Any:
    """Return a tuple of the same part of each array, with numbers as they are."""
    raise NotImplementedError


@overload(slices, strict=False)
def _slices(values: Any, start: Any, stop: Any) -> Any:
    if not len(values):
        return lambda values, start, stop: ()
    if isinstance(values[0], types.Array):
        return lambda values, start, stop: (values[0][start:stop], *slices(values[1:], start, stop))
    return lambda values, start, stop: (values[0], *slices(values[1:], start, stop))


def body(out: Any, *rest: Any) -> None:
    """Stand for the compiled body that takes this name when `store_in_blocks` is compiled for it."""
    raise NotImplementedError


def store_in_blocks(out: Any, block: Any, head: Any, rest: Any) -> None:
    """Compute a block at a time in the cache and store it past the cache; ends that fill no block go the usual way.

    `head` elements come before the first whole cache line of `out`; `block` starts on a line and holds whole lines.
    """
    count = block.size
    body(out[:head], *slices(rest, 0, head))
    end = head + (out.size - head) // count * count
    target, source = np.uint64(out.ctypes.data), np.uint64(block.ctypes.data)
    for k in range(head, end, count):
        body(block, *slices(rest, k, k + count))
        for offset in range(0, count * out.itemsize, 64):
            stream_line(target + np.uint64(k * out.itemsize + offset), source + np.uint64(offset))
    body(out[end:], *slices(rest, end, out.size))
    memory_fence()
