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

LINE_BYTES = 64
"""Bytes that one store writes: a cache line, or half of the longest in use."""


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


def _line_store(*, past_cache: bool) -> Any:
    """Return an operation that computes LINE_BYTES of an array's elements, from the first on, and stores them.

    The first's address is a multiple of LINE_BYTES. LLVM makes vector instructions of what is computed, and of a store
    past the cache movnt on x86 and stnp on Arm (LLVM Language Reference, store, !nontemporal).
    """

    def store_line(typing_context: Any, element: Any, array: Any, first: Any, operands: Any) -> Any:
        number = typing_context.resolve_function_type(element, (first, operands), {})
        count = LINE_BYTES * 8 // array.dtype.bitwidth

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _, out, start, values = arguments
            compute = context.get_function(element, number)
            context.add_linking_libs(getattr(compute, "libs", ()))
            line = ir.Constant(ir.VectorType(context.get_data_type(number.return_type), count), ir.Undefined)
            for place in range(count):
                value = compute(builder, (builder.add(start, ir.Constant(ir.IntType(64), place)), values))
                line = builder.insert_element(line, value, ir.Constant(ir.IntType(32), place))
            line = _as_stored(builder, line, number.return_type, array.dtype)
            address = builder.gep(context.make_array(array)(context, builder, value=out).data, [start])
            store = builder.store(line, builder.bitcast(address, line.type.as_pointer()), align=LINE_BYTES)
            if past_cache:
                store.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
            return context.get_dummy_value()

        return types.void(element, array, types.uint64, operands), code

    return intrinsic(store_line)


LINE_STORES = {"normal": _line_store(past_cache=False), "nt": _line_store(past_cache=True)}
"""How a line is stored, by the modes of core/compiled.py."""


def _as_stored(builder: Any, value: Any, number: Any, dtype: Any) -> Any:
    """Return a float32, or a vector of them, as the bits of halves where an array holds those, rounded to even."""
    if number == dtype:
        return value

    count = value.type.count if isinstance(value.type, ir.VectorType) else None

    def many(scalar: Any) -> Any:
        return scalar if count is None else ir.VectorType(scalar, count)

    def constant(bits: int) -> Any:
        return ir.Constant(many(ir.IntType(32)), bits if count is None else [bits] * count)

    if dtype == types.int16:
        return builder.bitcast(builder.fptrunc(value, many(ir.HalfType())), many(ir.IntType(16)))
    bits = builder.bitcast(value, many(ir.IntType(32)))
    odd = builder.and_(builder.lshr(bits, constant(16)), constant(1))
    rounded = builder.add(builder.add(bits, constant(0x7FFF)), odd)
    return builder.trunc(builder.lshr(rounded, constant(16)), many(ir.IntType(16)))


@intrinsic
def _rounded(typing_context: Any, array: Any, value: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _as_stored(builder, arguments[1], value, array.dtype)

    return array.dtype(array, value), code


@intrinsic
def _memory_fence(typing_context: Any) -> Any:
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
def _float_of_bits(typing_context: Any, bits: Any) -> Any:
    """Return the float32 that 32 bits stand for."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.uint32), code


@overload(load, strict=False)
def _load(array: Any, index: Any) -> Any:
    if array.dtype == types.int16:
        return lambda array, index: _from_half(array[index])
    if array.dtype == types.uint16:
        return lambda array, index: _float_of_bits(np.uint32(array[index]) << np.uint32(16))
    if array.dtype == types.uint8:

        def code(array: Any, index: Any) -> Any:
            bits = np.uint32(array[index])
            # as a float32's sign, exponent and fraction they stand for the number times 2 ** -120: biases of 7 and 127
            shifted = ((bits & np.uint32(128)) << np.uint32(24)) | ((bits & np.uint32(127)) << np.uint32(20))
            return _float_of_bits(shifted) * np.float32(2.0**120)

        return code
    if array.dtype == types.int8:
        return lambda array, index: np.float32(array[index])
    return lambda array, index: array[index]


@overload(store, strict=False)
def _store(array: Any, index: Any, value: Any) -> Any:
    def code(array: Any, index: Any, value: Any) -> None:
        array[index] = value

    def halves(array: Any, index: Any, value: Any) -> None:
        array[index] = _rounded(array, np.float32(value))

    return halves if array.dtype in {types.int16, types.uint16} and value != array.dtype else code


@overload(zero, strict=False)
def _zero(array: Any) -> Any:
    number = types.float64 if array.dtype == types.float64 else types.float32
    return lambda array: number(0)


def element(i: Any, operands: Any) -> Any:
    """Stand for the compiled function that takes this name when the loop below is compiled for it."""
    raise NotImplementedError


store_line = LINE_STORES["normal"]
"""Stands for the store that takes this name, as well."""


def store_lines(out: Any, operands: Any) -> None:
    """Compute every element of an output, a cache line at a time.

    With whole lines in order a copy through the cache moves 0.99 of what C does on a Zen 4; of a loop over elements
    LLVM makes one of four loads and then four stores, which moves 0.94. The ends, before the first whole line and after
    the last, are stored one by one. Indices are unsigned: for signed ones Numba adds a check for negative numbers, and
    nothing becomes vectors.
    """
    itemsize, line = np.uint64(out.itemsize), np.uint64(LINE_BYTES)
    size, count = np.uint64(out.size), line // itemsize
    head = min(size, (np.uint64(0) - np.uint64(out.ctypes.data)) % line // itemsize)
    end = head + (size - head) // count * count
    for i in range(head):
        store(out, i, element(i, operands))
    for k in range(head, end, count):
        store_line(element, out, k, operands)
    for i in range(end, size):
        store(out, i, element(i, operands))
    _memory_fence()
