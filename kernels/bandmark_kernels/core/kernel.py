"""A kernel: its formula, the operands it moves, its implementations, and how its results are checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from bandmark_kernels.core import np
from bandmark_kernels.core.dtypes import DTYPES, DType
from bandmark_kernels.core.operand import Operand, Shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

Pattern = Literal["random", "ramp", "zeros"]

Launch = Callable[[], object]
"""Runs a kernel once on the operands it was bound to."""

Bind = Callable[..., Launch]
"""Takes the operands and scalars by name, does all that may allocate, and returns the launch."""

_TeamBind = Callable[..., Sequence[Launch] | None]
"""Takes `parts`, the number of threads, and the whole operands and scalars by name; returns a launch per thread, or
None where the operands are too short or not laid out as it needs."""

TORCH_HALF_CPU = "torch computes this op in half precision far below memory speed on a CPU"


def _refuse(**operands: Any) -> Launch:
    raise NotImplementedError("the kernel is not implemented for this backend")


@dataclass(frozen=True, slots=True)
class Implementation:
    """A kernel on one backend, and the dtypes for which it runs at memory speed."""

    bind: Bind = _refuse
    dtypes: tuple[str, ...] = tuple(DTYPES)
    unsupported: str = ""  # why the other dtypes are unsupported: one clause
    cpu_dtypes: tuple[str, ...] | None = None
    """The dtypes on a CPU, where they are fewer than on an accelerator."""
    constants: Callable[..., Mapping[str, float]] | None = None
    """Where it takes other numbers than the scalars: the scalars by name -> those, by name."""
    window: Callable[[], AbstractContextManager[object]] = nullcontext
    """What the launches of a window are made within, so that none enters it by itself: only torch has such."""
    repacks: bool = False  # whether `bind` copies the largest operands into a layout of the library's own
    variant: str | None = None  # the name of what `bind` does where there are variants
    variants: Mapping[str, _TeamBind] = field(default_factory=dict)
    """Others by name, equal in result and bytes; which is fastest depends on the machine and its libraries."""
    modes: Mapping[str, Bind] = field(default_factory=dict)
    """Ways to move the same bytes that are rows of their own: the first on any size, others on arrays in memory."""

    def unsupported_reason(self, dtype: DType, *, on_cpu: bool = False) -> str | None:
        """Return why a dtype does not run at memory speed, or None if it does."""
        supported = self.cpu_dtypes if on_cpu and self.cpu_dtypes is not None else self.dtypes
        return None if dtype.name in supported else self.unsupported

    def constants_for(self, scalars: Mapping[str, float]) -> dict[str, float]:
        """Return the numbers that the implementation takes, in its order."""
        return dict(scalars if self.constants is None else self.constants(**scalars))

    def encoded_constants(self, dtype: DType, scalars: Mapping[str, float]) -> dict[str, Any]:
        """Return those numbers as NumPy takes them: scalars stored as operands are, others as accumulators."""
        number = dtype if self.constants is None else DTYPES[dtype.accumulator]
        return {name: number.encode(np.array(value))[()] for name, value in self.constants_for(scalars).items()}


def unsupported(reason: str) -> Implementation:
    """Return what stands for an implementation that there is not, for a reason: one clause."""
    return Implementation(dtypes=(), unsupported=reason)


def numpy_arithmetic(bind: Bind, **options: Any) -> Implementation:
    """Return an implementation that computes with NumPy, which is fast in single and double precision alone."""
    reason = "NumPy computes half precision in software, far below memory speed"
    return Implementation(bind, ("float64", "float32"), reason, **options)


@dataclass(frozen=True, slots=True)
class Inputs:
    """The contents of a case's operands, as tiles repeated along their first axis."""

    kernel: Kernel
    dtype: DType
    shape: Shape
    tiles: dict[str, NDArray[Any]]
    """Stored tiles by operand name: (length,) for vectors, (rows, n) for the matrix."""
    ends: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """What is stored at the end of an operand in place of its tile: an element of shape (1,), or a row of (n,)."""

    def values(self, *names: str) -> dict[str, NDArray[np.float64]]:
        """Return the exact values of tiles by operand: of those named, or of all."""
        operands = [o for o in self.kernel.inputs if not names or o.name in names]
        return {o.name: o.number(self.dtype).decode(self.tiles[o.name]) for o in operands}

    def last_values(self) -> dict[str, NDArray[np.float64]]:
        """Return the exact values of what stands at the ends."""
        operands = [o for o in self.kernel.inputs if o.name in self.ends]
        return {o.name: o.number(self.dtype).decode(self.ends[o.name]) for o in operands}


@dataclass(frozen=True, slots=True)
class Expectation:
    """One period of what an output should hold."""

    name: str
    elements: int  # of the whole output
    number: DType
    values: NDArray[np.float64]
    allowed: NDArray[np.float64]  # the absolute error that rounding explains


class Check(Protocol):
    """How kernels of a kind are verified."""

    @property
    def scalars(self) -> Mapping[str, float]:
        """Scalars of the launch that is verified, where they differ from the timed ones."""

    def inputs(self, kernel: Kernel, dtype: DType, shape: Shape, *, seed: int, pattern: Pattern) -> Inputs:
        """Return the inputs of a case; the same seed gives the same values to every backend."""

    def expected(self, inputs: Inputs, result: DType | None = None) -> list[Expectation]:
        """Return what each output should hold after a launch with the check's scalars; `result` as for `max_error`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One row of the kernel table."""

    name: str
    formula: str
    operands: tuple[Operand, ...]
    flops: int  # floating-point operations per element of the largest operand
    reference: Callable[..., Any]
    """float64 arrays of the read operands and the scalars by name -> the output (of a reduction: its terms), or several
    outputs by name."""
    check: Check
    implementations: Mapping[str, Implementation]  # by backend
    suite: str = "stream"
    default: bool = True  # whether a run that names no kernel includes it
    dtypes: tuple[str, ...] = tuple(DTYPES)
    scalars: Mapping[str, float] = field(default_factory=dict)
    split: Literal["n", "m"] = "n"  # the axis along which the work is divided among threads
    weight_format: str | None = None
    """The format of quantized weights or of a cache; None for the operands' dtype."""
    columns: int | None = None  # the columns of the matrix where the kernel determines them
    column_multiple: int = 1
    identity: Mapping[str, int] = field(default_factory=dict)
    """What tells the kernel from others of its name and format, by column of a result file."""

    def unsupported_reason(self, backend: str, dtype: DType, *, on_cpu: bool = False) -> str | None:
        """Return why the kernel does not run at memory speed on a backend, or None if it does."""
        if backend not in self.implementations:
            return f"{self.name} is not implemented for {backend}"
        return self.implementations[backend].unsupported_reason(dtype, on_cpu=on_cpu)

    @property
    def check_scalars(self) -> Mapping[str, float]:
        """The scalars of the verified launch."""
        return self.check.scalars or self.scalars

    def dtypes_among(self, wanted: Sequence[DType]) -> list[DType]:
        """Return those of the dtypes wanted that the kernel has; all of its own if it has none of them."""
        return [d for d in wanted if d.name in self.dtypes] or [DTYPES[name] for name in self.dtypes]

    def bytes_read(self, shape: Shape, dtype: DType) -> int:
        """Return the bytes that a launch must read."""
        return sum(o.nbytes(shape, dtype) for o in self.operands if o.is_read)

    def bytes_written(self, shape: Shape, dtype: DType) -> int:
        """Return the bytes that a launch must write."""
        return sum(o.nbytes(shape, dtype) for o in self.operands if o.is_written)

    def working_set(self, shape: Shape, dtype: DType) -> int:
        """Return the bytes of all arrays of one case."""
        return sum(o.nbytes(shape, dtype) for o in self.operands if o.role != "result")

    @property
    def is_matrix(self) -> bool:
        """Whether the largest operand is a matrix."""
        return any(o.extent == "mn" for o in self.operands)

    @property
    def is_reduction(self) -> bool:
        """Whether a launch yields one number."""
        return any(o.role == "result" for o in self.operands)

    @property
    def inputs(self) -> tuple[Operand, ...]:
        """The operands that a launch reads."""
        return tuple(o for o in self.operands if o.is_read)

    @property
    def outputs(self) -> tuple[Operand, ...]:
        """The operands that a launch writes, a reduction's number included."""
        return tuple(o for o in self.operands if o.role not in ("in", "scale"))

    @property
    def output(self) -> Operand:
        """The one operand that a launch writes."""
        (only,) = self.outputs
        return only

    def compute(self, **values: Any) -> Mapping[str, Any]:
        """Return what the reference makes of operands and scalars, by output."""
        outputs = self.reference(**values)
        return outputs if isinstance(outputs, Mapping) else {self.output.name: outputs}

    @property
    def large(self) -> tuple[Operand, ...]:
        """The operands whose size is the size asked for: all vectors, or the matrix (quantized: its codes)."""
        extent = "mn" if self.is_matrix else "n"
        return tuple(o for o in self.operands if o.extent == extent and o.role != "scale")

    @property
    def label(self) -> str:
        """The kernel's name, and its format's where there is one."""
        return f"{self.name} {self.weight_format}" if self.weight_format else self.name

    def element_bits(self, dtype: DType) -> int:
        """Return the bits of one element of the largest operand."""
        return max(8 * o.itemsize(dtype) // o.elements_per_item for o in self.large)

    @property
    def words(self) -> tuple[int, int]:
        """Elements read and written per element of the largest operand (a GEMV's vectors left out)."""
        return sum(o.is_read for o in self.large), sum(o.is_written for o in self.large)

    @property
    def traffic(self) -> float:
        """Bytes read and written per byte of the largest operand (a GEMV's vectors left out)."""
        return sum(share * (o.is_read + o.is_written) for o, share in self._shares())

    @property
    def footprint(self) -> float:
        """Bytes of all large operands per byte of the largest: their number, where all have one format."""
        return sum(share for _, share in self._shares())

    def _shares(self) -> list[tuple[Operand, float]]:
        dtype = DTYPES[self.dtypes[0]]
        shape = Shape(self.columns or self.column_multiple, m=1 if self.is_matrix else None)
        most = max(o.nbytes(shape, dtype) for o in self.large)
        return [(o, o.nbytes(shape, dtype) / most) for o in self.large]
