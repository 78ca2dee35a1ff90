"""Choose the device that a run measures, and open its backends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bandmark.backends.discovery import (
    ACCELERATOR_BACKENDS,
    BACKENDS,
    LIBRARIES,
    Accelerator,
    Discovery,
    discover,
    import_backend,
    is_installed,
)
from bandmark.backends.host import HostMemory
from bandmark.backends.team import Team, confine
from bandmark.device.cpu import usable_cpus
from bandmark.device.dimms import read_dimms
from bandmark.device.peaks import Peak, find_peak, peak_warning
from bandmark.device.placement import place_threads
from bandmark.device.system import format_cpu_list
from bandmark.errors import BackendUnavailable, UsageError, broken_library, describe, reinstall, unknown_name

if TYPE_CHECKING:
    from bandmark.backends.base import Backend
    from bandmark.device.device import Device
    from bandmark.device.machine import Machine

_ON_CPU = "NumPy runs on the CPU; add --device cpu, or choose torch or cupy."

_TAKEN = " `nvidia-smi` shows whether the driver works and what holds the device; --device cpu measures the CPU."

_NO_SENSORS = (
    "NVML is not asked, so temperature, power, driver, other programs on the GPU and what holds its clocks down stay "
    "unknown; `pip install nvidia-ml-py` brings it."
)


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
    release: Callable[[], None] = lambda: None
    """Lets the threads of this process run on all processors again."""
    beside: Target | None = None
    """The CPU, where an accelerator is measured and a suite needs both."""

    @property
    def on_cpu(self) -> bool:
        """Whether the CPU itself is measured."""
        return self.team is not None

    def libraries(self) -> dict[str, dict[str, object]]:
        """Return version, driver, threads and build of each backend, by name, for the run record."""
        cpus = {"cpus": f"cpu {format_cpu_list(self.team.cpus)}"} if self.team else {}
        beside = self.beside.libraries() if self.beside else {}
        return beside | {
            b.name: {"version": b.version, "driver": b.driver, "threads": b.threads, **cpus, **b.facts()}
            for b in self.backends
        }

    def open_beside(self, threads: int | None, cpus: Sequence[int] | None) -> Target:
        """Return the CPU beside an accelerator, with the libraries that reach no accelerator; it is opened once.

        Raises:
            UsageError: the processors asked for are not there.
        """
        if self.beside is None:
            names = [n for n, lib in LIBRARIES.items() if lib.on_cpu and not lib.accelerators and is_installed(n)]
            self.beside = open_target(self.machine, names=names, address="cpu", threads=threads, cpus=cpus)
        return self.beside

    def close(self) -> None:
        """Close all backends and end the threads."""
        if self.beside is not None:
            self.beside.close()
        for backend in self.backends:
            backend.close()
        if self.team is not None:
            self.team.close()
        self.release()


def open_target(
    machine: Machine,
    *,
    names: Sequence[str] | None = None,
    address: str | None = None,
    threads: int | None = None,
    cpus: Sequence[int] | None = None,
    peak: str | None = None,
) -> Target:
    """Choose the device and open its backends.

    Args:
        machine: the host.
        names: the backends asked for; None or "all" among them for all that the device has.
        address: cpu, cuda, cuda:1 or another of torch's; None for the GPU with the highest published peak, else the
            CPU.
        threads: how many processors to use on a CPU; None for one per core.
        cpus: the processors to use on a CPU; None for all that the process may use.
        peak: the peak by the user, as --peak takes it.

    Raises UsageError for an unknown name or a device that is not there, and BackendUnavailable for a backend that was
    asked for and is missing, broken or can't use the device.
    """
    wanted = _wanted(names or ())
    accelerator, discovery = _find_accelerator(wanted, address)
    if accelerator is None:
        placed = place_threads(usable_cpus(), threads=threads, cpus=cpus)
        target = _open_cpu(machine, wanted, placed, peak, discovery)
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
    asked = _accelerator_backends(wanted)
    if address == "cpu" or (not asked and address is None):
        return None, Discovery()
    if not asked:
        raise UsageError(_ON_CPU)
    discovery = discover(asked)
    if address is not None:
        return _named_accelerator(address, discovery), discovery
    return max(discovery.accelerators, key=lambda a: find_peak(a.device).gbs or 0.0, default=None), discovery


def all_accelerators(names: Sequence[str] | None = None) -> list[Accelerator]:
    """Return the accelerators that the backends asked for reach; raises UsageError where there is none."""
    asked = _accelerator_backends(_wanted(names or ()))
    if not asked:
        raise UsageError(_ON_CPU)
    discovery = discover(asked)
    if not discovery.accelerators:
        why = "; ".join(discovery.problems.values())
        raise UsageError(f"--device all takes one GPU or more, and there is none; --device cpu is accepted. ({why}.)")
    return discovery.accelerators


def _accelerator_backends(wanted: Sequence[str]) -> list[str]:
    return [name for name in ACCELERATOR_BACKENDS if not wanted or name in wanted]


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
    machine: Machine, wanted: list[str], cpus: Sequence[int], peak: str | None, discovery: Discovery
) -> Target:
    device = machine.as_device()
    team, release = Team(cpus), confine(cpus)
    memory = HostMemory(team, machine.numa_nodes or 1)
    names = wanted or [name for name, library in LIBRARIES.items() if library.on_cpu and is_installed(name)]
    try:
        opened, notes = _open_each(names, lambda name: _open_on_cpu(name, device, memory, discovery), bool(wanted), "")
    except BackendUnavailable:
        team.close()
        release()
        raise
    notes += [f"No GPU is measured: {why}." for why in discovery.hidden_gpus()]
    return Target("cpu", device, opened, machine, find_peak(device, peak, read_dimms()), notes, team, memory, release)


def _open_on_cpu(name: str, device: Device, memory: HostMemory, discovery: Discovery) -> Backend:
    if not LIBRARIES[name].on_cpu:
        problem = discovery.problems.get(name, "none was found")
        raise BackendUnavailable(f"The {name} backend needs an NVIDIA GPU: {problem}.")
    module = import_backend(name, discovery)
    if module is None:
        raise BackendUnavailable(f"{discovery.problems[name]}.")
    backend: Backend = module.open_on_cpu(device, memory)
    return backend


def _open_accelerator(
    accelerator: Accelerator, machine: Machine, wanted: list[str], peak: str | None, discovery: Discovery
) -> Target:
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
        _TAKEN,
    )
    notes += _accelerator_notes(accelerator, wanted, discovery)
    return Target(address, device, opened, machine, find_peak(device, peak), notes)


def _open_each(
    names: Sequence[str], open_one: Callable[[str], Backend], all_needed: bool, hint: str
) -> tuple[list[Backend], list[str]]:
    """Return the backends that open and a note on each that does not; raises BackendUnavailable if none opens."""
    opened: list[Backend] = []
    failed: list[BackendUnavailable] = []
    for name in names:
        try:
            opened.append(open_one(name))
        except BackendUnavailable as error:
            failed.append(error)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a library that lacks parts, or whose device is taken
            library = broken_library(error)
            remedy = f" {reinstall(library)}." if library else hint
            failed.append(BackendUnavailable(f"The {name} backend can't be opened ({describe(error)}).{remedy}"))
    if failed and (all_needed or not opened):
        raise failed[0]
    return opened, [f"{error} Going on without it." for error in failed]


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
