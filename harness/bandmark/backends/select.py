"""Find the devices that the installed libraries reach, and open the backends of one.

Libraries are imported only when a run or a probe needs them: torch alone takes longer to import than most commands run.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bandmark.device.device import Device
from bandmark.errors import BackendUnavailable, UsageError, first_line, unknown_name

if TYPE_CHECKING:
    from bandmark.backends.base import Backend
    from bandmark.backends.host import HostMemory
    from bandmark.device.machine import Machine
    from bandmark.device.peaks import Peak
    from bandmark.device.threads import Team

BACKENDS = ("numpy", "torch", "cupy")
"""The libraries that kernels have implementations for."""

CPU_BACKENDS = ("numpy",)
"""Those that reach no accelerator."""

ACCELERATOR_BACKENDS = ("cupy", "torch")
"""Those that reach accelerators. CuPy is asked first: it reads the attributes that tell colliding names apart."""

INSTALL = {
    "torch": "`pip install 'bandmark[cuda13]'` on an NVIDIA GPU (cuda12 for older drivers), "
    "`uv pip install --torch-backend=cpu torch` elsewhere",
    "cupy": "`pip install 'bandmark[cuda13]'`, or 'bandmark[cuda12]' for a CUDA 12 driver",
}
"""How to get a library that is missing."""

ON_CPU = "NumPy runs on the CPU; add --device cpu, or choose torch or cupy."

NO_SENSORS = (
    "NVML is not asked, so temperature, power, driver, other programs on the GPU and what holds its clocks down stay "
    "unknown; `pip install nvidia-ml-py` brings it."
)


def is_installed(name: str) -> bool:
    """Return whether a library is installed, without importing it."""
    return importlib.util.find_spec(name) is not None


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A device that is not the CPU, and the libraries that reach it."""

    address: str
    """Such as cuda:0."""
    device: Device
    backends: tuple[str, ...]


@dataclass(slots=True)
class Discovery:
    """What the installed libraries see."""

    accelerators: list[Accelerator] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    """Why a library, or its accelerators, can't be used: one sentence by backend."""


def discover(names: Sequence[str] = ACCELERATOR_BACKENDS) -> Discovery:
    """Import the libraries that are installed and ask each for its accelerators."""
    discovery = Discovery()
    by_address: dict[str, Accelerator] = {}
    for name in names:
        for address, device in _accelerators(name, discovery.problems):
            known = by_address.get(address)
            by_address[address] = Accelerator(
                address, known.device if known else device, (*(known.backends if known else ()), name)
            )
    discovery.accelerators = list(by_address.values())
    return discovery


def _accelerators(name: str, problems: dict[str, str]) -> list[tuple[str, Device]]:
    if not is_installed(name):
        problems[name] = f"{name} is not installed; {INSTALL[name]}"
        return []
    try:
        module = importlib.import_module(f"bandmark.backends.{name}_devices")
    except Exception as error:  # a broken installation can raise anything while it is imported; the reason is kept
        problems[name] = (
            f"{name} is installed but can't be imported ({type(error).__name__}: {first_line(error)}); "
            f"install it anew: {INSTALL[name]}"
        )
        return []
    devices, problem = module.list_accelerators()
    if problem:
        problems[name] = problem
    return list(devices)


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

    def libraries(self) -> dict[str, dict[str, Any]]:
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

    Raises:
        UsageError: an unknown name, or a device that is not there.
        BackendUnavailable: a backend that was asked for is missing, broken or can't use the device.
    """
    wanted = list(dict.fromkeys(names or ()))
    for name in wanted:
        if name not in (*BACKENDS, "all"):
            raise unknown_name("backend", name, (*BACKENDS, "all"))
    wanted = [] if "all" in wanted else wanted
    only_cpu = bool(wanted) and all(name in CPU_BACKENDS for name in wanted)
    if address == "cpu" or (address is None and only_cpu):
        return _open_cpu(machine, wanted, threads, peak, {})
    if only_cpu:
        raise UsageError(ON_CPU)
    discovery = discover([n for n in ACCELERATOR_BACKENDS if not wanted or n in wanted])
    accelerator = _choose(discovery, address)
    if accelerator is None:
        return _open_cpu(machine, wanted, threads, peak, discovery.problems)
    return _open_accelerator(accelerator, machine, wanted, peak, discovery)


def _choose(discovery: Discovery, address: str | None) -> Accelerator | None:
    """Return the accelerator asked for, or the fastest one by published peak."""
    from bandmark.device.peaks import find_peak

    by_address = {a.address: a for a in discovery.accelerators}
    if address is None:
        return max(discovery.accelerators, key=lambda a: find_peak(a.device).gbs or 0.0, default=None)
    full = address if ":" in address else f"{address}:0"
    if full in by_address:
        return by_address[full]
    why = "; ".join(discovery.problems.values())
    raise UsageError(
        f"there is no device {address!r}; there are {', '.join(['cpu', *by_address])}." + (f" ({why}.)" if why else "")
    )


def _open_cpu(
    machine: Machine, wanted: list[str], threads: int | None, peak: str | None, problems: dict[str, str]
) -> Target:
    from bandmark.backends.host import HostMemory
    from bandmark.device.dimms import read_dimms
    from bandmark.device.peaks import find_peak
    from bandmark.device.threads import Team, usable_cpus

    cpus = usable_cpus()
    if threads is not None and not 1 <= threads <= len(cpus):
        raise UsageError(f"--threads {threads} is not possible: this process may use 1 to {len(cpus)} processors.")
    notes: list[str] = []
    opened: list[Any] = []
    team = Team(cpus[:threads])
    memory = HostMemory(team, machine.numa_nodes or 1)
    for name in wanted or ("numpy", *(["torch"] if is_installed("torch") else [])):
        try:
            opened.append(_open_on_cpu(name, machine, memory, problems))
        except BackendUnavailable as error:
            if wanted:
                team.close()
                raise
            notes.append(f"{error} Going on without it.")
    if problems.get("cupy") and is_installed("cupy"):
        notes.append(f"No GPU is measured: {problems['cupy']}.")
    device = machine.as_device()
    return Target("cpu", device, opened, machine, find_peak(device, peak, read_dimms()), notes, team, memory)


def _open_on_cpu(name: str, machine: Machine, memory: Any, problems: dict[str, str]) -> Any:
    if name == "numpy":
        from bandmark.backends.numpy_backend import NumpyBackend

        return NumpyBackend(machine.as_device(), memory)
    if name == "cupy":
        raise BackendUnavailable(f"The cupy backend needs an NVIDIA GPU: {problems.get('cupy', 'none was found')}.")
    if not is_installed("torch"):
        raise BackendUnavailable(f"torch is not installed; {INSTALL['torch']}, or drop --backend torch.")
    if "torch" in problems and "can't be imported" in problems["torch"]:
        raise BackendUnavailable(f"{problems['torch']}.")
    try:
        from bandmark.backends.torch_backend import TorchBackend
    except Exception as error:  # as in _accelerators: whatever a broken torch raises is told to the user
        raise BackendUnavailable(
            f"torch is installed but can't be imported ({type(error).__name__}: {first_line(error)})."
        ) from error
    return TorchBackend(machine.as_device(), memory, "cpu")


def _open_accelerator(
    accelerator: Accelerator, machine: Machine, wanted: list[str], peak: str | None, discovery: Discovery
) -> Target:
    from bandmark.device.peaks import find_peak

    _check_reach(accelerator, wanted, discovery)
    opened: list[Any] = []
    failed: list[BackendUnavailable] = []
    for name in wanted or accelerator.backends:
        module = importlib.import_module(f"bandmark.backends.{name}_backend")
        try:
            opened.append(module.open_accelerator(accelerator.address, accelerator.device))
        except BackendUnavailable as error:
            failed.append(error)
    if failed and (wanted or not opened):
        raise failed[0]
    notes = [f"{error} Going on without it." for error in failed]
    notes += _accelerator_notes(accelerator, wanted, discovery)
    device = accelerator.device
    return Target(accelerator.address, device, opened, machine, find_peak(device, peak), notes)


def _check_reach(accelerator: Accelerator, wanted: Sequence[str], discovery: Discovery) -> None:
    """Raise the error for a backend that was asked for and does not reach the accelerator."""
    for name in wanted:
        if name in CPU_BACKENDS:
            raise UsageError(ON_CPU)
        if name not in accelerator.backends:
            problem = discovery.problems.get(name, "not seen")
            raise BackendUnavailable(f"{name} can't use {accelerator.address}: {problem}.")


def _accelerator_notes(accelerator: Accelerator, wanted: Sequence[str], discovery: Discovery) -> list[str]:
    """Return what to tell of the choice of an accelerator: other devices, missing sensors and libraries."""
    notes = []
    if accelerator.device.compute_capability and not is_installed("pynvml"):
        notes.append(NO_SENSORS)
    others = [f"{a.address} {a.device.name}" for a in discovery.accelerators if a is not accelerator]
    if others:
        chosen = f"{accelerator.address} {accelerator.device.name}"
        notes.append(f"Measuring {chosen}; --device chooses another: {', '.join(others)}.")
    if not wanted:
        notes += [f"Without {n}: {why}." for n, why in discovery.problems.items() if n not in accelerator.backends]
    return notes
