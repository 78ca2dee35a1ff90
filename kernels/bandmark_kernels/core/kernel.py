"""What is a kernel: its formula, the operands it moves, and its bodies side by side.

The byte counts are not written down anywhere: they follow from the operands' roles and extents, so that the
formula, the count and the code cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bandmark_kernels.core.dtypes import DTYPES, DType
from bandmark_kernels.core.operand import Operand, Shape
from bandmark_kernels.core.quantized import WHOLE_COLUMNS, WeightFormat

__all__ = [
    "DEFAULT_SUITES",
    "Attention",
    "Bind",
    "Body",
    "Fold",
    "Kernel",
    "Launch",
    "Operand",
    "Shape",
    "Suite",
    "TeamBind",
]

Fold = Literal["sum", "max"]

Suite = Literal["stream", "gemv", "training", "attention"]
"""Which kernels belong together: vectors, matrix-vector products, the optimizer, attention over a KV cache."""

DEFAULT_SUITES: tuple[Suite, ...] = ("stream", "gemv")
"""The suites of a run that names no kernel; the kernels of others are asked for by name."""

Launch = Callable[[], object]
"""Runs a kernel once on the operands it was bound to; what it returns is ignored."""

Bind = Callable[..., Launch]
"""Takes the operands and scalars by name, does all that may allocate, and returns the launch."""

TeamBind = Callable[..., Sequence[Launch] | None]
"""Takes `parts`, the number of threads, and the whole operands and scalars by name; returns a launch per thread, or
None where the operands are too short for it or do not lie as it needs."""


@dataclass(frozen=True, slots=True)
class Attention:
    """The geometry of an attention kernel: its matrices have a row per token, heads side by side."""

    heads: int
    """Query heads."""
    kv_heads: int
    head_dim: int
    cache_format: str | None = None
    """"fp8" for e4m3 codes; None where the cache has the operands' dtype."""

    @property
    def group(self) -> int:
        """Query heads that share a KV head."""
        return self.heads // self.kv_heads

    @property
    def columns(self) -> int:
        """Elements of K, and of V, per token."""
        return self.kv_heads * self.head_dim


@dataclass(frozen=True, slots=True)
class Body:
    """One library's implementation of a kernel, and for which dtypes it runs at memory speed.

    `bind` takes the operands by name, and the kernel's scalars (torch) or constants (NumPy).
    """

    bind: Bind
    dtypes: tuple[str, ...]
    why_not: str = ""
    """Why the other dtypes are unsupported: one sentence."""
    cpu_dtypes: tuple[str, ...] | None = None
    """The dtypes on a CPU, where they are fewer than on an accelerator."""
    folds: Mapping[str, Fold] = field(default_factory=dict)
    """For reductions: which fold this body computes, by dtype; a sum where nothing is said."""
    lays_out: bool = False
    """Whether `bind` copies the largest operands, to lay them out as the library wants them."""
    variant: str | None = None
    """What `bind` is called where the body has other forms."""
    variants: Mapping[str, TeamBind] = field(default_factory=dict)
    """Other forms by name, equal in result and bytes; which is fastest depends on the machine and its libraries."""

    def runs(self, dtype: DType, *, on_cpu: bool) -> bool:
        """Whether this body runs a dtype at memory speed."""
        return dtype.name in (self.dtypes if self.cpu_dtypes is None or not on_cpu else self.cpu_dtypes)

    def fold(self, dtype: DType) -> Fold:
        """Return how this body folds its terms into the result."""
        return self.folds.get(dtype.name, "sum")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One row of the kernel table."""

    name: str
    formula: str
    operands: tuple[Operand, ...]
    flops: int
    """Floating-point operations per element of the largest operand."""
    reference: Callable[..., Any]
    """float64 arrays of the read operands and the scalars by name -> the output (of a reduction: its terms), or several
    outputs by name."""
    numpy: Body
    torch: Body
    suite: Suite = "stream"
    dtypes: tuple[str, ...] = tuple(DTYPES)
    """The dtypes in which the kernel exists: a kernel that has but one runs in that, whatever the others run in."""
    scalars: Mapping[str, float] = field(default_factory=dict)
    check_scalars: Mapping[str, float] = field(default_factory=dict)
    """Scalars of the launch that is verified, where they differ from the timed ones."""
    derive: Callable[..., Mapping[str, float]] | None = None
    """For kernels whose elements need other numbers than the scalars: the scalars by name -> those, by name."""
    split: Literal["n", "m"] = "n"
    """The axis along which the work is shared out to threads."""
    steady: Callable[..., Mapping[str, Any]] | None = None
    """For kernels that work in place: the float64 tiles of what is read and the scalars by name -> the tiles to
    replace, so that repeated launches stay bounded."""
    rounding: float = 1.0
    """Allowed error of an output in units of half an epsilon of the sum of its terms' magnitudes."""
    bounds: Callable[..., Mapping[str, Any]] | None = None
    """For kernels whose terms alone do not bound the error: the reference's arguments -> by output, how far arithmetic
    in the accumulator's format may be off, in units of half its epsilon."""
    weights: WeightFormat | None = None
    """How the matrix is packed; None where it has the operands' dtype."""
    attention: Attention | None = None
    """Heads and their size, for attention."""
    last_rows: Callable[..., Mapping[str, Any]] | None = None
    """For kernels all rows of which share an output: the float64 tiles by name and the number of rows `m` -> rows to
    put last, by operand, so that the output tells how many rows entered."""
    whole: Callable[[Any], tuple[Mapping[str, Any], Mapping[str, Any]]] | None = None
    """For such kernels: the Inputs -> by output, what it should hold as a whole, and the absolute error that rounding
    explains."""

    def constants(self, scalars: Mapping[str, float]) -> dict[str, float]:
        """Return the numbers that NumPy and CUDA bodies take, in their order; torch's take the scalars themselves.

        Raises:
            KeyError: a scalar of the kernel is missing.
        """
        given = {name: scalars[name] for name in self.scalars}
        return given if self.derive is None else dict(self.derive(**given))

    def encoded_constants(self, dtype: DType, scalars: Mapping[str, float]) -> dict[str, Any]:
        """Return the constants as NumPy bodies take them: stored as the operands are, derived ones as accumulators."""
        import numpy as np

        number = dtype if self.derive is None else DTYPES[dtype.accumulator]
        return {name: number.encode(np.array(value))[()] for name, value in self.constants(scalars).items()}

    def dtypes_among(self, wanted: Sequence[DType]) -> list[DType]:
        """Return those of the dtypes wanted that the kernel has; all of its own if it has none of them."""
        return [d for d in wanted if d.name in self.dtypes] or [DTYPES[name] for name in self.dtypes]

    def bytes_read(self, shape: Shape, dtype: DType) -> int:
        """Return the bytes that one launch must read: each element of each operand read, once."""
        return sum(o.nbytes(shape, dtype) for o in self.operands if o.is_read)

    def bytes_written(self, shape: Shape, dtype: DType) -> int:
        """Return the bytes that one launch must write: each element of each operand written, once."""
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
        """The operands that a launch writes, a reduction's one number included."""
        return tuple(o for o in self.operands if o.role not in ("in", "scale"))

    @property
    def output(self) -> Operand:
        """The one operand that a launch writes; raises ValueError for a kernel that writes several."""
        (only,) = self.outputs
        return only

    def compute(self, **given: Any) -> Mapping[str, Any]:
        """Return what the reference makes of operands and scalars: each output (of a reduction: its terms) by name."""
        made = self.reference(**given)
        return made if isinstance(made, Mapping) else {self.output.name: made}

    @property
    def large(self) -> tuple[Operand, ...]:
        """The operands whose size is the size asked for: all vectors, or the matrix (packed: its codes)."""
        extent = "mn" if self.is_matrix else "n"
        return tuple(o for o in self.operands if o.extent == extent and o.role != "scale")

    @property
    def label(self) -> str:
        """The kernel's name and, where its matrix is packed, the format's: unique among all kernels."""
        return f"{self.name} {self.weight_format}" if self.weight_format else self.name

    @property
    def weight_format(self) -> str | None:
        """The name of the format of packed weights, or of a cache; None where it is the operands' dtype."""
        if self.attention is not None:
            return self.attention.cache_format
        return self.weights.name if self.weights else None

    def element(self, dtype: DType) -> DType:
        """Return the format of the elements of the largest operand; of the vectors beside packed weights or a cache."""
        if self.weights or self.attention:
            return dtype
        return max((o.number(dtype) for o in self.large), key=lambda d: d.itemsize)

    def element_bits(self, dtype: DType) -> int:
        """Return the bits of one element of the largest operand."""
        return self.weights.bits if self.weights else 8 * max(o.number(dtype).itemsize for o in self.large)

    @property
    def columns(self) -> int | None:
        """The columns of the matrix where the kernel itself says how many there are."""
        return self.attention.columns if self.attention else None

    @property
    def least_columns(self) -> int:
        """What the columns of the matrix must be a multiple of."""
        return self.columns or (WHOLE_COLUMNS if self.weights else 1)

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
        """Return the large operands, each with its bytes over those of the largest."""
        dtype, shape = DTYPES[self.dtypes[0]], Shape(WHOLE_COLUMNS, m=1 if self.is_matrix else None)
        most = max(o.nbytes(shape, dtype) for o in self.large)
        return [(o, o.nbytes(shape, dtype) / most) for o in self.large]
