"""A pretend device on a virtual clock, and a pretend backend, for tests of the harness: every true time is known."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from bandmark import __version__
from bandmark.backends.select import Target
from bandmark.backends.team import Team
from bandmark.device.device import Device
from bandmark.device.machine import Machine
from bandmark.device.memory import MemoryBudget
from bandmark.device.peaks import Peak
from bandmark.device.sensors import SensorReading
from bandmark.measure.measurement import Reading
from bandmark.measure.sampling import Schedule, StopRule
from bandmark.options import RunOptions
from bandmark.results.row import SCHEMA, Row
from bandmark.session.runner import measure_groups
from bandmark.session.session import Session
from bandmark.suites import SUITES
from bandmark.suites.base import Case, Group, RunFacts
from bandmark.suites.kernels import KernelGroup
from bandmark.suites.model_layers import _MatrixGroup
from bandmark.suites.selection import kernel_columns
from bandmark_kernels import DTYPES, KERNELS, DType, Kernel, Shape
from bandmark_kernels.core.kernel import Inputs
from kernel_cases import shape_of

GIB = 2**30

Law = Callable[[float, int], float]
"""(time at which a launch begins, how many went before it) -> how long it takes; all in seconds."""


class VirtualClock:
    """A clock that goes only when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


def steady(seconds: float) -> Law:
    """Every launch takes the same time."""
    return lambda now, launch: seconds


def noisy(seconds: float, relative_sd: float, seed: int = 1) -> Law:
    """Launches scatter around a time, independently of each other."""
    rng = random.Random(seed)
    return lambda now, launch: seconds * max(0.1, rng.gauss(1.0, relative_sd))


def drifting(seconds: float, per_second: float) -> Law:
    """Launches become slower with time, by this fraction a second."""
    return lambda now, launch: seconds * (1 + per_second * now)


def alternating(fast: float, slow: float, period_s: float, share_slow: float = 0.5) -> Law:
    """The device has two speeds and changes between them; a share of each period is slow."""
    return lambda now, launch: slow if (now % period_s) < share_slow * period_s else fast


def with_outliers(law: Law, every: int, factor: float) -> Law:
    """One launch in so many takes longer by a factor."""
    return lambda now, launch: law(now, launch) * (factor if launch % every == every - 1 else 1.0)


def throttled(fast: float, slow: float, after_s: float) -> Law:
    """The device is held back from a moment on."""
    return lambda now, launch: fast if now < after_s else slow


def slow_first(law: Law, launches: int, factor: float) -> Law:
    """The first launches pay for page faults, code loading and a clock that has not left idle."""
    return lambda now, launch: law(now, launch) * (factor if launch < launches else 1.0)


@dataclass
class FakeDevice:
    """A device that works through a queue behind its host, and whose watch ticks in steps.

    Like a GPU under a delay kernel: start() holds the queue for as many launches as it is told of, so their cost on
    the host is hidden, and that of any more launches is not.
    """

    clock: VirtualClock = field(default_factory=VirtualClock)
    quantum_s: float = 0.0
    host_launch_s: float = 0.0
    log: list[tuple[str, int]] = field(default_factory=list)
    """What happened, in order, and to which launcher: ("start", 0), ("launch", 0), ("stop", 0)."""
    launchers: list[FakeLauncher] = field(default_factory=list)
    free_at: float = 0.0
    """When the device has done all that is queued."""

    def launcher(self, law: Law, clock_mhz: Callable[[float], float] | None = None) -> FakeLauncher:
        """Return one more case on this device."""
        made = FakeLauncher(self, law, len(self.launchers), clock_mhz)
        self.launchers.append(made)
        return made

    def tick(self, moment: float) -> float:
        """Return a moment as the device's clock shows it."""
        return math.floor(moment / self.quantum_s) * self.quantum_s if self.quantum_s else moment

    def order(self, event: str = "start") -> list[int]:
        """Return the launchers to which something happened, in order."""
        return [number for what, number in self.log if what == event]


@dataclass
class FakeLauncher:
    """A case whose launches take the times of a law."""

    device: FakeDevice
    law: Law
    number: int
    clock_mhz: Callable[[float], float] | None = None
    launched: int = 0
    windows: list[int] = field(default_factory=list)
    """How many launches each window had."""
    announced: list[int] = field(default_factory=list)
    """How many launches start() was told of."""

    def start(self, launches: int) -> None:
        """Hold the queue while so many launches are queued, then start the watch."""
        device = self.device
        device.log.append(("start", self.number))
        device.clock.now = max(device.clock.now, device.free_at)
        device.free_at = device.clock.now + launches * device.host_launch_s
        self.announced.append(launches)
        self.windows.append(0)
        self._begin = device.free_at

    def launch(self) -> None:
        """Queue one launch."""
        device = self.device
        device.log.append(("launch", self.number))
        device.clock.advance(device.host_launch_s)
        begin = max(device.free_at, device.clock.now)
        device.free_at = begin + self.law(begin, self.launched)
        self.launched += 1
        self.windows[-1] += 1

    def stop(self) -> Reading:
        """Wait for the queue and read the watch."""
        device = self.device
        device.log.append(("stop", self.number))
        end = device.free_at
        device.clock.now = max(device.clock.now, end)
        mhz = self.clock_mhz(end) if self.clock_mhz else None
        return Reading(device.tick(end) - device.tick(self._begin), mhz)


FAKE_GPU = Device(kind="gpu", name="Fake GPU, 1 kB", memory_bytes=GIB, llc_bytes=1000)
"""A GPU whose cache is so small that a few thousand elements are in the dram regime."""

PLENTY = MemoryBudget(GIB, GIB, "1 GiB of pretend memory is free")


@dataclass
class FakeBackend:
    """A library that moves bytes at a known speed, and fails where a test wants it to."""

    name: str = "fake"
    version: str = "1.2.3"
    driver: str | None = "999.1"
    device: Device = FAKE_GPU
    threads: int | None = None
    memory_name: str = "fake"
    sensors: Any = None
    verifies_first: bool = False
    gbs: float = 0.01
    clock: VirtualClock = field(default_factory=VirtualClock)
    laws: dict[str, Law] = field(default_factory=dict)
    """Times by kernel, where they do not follow from gbs."""
    errors: dict[str, float] = field(default_factory=dict)
    """What verify() returns, by kernel; 0.25 where nothing is said."""
    raises: dict[tuple[str, str], BaseException] = field(default_factory=dict)
    """What is raised, by kernel and stage: prepare, launch, timed (a launch after the first few), verify."""
    unsupported: Mapping[str, str] = field(default_factory=dict)
    forms: tuple[str, ...] = ()
    lacking: Mapping[str, str] = field(default_factory=dict)
    """Variants of every kernel; the first is the default."""
    modes: tuple[str | None, ...] = (None,)
    """Those that a run measures unasked."""
    room_bytes: int = GIB
    """A larger working set raises MemoryError."""
    noise: float = 0.0
    """Relative standard deviation of launches whose time follows from gbs."""
    verify_s: float = 0.0
    readings: SensorReading = field(default_factory=SensorReading)
    room: MemoryBudget = PLENTY
    routines: Mapping[str, Any] = field(default_factory=dict)
    clock_mhz: Callable[[float], float] | None = None
    """What the device's own counters say of its clock, where it has any."""
    throttled: bool = False
    """Whether the sensors see every sample throttled."""
    open_now: int = 0
    """Workloads that were prepared and not yet closed."""
    most_open: int = 0
    sizes: list[tuple[str, int]] = field(default_factory=list)
    """Kernel and elements of each case that was prepared."""
    closed: bool = False

    def unsupported_reason(self, kernel: Kernel, dtype: DType) -> str | None:
        """Return what a test says of a kernel."""
        return self.unsupported.get(kernel.name)

    def variants(self, kernel: Kernel) -> tuple[str, ...]:
        """Return what the test says, for every kernel."""
        return self.forms

    def lacking_variants(self, kernel: Kernel) -> Mapping[str, str]:
        """Return what the test says, for every kernel."""
        return self.lacking

    def default_variants(self, kernel: Kernel) -> tuple[str | None, ...]:
        """Return what the test says, for every kernel."""
        return self.modes

    def prepare(self, inputs: Inputs, variant: str | None = None, copies: int = 1) -> FakeWorkload:
        """Return a workload, if there is room for it."""
        kernel, shape = inputs.kernel, inputs.shape
        self.sizes.append((kernel.name, shape.n_elements))
        self.fail(kernel.name, "prepare")
        if kernel.working_set(shape, inputs.dtype) > self.room_bytes:
            raise MemoryError("the fake device is full")
        return FakeWorkload(self, inputs, variant or next(iter(self.forms), None), copies)

    def fail(self, kernel: str, stage: str) -> None:
        """Raise what the test wants at this stage."""
        if error := self.raises.get((kernel, stage)):
            raise error

    def lacks_memory(self, problem: BaseException) -> bool:
        """Return whether a MemoryError was raised."""
        return isinstance(problem, MemoryError)

    def budget(self) -> MemoryBudget:
        """Return what the test says."""
        return self.room

    def telemetry(self) -> SensorReading:
        """Return what the test says."""
        return self.readings

    def facts(self) -> dict[str, Any]:
        """Return a fact for the run record."""
        return {"git": "pretend"}

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True


class FakeWorkload:
    """One case of the fake backend."""

    TRIAL_LAUNCHES = 3
    """How many launches come before those that "timed" errors hit."""

    note = None

    def __init__(self, backend: FakeBackend, inputs: Inputs, variant: str | None, copies: int) -> None:
        kernel = inputs.kernel
        self.backend, self.kernel, self.inputs = backend, kernel.name, inputs
        self.variant = variant
        self.copies = copies
        moved = kernel.bytes_read(inputs.shape, inputs.dtype) + kernel.bytes_written(inputs.shape, inputs.dtype)
        seconds = moved / backend.gbs / 1e9
        law = backend.laws.get(kernel.name, noisy(seconds, backend.noise) if backend.noise else steady(seconds))
        self.verify_s = backend.verify_s
        self._launcher = FakeDevice(clock=backend.clock).launcher(law, backend.clock_mhz)
        backend.open_now += 1
        backend.most_open = max(backend.most_open, backend.open_now)

    def start(self, launches: int) -> None:
        """Start the watch."""
        self._launcher.start(launches)

    def launch(self) -> None:
        """Let the launch's time pass."""
        self.backend.fail(self.kernel, "launch")
        if self._launcher.launched >= self.TRIAL_LAUNCHES:
            self.backend.fail(self.kernel, "timed")
        self._launcher.launch()

    def stop(self) -> Reading:
        """Read the watch."""
        return replace(self._launcher.stop(), braked=self.backend.throttled)

    def verify(self) -> float:
        """Return the error that the test wants."""
        self.backend.clock.advance(self.verify_s)
        self.backend.fail(self.kernel, "verify")
        return self.backend.errors.get(self.kernel, 0.25)

    def close(self) -> None:
        """Count as closed."""
        self.backend.open_now -= 1


def make_peak(gbs: float | None = 0.02, memory_type: str | None = None) -> Peak:
    """Return a peak of this many GB/s, as if user-supplied."""
    source = "" if gbs is None else f"user-supplied (--peak {gbs})"
    return Peak(
        gbs=gbs, source=source, derived_gbs=None, device_id=None, memory_type=memory_type, explanation="a fake peak"
    )


def make_facts(
    peak: Peak | None = None, data: str = "random", backends: Sequence[FakeBackend] = (), device: Device | None = None
) -> RunFacts:
    """Return what all rows of a pretend run have in common; without backends, those of one fake backend."""
    libraries = [*backends] or [FakeBackend()]
    return RunFacts(
        run_id="20261123T101500Z-3f2a",
        system="fake-1",
        version=__version__,
        device=device or libraries[0].device,
        peak=peak or make_peak(),
        data=data,
        caches={"L1": 4096, "L2": 65536, "L3": 2**21},
        libraries=make_target(libraries).libraries(),
    )


def make_target(
    backends: Sequence[FakeBackend],
    *,
    peak: Peak | None = None,
    address: str = "cuda:0",
    machine: Machine | None = None,
    notes: Sequence[str] = (),
) -> Target:
    """Return what a run on fake backends measures; the address cpu makes it one on a CPU."""
    return Target(
        address=address,
        device=backends[0].device,
        backends=[*backends],
        machine=machine or make_machine(),
        peak=peak or make_peak(),
        notes=[*notes],
        team=Team([0]) if address == "cpu" else None,
    )


def make_session(groups: Sequence[Group], backends: Sequence[FakeBackend], **changes: Any) -> Session:
    """Return a session of these groups on fake backends, with changes."""
    plain: dict[str, Any] = {
        "options": RunOptions(system="fake-1"),
        "run_id": "20261123T101500Z-3f2a",
        "started": datetime(2026, 11, 23, 10, 15, tzinfo=UTC),
        "system": "fake-1",
        "target": changes.get("target") or make_target(backends),
        "groups": [*groups],
        "time_limit_s": 30.0,
        "notes": ["a note"],
    }
    return Session(**(plain | changes))


def measured(groups: Sequence[Group], backends: Sequence[FakeBackend], rule: StopRule, **changes: Any) -> Session:
    """Return a session whose groups were measured on the backends' virtual clock."""
    session = make_session(groups, backends, **changes)
    schedule = Schedule(limit_s=session.time_limit_s, clock=backends[0].clock)
    for outcomes in measure_groups(groups, session.options, rule, schedule):
        session.outcomes += outcomes
        session.measured_groups += 1
    return session


def make_group(
    kernel: str, backends: Sequence[FakeBackend], *, dtype: str = "float64", shape: Shape | None = None
) -> KernelGroup:
    """Return one kernel on some fake backends: 3000 elements, or a matrix of 50 x 60; in its own dtype if any."""
    return group_of(KERNELS[kernel], backends, dtype=dtype, shape=shape)


def group_of(
    kernel: Kernel, backends: Sequence[FakeBackend], *, dtype: str = "float64", shape: Shape | None = None
) -> KernelGroup:
    """Return the group of a kernel that may stand in no table, as make_group does."""
    (number, *_) = kernel.dtypes_among([DTYPES[dtype]])
    size = shape or shape_of(kernel, 3000, Shape(60, m=50))
    columns = kernel_columns(kernel, number, size)
    cases = tuple(
        Case(columns=columns | {"backend": b.name}, backend=b, skip_reason=b.unsupported_reason(kernel, number))
        for b in backends
    )
    label = f"{kernel.label} {number.name}"
    return KernelGroup(suite=SUITES["bandwidth"], label=label, cases=cases, kernel=kernel, dtype=number, shape=size)


def make_matrix_group(backends: Sequence[FakeBackend], shape: Shape | None = None) -> _MatrixGroup:
    """Return the group of a matrix of a model, 50 x 60, which a decode step uses 7 times."""
    plain = make_group("gemv", backends, shape=shape)
    named = {"layer": "my-model qkv", "layer_uses": 7}
    return _MatrixGroup(
        suite=SUITES["model-layers"],
        label=f"{plain.label} qkv",
        kernel=plain.kernel,
        dtype=plain.dtype,
        shape=plain.shape,
        cases=tuple(replace(case, columns={**case.columns, **named}) for case in plain.cases),
        min_time_s=9.0 if plain.runnable else None,
    )


def make_result(**changes: Any) -> Row:
    """Return a plain row of a measured and verified triad, with changes."""
    row = Row(
        schema=SCHEMA,
        run_id="20261123T101500Z-3f2a",
        system="fake-1",
        device="Fake GPU",
        backend="numpy",
        kernel="triad",
        dtype="float64",
        n_elements=1000,
        working_set_bytes=24000,
        regime="dram",
        bytes_read=16000,
        bytes_written=8000,
        samples=20,
        launches_per_sample=5,
        time_median_s=1e-3,
        time_min_s=0.9e-3,
        time_q1_s=0.98e-3,
        time_q3_s=1.02e-3,
        time_max_s=1.5e-3,
        bandwidth_gbs=0.024,
        bandwidth_best_gbs=0.0267,
        ci95_rel=0.002,
        stop_reason="converged",
        verified=True,
        max_error=0.5,
        status="ok",
        suite="stream",
        n=1000,
        bandmark_version="0.1.0",
        backend_version="2.4.6",
        data="random",
        copies=1,
    )
    return replace(row, **changes)


def make_machine(**changes: Any) -> Machine:
    """Return a machine of which nothing spoils measurements, with changes."""
    machine = Machine(
        cpu_model_name="Fake CPU @ 3 GHz",
        cpu_count=8,
        cpu_usable=8,
        cpu_quota=None,
        llc_bytes=32 * 2**20,
        l2_bytes=8 * 2**20,
        memory_total_bytes=64 * GIB,
        architecture="x86_64",
        system="Linux",
        kernel="6.1",
        libc="glibc 2.36",
        python_version="3.11.7",
        governor="performance",
        transparent_huge_pages="madvise",
        numa_nodes=1,
        is_wsl=False,
        load_1min=0.1,
        environment={},
        core_caches={"L1": 32 * 2**10, "L2": 2**20, "L3": 32 * 2**20},
    )
    return replace(machine, **changes)
