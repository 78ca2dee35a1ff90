"""The suite contention: what CPU and GPU lose to each other where they share one memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bandmark.backends.beside import Beside
from bandmark.judge import warnings as judge
from bandmark.measure.sampling import StopRule
from bandmark.results.row import MEASURED, Row
from bandmark.suites.base import Case, Draft, Group, RunFacts, TableColumn, Values
from bandmark.suites.kernels import KernelGroup, KernelSuite, VariedSuite
from bandmark.suites.ladder import llc_bytes
from bandmark.suites.latency import chase_columns, hops
from bandmark.suites.selection import default_dtypes, fastest
from bandmark.suites.table import GBS, KERNEL, LIBRARY, NS, SPREAD, figure
from bandmark_kernels import KERNELS, Kernel
from bandmark_kernels.memory import NEEDED
from bandmark_kernels.memory.chase import LINE_BYTES

if TYPE_CHECKING:
    from bandmark.backends.base import Workload
    from bandmark.backends.select import Target
    from bandmark.options import RunOptions

_RULE = StopRule(window_s=0.1)
"""Windows beside which the start and the end of the GPU's work, some 0.1 ms, are nothing."""

_CACHES = 4  # bytes of the chase's ring in last-level caches

_PATTERNS = ("gpu-alone", "gpu-with-cpu", "cpu-alone", "cpu-with-gpu", "chase-alone", "chase-with-gpu")
"""What is measured, and what else is at work; the chase is the CPU's."""

_NO_GPU = "a CPU alone has nobody to share its memory with: the suite takes a GPU that uses the system's memory"
_OWN_MEMORY = "the GPU has memory of its own, so neither takes bandwidth from the other"
_UNKNOWN = "the library does not say whether the GPU uses the system's memory"


_Maker = Callable[["RunOptions"], "Workload"]
"""Places the operands of a side's work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side(Group):
    """The work of one side, alone or in the company of the other's."""

    gpu: _Maker | None = None
    cpu: _Maker | None = None
    moved: tuple[float, float] = (0.0, 0.0)
    """Bytes that a launch of each moves."""

    def inputs(self, options: RunOptions) -> RunOptions:
        """Return the options, from which each side draws its own contents."""
        return options

    def prepare(self, case: Case, inputs: RunOptions, copies: int) -> Workload:
        """Place the operands of one side or of both."""
        if self.gpu is None or self.cpu is None:
            make = self.gpu or self.cpu
            assert make is not None
            return make(inputs)
        cpu = self.cpu(inputs)
        try:
            return Beside(self.gpu(inputs), cpu, self.moved, reads_gpu=case.columns["pattern"] == "gpu-with-cpu")
        except BaseException:
            cpu.close()
            raise


class Contention(VariedSuite):
    """Reads of GPU and CPU and the CPU's chase, each alone and beside the other side's reads."""

    name = "contention"
    kernel_names = ("read", "chase")
    dtype_names = ("uint64",)
    title = "bandwidth and latency that CPU and GPU lose to each other where they share one memory"

    def kernels(self, options: RunOptions) -> list[Kernel]:
        """Return the kernel that both sides stream with."""
        return [KERNELS["read"]]

    def plan(self, options: RunOptions, target: Target) -> Sequence[Group]:
        """Return a group for each row; a single one, unsupported, where there is nothing to contend for."""
        stream = self._stream(options, target)
        if reason := _nothing_shared(target):
            columns = {**stream.cases[0].columns, **self.own_columns({"pattern": "gpu-with-cpu"})}
            case = replace(stream.cases[0], columns=columns, skip_reason=reason)
            return [_Side(suite=self, label=self.name, cases=(case,))]
        host = target.open_beside(options.threads, options.cpus)
        gpu, cpu = (_fastest(group, options) for group in (stream, self._stream(options, host)))
        sides = {"gpu": gpu, "cpu": cpu, "chase": _chase(host, options.size_bytes)}
        return [self._side(pattern, sides, self.time_limit_s(options, 0) / len(_PATTERNS)) for pattern in _PATTERNS]

    def _stream(self, options: RunOptions, target: Target) -> KernelGroup:
        dtypes = tuple(dtype.name for dtype in default_dtypes(target, quick=True))
        group = KernelSuite.plan(self, replace(options, dtypes=dtypes, variants=()), target)[0]
        assert isinstance(group, KernelGroup)
        return group

    def _side(self, pattern: str, sides: Mapping[str, tuple[Case, _Maker]], seconds: float) -> _Side:
        """Return the group of a row."""
        side = _side_of(pattern)
        case, gpu, cpu = sides[side][0], sides["gpu"], sides["cpu" if side == "gpu" else side]
        return _Side(
            suite=self,
            label=f"{self.name} {pattern}",
            cases=(replace(case, columns={**case.columns, **self.own_columns({"pattern": pattern})}),),
            min_time_s=seconds,
            gpu=None if pattern in ("cpu-alone", "chase-alone") else gpu[1],
            cpu=None if pattern == "gpu-alone" else cpu[1],
            moved=(_moved(gpu[0]), _moved(cpu[0])),
            rule=_RULE,
        )

    def own_columns(self, columns: Mapping[str, Any]) -> Values:
        """Return what makes a case one of the suite."""
        return {"suite": self.name, "pattern": columns["pattern"]}

    def case_columns(self, row: Row) -> Mapping[str, Any] | None:
        """Return the columns of a stored row's case."""
        if row.pattern not in _PATTERNS:
            return None
        if _side_of(row.pattern) == "chase":
            columns = _chase_columns((row.n or 0) * 8) | {"backend": row.backend}
            return columns | self.own_columns({"pattern": row.pattern})
        return super().case_columns(row)

    def fill(self, draft: Draft, facts: RunFacts) -> None:
        """Fill bandwidth or latency, and doubt two sides that move more than the memory can."""
        values, measurement = draft.values, draft.measurement
        if _side_of(values["pattern"]) == "chase":
            if draft.fill_bandwidth() is not None and measurement is not None:
                values["latency_ns"] = measurement.summary.median_s / hops(values["working_set_bytes"]) * 1e9
            return
        super().fill(draft, facts)
        if values["pattern"] != "gpu-alone":
            values["verdict"] = None  # published measurements are of a GPU alone
        if values.get("bandwidth_gbs") and values.get("load_gbs"):
            both = values["bandwidth_gbs"] + values["load_gbs"]
            draft.warnings += judge.bandwidth_warnings(
                both, peak_gbs=facts.peak.gbs, regime=values["regime"], data="random"
            )

    def fill_across(self, drafts: Sequence[Draft], facts: RunFacts) -> None:
        """Fill nothing: the ceiling of one side is none of the other's."""

    def shown(self, rows: Sequence[Row]) -> list[Row]:
        """Return each side alone, then beside the other."""
        return sorted(rows, key=lambda row: _PATTERNS.index(row.pattern or ""))

    def table_columns(self, rows: Sequence[Row]) -> tuple[TableColumn, ...]:
        """Return the columns of the table."""
        return (
            KERNEL,
            LIBRARY,
            TableColumn(title="sides", text=lambda row: row.pattern, left=True),
            GBS,
            TableColumn(title="other GB/s", text=lambda row: figure(row.load_gbs)),
            NS,
            SPREAD,
        )

    def legend(self, rows: Sequence[Row]) -> str:
        """Return what the headings mean."""
        return (
            "sides: whose figures the row has, the GPU's, the CPU's or those of the CPU's chase, and whether the other "
            "side was at work; other GB/s: what that moved in the same windows; ns: time of a load of the chase, which "
            "moves 64 bytes."
        )

    def headline(self, rows: Sequence[Row]) -> str | None:
        """Return what each side has alone and beside the other, the sum, and the latency."""
        by = {row.pattern: row for row in rows if row.status in MEASURED}
        lines = [_beside(by, "GPU", "CPU"), _beside(by, "CPU", "GPU")]
        if both := by.get("gpu-with-cpu"):
            total = (both.bandwidth_gbs or 0.0) + (both.load_gbs or 0.0)
            of_peak = f", {100 * total / both.peak_gbs:.0f} % of the peak" if both.peak_gbs else ""
            lines.append(f"together {figure(total)} GB/s{of_peak}")
        if (alone := by.get("chase-alone")) and (shared := by.get("chase-with-gpu")):
            ns = f"{figure(alone.latency_ns)} ns alone, {figure(shared.latency_ns)} ns beside the GPU"
            lines.append(f"a load of the CPU takes {ns}")
        return "\n".join(filter(None, lines)) or None


def _beside(rows: Mapping[str | None, Row], side: str, other: str) -> str | None:
    """Return what a side has alone and beside the other, None where one of the two is unknown."""
    names = f"{side.lower()}-alone", f"{side.lower()}-with-{other.lower()}"
    alone, shared = ((rows[name].bandwidth_gbs if name in rows else None) for name in names)
    if not alone or not shared:
        return None
    return (
        f"{side} {figure(alone)} GB/s alone, {figure(shared)} beside the {other} ({100 * (shared / alone - 1):+.0f} %)"
    )


def _side_of(pattern: str) -> str:
    """Return whose figures a pattern has: gpu, cpu or chase."""
    return pattern.partition("-")[0]


def _nothing_shared(target: Target) -> str | None:
    """Return why there is nothing to contend for, None where GPU and CPU share their memory."""
    if target.on_cpu:
        return _NO_GPU
    return {True: None, False: _OWN_MEMORY, None: _UNKNOWN}[target.device.integrated]


def _fastest(group: KernelGroup, options: RunOptions) -> tuple[Case, _Maker]:
    """Return the fastest case of a group, and what prepares it."""
    case = fastest(group, options)
    single = replace(group, cases=(case,))
    return case, lambda options: single.prepare(case, single.inputs(options), single.copies())


def _chase(host: Target, size_bytes: int | None) -> tuple[Case, _Maker]:
    """Return the chase of the CPU, unsupported where no library has one, and what prepares it."""
    backend = next((b for b in host.backends if "chase" in b.routines), host.backends[0])
    size = min(size_bytes or _CACHES * (llc_bytes(host)), backend.budget().default_bytes)
    columns = {**_chase_columns(size), "backend": backend.name}

    def make(options: RunOptions) -> Workload:
        ring = {"size": columns["working_set_bytes"], "hops": hops(columns["working_set_bytes"])}
        workload: Workload = backend.routines["chase"](backend, pattern="random-2m", seed=options.seed, **ring)
        return workload

    return Case(columns=columns, backend=backend, skip_reason=None if "chase" in backend.routines else NEEDED), make


def _chase_columns(size: int) -> Values:
    """Return what is known of the chase; a hop moves a line."""
    return chase_columns("", size) | {"bytes_read": hops(size) * LINE_BYTES, "bytes_written": 0}


def _moved(case: Case) -> float:
    return float(case.columns["bytes_read"] + case.columns["bytes_written"])
