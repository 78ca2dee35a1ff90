"""The suite energy: joules of a launch and picojoules of a byte, by the device's own energy counter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any, Protocol

from bandmark.measure.measurement import Reading
from bandmark.measure.sampling import StopRule
from bandmark.results.row import Row
from bandmark.suites.base import Case, Draft, Group, Metric, RunFacts, TableColumn, Values
from bandmark.suites.kernels import KernelGroup, VariedSuite
from bandmark.suites.table import GBS, KERNEL, LIBRARY, SPREAD, figure
from bandmark_kernels.core.kernel import Inputs

if TYPE_CHECKING:
    from bandmark.backends.base import Backend, Workload
    from bandmark.backends.select import Target
    from bandmark.device.sensors import Sensors
    from bandmark.options import RunOptions

_RULE = StopRule(min_samples=5, min_time_s=2.5, window_s=0.5)
"""Windows that are long beside the steps of the counters: 1 ms of RAPL (Intel SDM 3B, 16.10), up to 100 ms of NVML."""

_IDLE_S = 0.5
_SUITE_S = 60.0
_QUICK_SUITE_S = 20.0


class _Meter(Protocol):
    """A device's energy counter."""

    @property
    def reason(self) -> str | None:
        """Why there is no energy to read, None if there is."""

    def read(self) -> Any:
        """Return what the counter shows."""

    def joules(self, before: Any, after: Any) -> float | None:
        """Return the energy between two readings, None if it is unknown."""


@dataclass(frozen=True, slots=True)
class NvmlMeter:
    """The total-energy counter of an NVIDIA device."""

    sensors: Sensors | None

    @property
    def reason(self) -> str | None:
        """Why there is no energy to read, None if there is."""
        return "the driver shows no energy counter of this device (NVML)" if self.read() is None else None

    def read(self) -> float | None:
        """Return the joules since the driver was loaded."""
        return self.sensors.energy_j() if self.sensors else None

    def joules(self, before: float | None, after: float | None) -> float | None:
        """Return the energy between two readings, None if it is unknown or the counter began anew."""
        return after - before if before is not None and after is not None and after > before else None


def meter_of(backend: Backend) -> _Meter:
    """Return the energy counter of the device that a backend computes on."""
    from bandmark.device.energy import Rapl

    return NvmlMeter(backend.sensors) if backend.threads is None else Rapl()


class Metered:
    """A workload whose windows are read off an energy counter, too."""

    def __init__(self, workload: Workload, meter: _Meter) -> None:
        """Take a workload with its operands in place, and measure the power of the idle device."""
        self.launch, self._workload, self._meter = workload.launch, workload, meter
        before, begin = meter.read(), perf_counter()
        sleep(_IDLE_S)
        spent_j = meter.joules(before, meter.read())
        self.idle_power_w = None if spent_j is None else float(f"{spent_j / (perf_counter() - begin):.6g}")

    def start(self, launches: int) -> None:
        """Read the counter, then start the watch."""
        self._before = self._meter.read()
        self._workload.start(launches)

    def stop(self) -> Reading:
        """Stop the watch, then read the counter."""
        reading = self._workload.stop()
        return replace(reading, energy_j=self._meter.joules(self._before, self._meter.read()))

    def __getattr__(self, name: str) -> Any:
        """Return whatever else the workload has: its variant, its verification."""
        return getattr(self._workload, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class _EnergyGroup(KernelGroup):
    """A kernel whose windows are read off the energy counter, one backend after the other."""

    in_turns: bool = False
    rule: StopRule | None = _RULE

    def prepare(self, case: Case, inputs: Inputs, copies: int) -> Workload:
        """Place the operands, and measure the idle power."""
        workload: Any = Metered(case.backend.prepare(inputs, case.variant, copies), meter_of(case.backend))
        return workload  # type: ignore[no-any-return]


class Energy(VariedSuite):
    """Joules of read, copy, triad and gemv."""

    name = "energy"
    kernel_names = ("read", "copy", "triad", "gemv")
    title = "energy of a launch and of a byte, by the counters of NVML or RAPL"
    metric = Metric(name="energy", column="energy_pj_per_byte", unit="pJ/byte", higher_is_better=False)
    in_all = False

    def own_columns(self, columns: Mapping[str, Any]) -> Values:
        """Return what makes a case of the kernel table one of the suite."""
        return {"suite": self.name, "pattern": "energy"}

    def time_limit_s(self, options: RunOptions, cases: int) -> float:
        """Return the seconds of sampling."""
        return _QUICK_SUITE_S if options.quick else _SUITE_S

    def plan(self, options: RunOptions, target: Target) -> Sequence[Group]:
        """Return a group for each kernel; its cases are unsupported where there is no counter to read."""
        reasons = {backend.name: meter_of(backend).reason for backend in target.backends}
        return [self._group_of(group, reasons) for group in super().plan(options, target)]

    def _group_of(self, group: Group, reasons: Mapping[str, str | None]) -> _EnergyGroup:
        cases = tuple(replace(c, skip_reason=c.skip_reason or reasons[c.backend.name]) for c in group.cases)
        values = {f.name: getattr(group, f.name) for f in fields(group)}
        return _EnergyGroup(**values | {"cases": cases, "in_turns": False, "rule": _RULE})

    def fill(self, draft: Draft, facts: RunFacts) -> None:
        """Fill the bandwidth columns and the energy of a byte."""
        super().fill(draft, facts)
        values, measurement = draft.values, draft.measurement
        if measurement is None or values.get("verified") is False:
            return
        if values["energy_j"] is None:
            draft.warnings.append("the energy counter did not move while sampling")
        else:
            values["energy_pj_per_byte"] = values["energy_j"] / (values["bytes_read"] + values["bytes_written"]) * 1e12

    def table_columns(self, rows: Sequence[Row]) -> tuple[TableColumn, ...]:
        """Return the columns of the table."""
        return (
            KERNEL,
            LIBRARY,
            GBS,
            TableColumn(title="J", text=lambda row: figure(row.energy_j)),
            TableColumn(title="pJ/byte", text=lambda row: figure(row.energy_pj_per_byte)),
            TableColumn(title="idle W", text=lambda row: figure(row.idle_power_w)),
            SPREAD,
        )

    def legend(self, rows: Sequence[Row]) -> str:
        """Return what the headings mean."""
        return (
            "J: energy of one launch, of the whole device or of all processors and their memory, idle power included. "
            "pJ/byte: that over the bytes. idle W: power with the arrays in place and nothing running."
        )
