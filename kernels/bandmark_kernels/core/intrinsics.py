"""Operations that compiled CPU code needs and Python has no words for, as Numba intrinsics.

This module imports Numba: import it only where compiled code is about to run.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


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
