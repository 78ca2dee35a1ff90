"""Find the devices that the installed libraries reach, and open the backends of one.

Libraries are imported only when a run or a probe needs them: torch alone takes longer to import than most commands run.
A backend is a module `<library>_backend` with `open_on_cpu(device, memory)` if it runs on the CPU, and with
`list_accelerators()` and `open_accelerator(address, device)` if it reaches accelerators.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bandmark.errors import BackendUnavailable, UsageError, first_line, unknown_name

if TYPE_CHECKING:
    from bandmark.backends.base import Backend
    from bandmark.backends.host import HostMemory
    from bandmark.backends.team import Team
    from bandmark.device.device import Device
    from bandmark.device.machine import Machine
    from bandmark.device.peaks import Peak


@dataclass(frozen=True, slots=True, kw_only=True)
class _Library:
    """What a backend's library reaches, and how to get it."""

    on_cpu: bool
    accelerators: bool
    install: str = ""


LIBRARIES = {
    "numpy": _Library(on_cpu=True, accelerators=False),
    "torch": _Library(
        on_cpu=True,
        accelerators=True,
        install="`pip install 'bandmark[cuda13]'` on an NVIDIA GPU (cuda12 for older drivers), "
        "`uv pip install --torch-backend=cpu torch` elsewhere",
    ),
    "cupy": _Library(
        on_cpu=False,
        accelerators=True,
        install="`pip install 'bandmark[cuda13]'`, or 'bandmark[cuda12]' for a CUDA 12 driver",
    ),
}
"""The libraries that kernels have implementations for."""

BACKENDS = tuple(LIBRARIES)

# CuPy is asked before torch: it reads the attributes that tell colliding names apart.
_ACCELERATOR_BACKENDS = tuple(name for name in reversed(BACKENDS) if LIBRARIES[name].accelerators)

_ON_CPU = "NumPy runs on the CPU; add --device cpu, or choose torch or cupy."

_NO_SENSORS = (
    "NVML is not asked, so temperature, power, driver, other programs on the GPU and what holds its clocks down stay "
    "unknown; `pip install nvidia-ml-py` brings it."
)


def is_installed(name: str) -> bool:
    """Return whether a library is installed, without importing it."""
    return importlib.util.find_spec(name) is not None


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A device that is not the CPU, with its address (cuda:0) and the libraries that reach it."""

    address: str
    device: Device
    backends: tuple[str, ...]


@dataclass(slots=True)
class Discovery:
    """What the installed libraries see."""

    accelerators: list[Accelerator] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    """Why a library, or its accelerators, can't be used: one sentence by backend."""
    modules: dict[str, Any] = field(default_factory=dict)
    """The backends' modules that could be imported."""


def discover(names: Sequence[str] = _ACCELERATOR_BACKENDS) -> Discovery:
    """Import the libraries that are installed and ask each for its accelerators."""
    discovery = Discovery()
    by_address: dict[str, Accelerator] = {}
    for name in names:
        for address, device in _list_accelerators(name, discovery):
            known = by_address.get(address, Accelerator(address, device, ()))
            by_address[address] = Accelerator(address, known.device, (*known.backends, name))
    discovery.accelerators = list(by_address.values())
    return discovery


def _list_accelerators(name: str, discovery: Discovery) -> list[tuple[str, Device]]:
    module = _import(name, discovery)
    if module is None or not LIBRARIES[name].accelerators:
        return []
    devices, problem = module.list_accelerators()
    if problem:
        discovery.problems[name] = problem
    return list(devices)


def _import(name: str, discovery: Discovery) -> Any:
    """Return a backend's module, which imports its library, or None with a problem noted.

    It is tried once: after a failure the second import of a library can fail in another way.
    """
    if name in discovery.modules or name in discovery.problems:
        return discovery.modules.get(name)
    install = LIBRARIES[name].install
    if not is_installed(name):
        discovery.problems[name] = f"{name} is not installed; {install}"
        return None
    try:
        discovery.modules[name] = importlib.import_module(f"bandmark.backends.{name}_backend")
    except Exception as error:  # a broken installation can raise anything while it is imported; the reason is kept
        discovery.problems[name] = (
            f"{name} is installed but can't be imported ({type(error).__name__}: {first_line(error)}); "
            f"install it anew: {install}"
        )
    return discovery.modules.get(name)


@dataclass(slots=True)
class Target:
    """What a run measures: a device, the backends opened on it, and its peak."""

    address: str
    """cpu, or such as cuda:0."""
    device: Device
    backends: list[Backend]
    machine: Machine
    peak: Peak
    notes: list[str]
    """What to tell the user about the choice."""
    team: Team | None = None
    """The threads of a CPU's backends."""
    memory: HostMemory | None = None
    """The arrays of a CPU's backends."""

    @property
    def on_cpu(self) -> bool:
        """Whether the CPU itself is measured."""
        return self.team is not None

    def libraries(self) -> dict[str, dict[str, object]]:
        """Return version, driver, threads and build of each backend, by name, for the run record."""
        return {
            b.name: {"version": b.version, "driver": b.driver, "threads": b.threads, **b.facts()} for b in self.backends
        }

    def close(self) -> None:
        """Close all backends and end the threads."""
        for backend in self.backends:
            backend.close()
        if self.team is not None:
            self.team.close()


def open_target(
    machine: Machine,
    *,
    names: Sequence[str] | None = None,
    address: str | None = None,
    threads: int | None = None,
    peak: str | None = None,
) -> Target:
    """Choose the device and open its backends.

    Args:
        machine: the host.
        names: the backends asked for; None or "all" among them for all that the device has.
        address: cpu, cuda, cuda:1 or another of torch's; None for the GPU with the highest published peak, else the
            CPU.
        threads: how many processors to use on a CPU; None for all that the process may use.
        peak: the peak by the user, as --peak takes it.

    Raises UsageError for an unknown name or a device that is not there, and BackendUnavailable for a backend that was
    asked for and is missing, broken or can't use the device.
    """
    from bandmark.device.peaks import peak_warning

    wanted = _wanted(names or ())
    accelerator, discovery = _find_accelerator(wanted, address)
    if accelerator is None:
        target = _open_cpu(machine, wanted, threads, peak, discovery)
    else:
        target = _open_accelerator(accelerator, machine, wanted, peak, discovery)
    if warning := peak_warning(target.peak, target.device):
        target.notes.append(warning)
    return target


def _wanted(names: Sequence[str]) -> list[str]:
    """Return the backends asked for, each once; none for all that there are."""
    for name in names:
        if name not in (*BACKENDS, "all"):
            raise unknown_name("backend", name, (*BACKENDS, "all"))
    return [] if "all" in names else list(dict.fromkeys(names))


def _find_accelerator(wanted: Sequence[str], address: str | None) -> tuple[Accelerator | None, Discovery]:
    """Return the accelerator asked for, or the fastest by published peak, None for the CPU; and what was seen."""
    from bandmark.device.peaks import find_peak

    asked = [name for name in _ACCELERATOR_BACKENDS if not wanted or name in wanted]
    if address == "cpu" or (not asked and address is None):
        return None, Discovery()
    if not asked:
        raise UsageError(_ON_CPU)
    discovery = discover(asked)
    if address is not None:
        return _named_accelerator(address, discovery), discovery
    return max(discovery.accelerators, key=lambda a: find_peak(a.device).gbs or 0.0, default=None), discovery


def _named_accelerator(address: str, discovery: Discovery) -> Accelerator:
    by_address = {a.address: a for a in discovery.accelerators}
    full = address if ":" in address else f"{address}:0"
    if full in by_address:
        return by_address[full]
    why = "; ".join(discovery.problems.values())
    raise UsageError(
        f"there is no device {address!r}; there are {', '.join(['cpu', *by_address])}." + (f" ({why}.)" if why else "")
    )


def _open_cpu(
    machine: Machine, wanted: list[str], threads: int | None, peak: str | None, discovery: Discovery
) -> Target:
    from bandmark.backends.host import HostMemory
    from bandmark.backends.team import Team
    from bandmark.device.cpu import usable_cpus
    from bandmark.device.dimms import read_dimms
    from bandmark.device.peaks import find_peak

    cpus = usable_cpus()
    if threads is not None and not 1 <= threads <= len(cpus):
        raise UsageError(f"--threads {threads} is not possible: this process may use 1 to {len(cpus)} processors.")
    device = machine.as_device()
    team = Team(cpus[:threads])
    memory = HostMemory(team, machine.numa_nodes or 1)
    names = wanted or [name for name, library in LIBRARIES.items() if library.on_cpu and is_installed(name)]
    try:
        opened, notes = _open_each(names, lambda name: _open_on_cpu(name, device, memory, discovery), bool(wanted))
    except BackendUnavailable:
        team.close()
        raise
    notes += _cpu_notes(discovery)
    return Target("cpu", device, opened, machine, find_peak(device, peak, read_dimms()), notes, team, memory)


def _open_on_cpu(name: str, device: Device, memory: HostMemory, discovery: Discovery) -> Backend:
    if not LIBRARIES[name].on_cpu:
        problem = discovery.problems.get(name, "none was found")
        raise BackendUnavailable(f"The {name} backend needs an NVIDIA GPU: {problem}.")
    module = _import(name, discovery)
    if module is None:
        raise BackendUnavailable(f"{discovery.problems[name]}.")
    backend: Backend = module.open_on_cpu(device, memory)
    return backend


def _open_accelerator(
    accelerator: Accelerator, machine: Machine, wanted: list[str], peak: str | None, discovery: Discovery
) -> Target:
    from bandmark.device.peaks import find_peak

    for name in wanted:
        if not LIBRARIES[name].accelerators:
            raise UsageError(_ON_CPU)
        if name not in accelerator.backends:
            problem = discovery.problems.get(name, "not seen")
            raise BackendUnavailable(f"{name} can't use {accelerator.address}: {problem}.")
    address, device = accelerator.address, accelerator.device
    opened, notes = _open_each(
        wanted or accelerator.backends,
        lambda name: discovery.modules[name].open_accelerator(address, device),
        bool(wanted),
    )
    notes += _accelerator_notes(accelerator, wanted, discovery)
    return Target(address, device, opened, machine, find_peak(device, peak), notes)


def _open_each(
    names: Sequence[str], open_one: Callable[[str], Backend], all_needed: bool
) -> tuple[list[Backend], list[str]]:
    """Return the backends that open and a note on each that does not; raises BackendUnavailable if none opens."""
    opened: list[Backend] = []
    failed: list[BackendUnavailable] = []
    for name in names:
        try:
            opened.append(open_one(name))
        except BackendUnavailable as error:
            failed.append(error)
    if failed and (all_needed or not opened):
        raise failed[0]
    return opened, [f"{error} Going on without it." for error in failed]


def _cpu_notes(discovery: Discovery) -> list[str]:
    """Return why no GPU is measured, where a library for GPUs is installed."""
    problems = discovery.problems.items()
    return [f"No GPU is measured: {p}." for name, p in problems if not LIBRARIES[name].on_cpu and is_installed(name)]


def _accelerator_notes(accelerator: Accelerator, wanted: Sequence[str], discovery: Discovery) -> list[str]:
    notes = []
    if accelerator.device.compute_capability and not is_installed("pynvml"):
        notes.append(_NO_SENSORS)
    others = [f"{a.address} {a.device.name}" for a in discovery.accelerators if a is not accelerator]
    if others:
        chosen = f"{accelerator.address} {accelerator.device.name}"
        notes.append(f"Measuring {chosen}; --device chooses another: {', '.join(others)}.")
    if not wanted:
        notes += [f"Without {n}: {why}." for n, why in discovery.problems.items() if n not in accelerator.backends]
    return notes
