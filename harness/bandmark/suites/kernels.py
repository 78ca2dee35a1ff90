"""What the suites share that measure kernels of the table: their groups, their sizes, bandwidth and percentages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from bandmark.judge import warnings as judge
from bandmark.judge.bands import REFERENCES, kernel_class, verdict
from bandmark.measure.sampling import StopRule
from bandmark.results.row import Row
from bandmark.suites.base import BANDWIDTH, Case, Draft, Group, RunFacts, Suite, Values
from bandmark.suites.selection import (
    GEMV,
    buffer_sets,
    check_variants,
    default_dtypes,
    for_memory_alone,
    kernel_columns,
    kernel_of,
    planned_cases,
    selected_dtypes,
    size_columns,
    with_columns,
)
from bandmark.suites.sizing import (
    HIDDEN_LLC_BYTES,
    MAX_SETS,
    Sizing,
    array_bytes,
    halved,
    max_traffic,
    repacked_sets,
    rotation_sets,
    shape_for,
)
from bandmark_kernels import DTYPES, KERNELS, DType, Kernel, Shape
from bandmark_kernels.core.checks import make_inputs
from bandmark_kernels.core.kernel import Inputs, Pattern

if TYPE_CHECKING:
    from bandmark.backends.base import Backend, Workload
    from bandmark.backends.select import Target
    from bandmark.options import RunOptions

_CEILING = KERNELS["read"]
"""The kernel whose best verified row is the ceiling that percent_of_ceiling divides by."""

_COPY = KERNELS["copy"]

_SUITE_S = 30.0
_QUICK_SUITE_S = 10.0
"""Seconds of sampling of a suite with kernels of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelGroup(Group):
    """A kernel in one dtype and size, on every backend."""

    kernel: Kernel
    dtype: DType
    shape: Shape
    max_sets: int = MAX_SETS
    """Buffer sets that launches may rotate through."""

    def inputs(self, options: RunOptions) -> Inputs:
        """Draw the contents of the operands."""
        return make_inputs(
            self.kernel, self.dtype, self.shape, seed=options.seed, pattern=cast("Pattern", options.data)
        )

    def prepare(self, case: Case, inputs: Inputs, copies: int) -> Workload:
        """Place the operands and bind the kernel to them."""
        return case.backend.prepare(inputs, case.variant, copies)

    def copies(self) -> int:
        """Return how many buffer sets launches rotate through: the same for all cases, since they will be compared.

        On a CPU nothing rotates: a small --size there means to measure the cache, as STREAM's users do. A GPU's
        last-level cache is no target of its own, and its kernels are meant for data in memory.
        """
        cases = self.runnable
        if not cases or cases[0].backend.threads is not None:
            return 1
        return self._rotation(sets=len(cases))

    def halved(self) -> Group | None:
        """Return the group with half the elements."""
        if self.shape.n_elements < 2:
            return None
        shape = halved(self.kernel, self.shape)
        cases = with_columns(self.cases, size_columns(self.kernel, self.dtype, shape))
        # As many sets as before: more would take the room that half the elements leave.
        return replace(self, shape=shape, cases=cases, max_sets=self.copies())

    def _rotation(self, *, sets: int) -> int:
        backends = [case.backend for case in self.runnable]
        set_bytes = self.kernel.working_set(self.shape, self.dtype)
        room = backends[0].budget().default_bytes // (sets + repacked_sets(self.kernel, backends))
        return rotation_sets(set_bytes, backends[0].device.llc_bytes, room, self.max_sets)


class KernelSuite(Suite):
    """Base of the suites that measure kernels of the table."""

    metric = BANDWIDTH

    def kernels(self, options: RunOptions) -> list[Kernel]:
        """Return the kernels to run."""
        return [KERNELS[name] for name in self.kernel_names]

    def plan(self, options: RunOptions, target: Target) -> Sequence[Group]:
        """Return a group for each kernel and dtype."""
        kernels = self.kernels(options)
        dtypes = selected_dtypes(options, default_dtypes(target, quick=options.quick))
        check_variants(options.variants, kernels, target.backends)
        pairs = [(kernel, dtype) for kernel in kernels for dtype in kernel.dtypes_among(dtypes)]
        sizing = Sizing(
            llc_bytes=target.device.llc_bytes,
            peak_gbs=target.peak.gbs,
            budget=target.backends[0].budget(),
            size_bytes=options.size_bytes,
            quick=options.quick,
            hidden_llc_bytes=HIDDEN_LLC_BYTES if target.on_cpu else 0,
            max_traffic_bytes=self._max_traffic(options, target, pairs),
        )
        return [self._group(kernel, dtype, target.backends, sizing, options.variants) for kernel, dtype in pairs]

    def _max_traffic(self, options: RunOptions, target: Target, pairs: Sequence[tuple[Kernel, DType]]) -> float:
        """Return the bytes that a launch may move in the time that a group has.

        Only a CPU is asked how fast it copies: a launch of a default size takes a few milliseconds on a GPU.
        """
        if target.memory is None or options.quick or options.size_bytes is not None:
            return math.inf
        cases = [len(planned_cases(*pair, target.backends, options.variants)) for pair in pairs]
        share_s = (options.time_limit_s or self.time_limit_s(options, sum(cases))) / max(1, len(pairs))
        copy_gbs = target.memory.copy_gbs(target.device.llc_bytes)
        return max_traffic(copy_gbs, share_s, max(cases, default=1), StopRule().min_samples)

    def _group(
        self, kernel: Kernel, dtype: DType, backends: Sequence[Backend], sizing: Sizing, variants: Sequence[str]
    ) -> KernelGroup:
        cases = planned_cases(kernel, dtype, backends, variants)
        shape = shape_for(kernel, dtype, array_bytes(kernel, sizing, buffer_sets(kernel, cases)))
        regime = judge.regime(kernel.working_set(shape, dtype), sizing.llc_bytes)
        if backends[0].threads is not None and regime in ("cache", "mixed"):
            cases = for_memory_alone(kernel, cases)
        return KernelGroup(
            suite=self,
            label=f"{kernel.label} {dtype.name}",
            cases=with_columns(cases, kernel_columns(kernel, dtype, shape)),
            kernel=kernel,
            dtype=dtype,
            shape=shape,
        )

    def case_columns(self, row: Row) -> Mapping[str, Any] | None:
        """Return what the kernel table says of a stored row."""
        kernel = kernel_of(row)
        if kernel is None or row.n is None or row.dtype not in kernel.dtypes:
            return None
        shape = Shape(row.n, m=row.m)
        return kernel_columns(kernel, DTYPES[row.dtype], shape) | {"backend": row.backend}

    def fill(self, draft: Draft, facts: RunFacts) -> None:
        """Fill bandwidth, regime and percentages, and note what speaks against them."""
        values = draft.values
        values["regime"] = judge.regime(
            values["working_set_bytes"] * (values.get("copies") or 1), facts.device.llc_bytes
        )
        gbs = draft.fill_bandwidth()
        if gbs is None or draft.measurement is None:
            return
        if KERNELS[values["kernel"]].suite == GEMV.suite:
            values["weights_per_s"] = values["n_elements"] / draft.measurement.summary.median_s
        draft.warnings += judge.bandwidth_warnings(
            gbs, peak_gbs=facts.peak.gbs, regime=values["regime"], data=facts.data
        )
        if values.get("verified") and values["regime"] == "dram":
            values |= _percentages(gbs, values["kernel"], facts)

    def fill_across(self, drafts: Sequence[Draft], facts: RunFacts) -> None:
        """Fill percent_of_ceiling, and doubt CUDA kernels that read far more slowly than they copy."""
        measured = [d.values for d in drafts if d.values.get("bandwidth_gbs") and d.values["regime"] == "dram"]
        reads = [v["bandwidth_gbs"] for v in measured if v["kernel"] == _CEILING.name and v.get("verified")]
        for values in measured if reads else ():
            values["percent_of_ceiling"] = 100 * values["bandwidth_gbs"] / max(reads)
        _doubt_slow_reads(drafts, facts)


class VariedSuite(KernelSuite):
    """Base of the suites that measure kernels of the table in cases of their own, in float64."""

    is_curve = True

    def plan(self, options: RunOptions, target: Target) -> Sequence[Group]:
        """Return a group for each kernel, with the suite's own columns."""
        groups = super().plan(replace(options, kernels=None, dtypes=("float64",), variants=()), target)
        seconds = self.time_limit_s(options, 0) / max(1, len(groups))
        return [
            replace(
                group,
                min_time_s=seconds,
                cases=tuple(replace(c, columns={**c.columns, **self.own_columns(c.columns)}) for c in group.cases),
            )
            for group in groups
        ]

    def own_columns(self, columns: Mapping[str, Any]) -> Values:
        """Return the columns that make a case of the kernel table one of the suite."""
        raise NotImplementedError

    def time_limit_s(self, options: RunOptions, cases: int) -> float:
        """Return the seconds of sampling."""
        return _QUICK_SUITE_S if options.quick else _SUITE_S

    def case_columns(self, row: Row) -> Mapping[str, Any] | None:
        """Return what the kernel table says of a stored row, with the suite's own columns."""
        columns = super().case_columns(row)
        return None if columns is None else {**columns, **self.own_columns({**columns, "pattern": row.pattern})}


def _percentages(gbs: float, kernel: str, facts: RunFacts) -> Values:
    """Return the comparison of a bandwidth with the peaks."""
    of_peak = judge.percent(gbs, facts.peak.gbs)
    return {
        "percent_of_peak": of_peak,
        "percent_of_derived_peak": judge.percent(gbs, facts.peak.other_gbs),
        "verdict": verdict(of_peak, facts.peak.memory_type, facts.device.integrated, kernel),
        **{r.column: judge.percent(gbs, r.published_gbs) for r in REFERENCES},
    }


def _doubt_slow_reads(drafts: Sequence[Draft], facts: RunFacts) -> None:
    """Warn of kernels that read where the device's copies are fast and its reads are not.

    Only the CUDA kernels are judged by each other: a library's product may be slow for reasons of its own.
    """

    def counts(draft: Draft) -> bool:
        v = draft.values
        verified = v.get("verified") and v["regime"] == "dram" and v["weight_format"] is None
        return bool(verified) and v["backend"] == "cupy"

    judged = [draft for draft in drafts if counts(draft)]
    copies = {d.values["dtype"]: d.values["bandwidth_gbs"] for d in judged if d.values["kernel"] == _COPY.name}
    for draft in judged:
        copy = copies.get(draft.values["dtype"])
        if copy and kernel_class(draft.values["kernel"]) == "read":
            warning = judge.slow_reads(draft.values["bandwidth_gbs"], copy, facts.device.name)
            draft.warnings[:0] = [warning] if warning else []
