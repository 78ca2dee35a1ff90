"""Read the facts of the machine for the run record, and note what about it disturbs measurements.

No host name, user name, serial number or path is read. What the system does not report is None.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bandmark.device.cpu import cpu_count, cpu_model_name, cpu_quota, read_caches, unequal_cores, usable_cpus
from bandmark.device.device import Device
from bandmark.device.memory import total_bytes
from bandmark.device.system import read_text

_VARIABLES = re.compile(r"(OMP|GOMP|KMP|MKL|OPENBLAS|BLIS|VECLIB)_[A-Z_]+|CUDA_LAUNCH_BLOCKING|PYTHON_CPU_COUNT")
_HARMLESS = re.compile(r"[A-Za-z0-9_,.:{}+\- ]*")

_MIN_BUSY = 0.2  # load average per processor from which the machine counts as busy


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The host, in the names that pyperf's metadata use where it has them."""

    cpu_model_name: str
    cpu_count: int
    cpu_usable: int
    """Processors that this process may run on."""
    cpu_quota: float | None
    """Processors' worth of time that a container grants; None: no limit is set."""
    llc_bytes: int | None
    l2_bytes: int | None
    memory_total_bytes: int | None
    architecture: str
    system: str
    kernel: str
    libc: str
    python_version: str
    governor: str | None
    transparent_huge_pages: str | None
    numa_nodes: int | None
    is_wsl: bool
    load_1min: float | None
    environment: dict[str, str]
    """Variables that set the threads of the numerical libraries or change how CUDA launches."""
    cpu_cores: str | None = None
    """Kinds of cores where they are unequal, such as "10 x Cortex-X925, 10 x Cortex-A725"."""
    core_caches: dict[str, int] = field(default_factory=dict)
    """Bytes of each level of the caches that one core reaches: L1, L2, L3."""
    llc_note: str | None = None
    """What was assumed of the last-level cache where the system's own figure can't be true."""

    def as_json(self) -> dict[str, object]:
        """Return the facts by name, for the run record."""
        return asdict(self)

    def as_device(self) -> Device:
        """Return the CPU as a device to measure."""
        return Device(
            kind="cpu",
            name=self.cpu_model_name,
            memory_bytes=self.memory_total_bytes,
            llc_bytes=self.llc_bytes,
        )


def read_machine(root: Path = Path("/")) -> Machine:
    """Read the facts of this machine, whose /proc and /sys are below root."""
    cpus = usable_cpus()
    caches, llc_note = read_caches(root, cpus)
    huge_pages = read_text(root / "sys/kernel/mm/transparent_hugepage/enabled")
    nodes = list((root / "sys/devices/system/node").glob("node[0-9]*"))
    return Machine(
        cpu_model_name=cpu_model_name(root),
        cpu_count=cpu_count(root),
        cpu_usable=len(cpus),
        cpu_quota=cpu_quota(root),
        llc_bytes=caches.get(max(caches)) if caches else None,
        l2_bytes=caches.get(2),
        memory_total_bytes=total_bytes(root),
        architecture=platform.machine(),
        system=platform.system(),
        kernel=platform.release(),
        libc=" ".join(platform.libc_ver()).strip(),
        python_version=platform.python_version(),
        governor=read_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        transparent_huge_pages=_bracketed(huge_pages),
        numa_nodes=len(nodes) or None,
        is_wsl="microsoft" in (read_text(root / "proc/version") or "").lower(),
        load_1min=_load_1min(),
        environment={k: v for k, v in os.environ.items() if _VARIABLES.fullmatch(k) and _HARMLESS.fullmatch(v)},
        cpu_cores=unequal_cores(root),
        core_caches={f"L{level}": size for level, size in sorted(read_caches(root, cpus[:1])[0].items())},
        llc_note=llc_note,
    )


def _bracketed(text: str | None) -> str | None:
    """Return the option in brackets: 'always [madvise] never' -> 'madvise'."""
    match = re.search(r"\[(\w+)\]", text or "")
    return match[1] if match else text


def _load_1min() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None


def preflight(machine: Machine, *, on_cpu: bool, threads: int | None = None) -> list[str]:
    """Return what disturbs measurements here, one sentence each, with what to do; empty if nothing stands out.

    Args:
        machine: the host.
        on_cpu: whether the CPU itself is measured: NUMA nodes and huge pages matter only then.
        threads: how many work on a launch; None for one per processor that this process may use.
    """
    notes = list(_about_any_device(machine))
    return notes + list(_about_cpu(machine, threads or machine.cpu_usable) if on_cpu else _about_gpu(machine))


def _about_any_device(machine: Machine) -> Iterator[str]:
    if machine.governor not in (None, "performance"):
        yield (
            f"the CPU frequency governor is {machine.governor!r}, so clocks follow the load; "
            "`sudo cpupower frequency-set -g performance` holds them"
        )
    busy_from = _MIN_BUSY * machine.cpu_count
    if machine.load_1min is not None and machine.load_1min >= busy_from:
        yield (
            f"the load average is {machine.load_1min:g} on {machine.cpu_count} processors (busy from {busy_from:g}); "
            "other programs share the memory: stop them and run again"
        )
    if machine.is_wsl:
        yield (
            "this is WSL2: GPU launches cost more; clocks, power, other programs on the GPU and those of Windows may "
            "be invisible; memory modules are not shown, and half of the PC's memory is hidden unless .wslconfig says "
            "otherwise. Close other programs, or use Linux"
        )


def _about_cpu(machine: Machine, threads: int) -> Iterator[str]:
    if machine.transparent_huge_pages == "never":
        yield (
            "transparent huge pages are off, which costs bandwidth on large arrays; "
            "`echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled` turns them on"
        )
    if machine.numa_nodes is not None and machine.numa_nodes > 1:
        yield (
            f"there are {machine.numa_nodes} NUMA nodes, and torch's threads may touch another's memory; "
            "`numactl --cpunodebind=0 --membind=0` measures one node (where GPU memory is a node, the CPU's)"
        )
    if machine.cpu_usable < machine.cpu_count:
        yield (
            f"this process may use {machine.cpu_usable} of {machine.cpu_count} processors (affinity), "
            "which may be too few to saturate the memory"
        )
    if machine.cpu_quota is not None and machine.cpu_quota < threads:
        yield (
            f"a container grants {machine.cpu_quota:g} processors' worth of time to {threads} threads and stops them "
            f"in the middle of a sample: use --threads {max(1, int(machine.cpu_quota))}, or no CPU limit"
        )
    if machine.cpu_cores is not None:
        yield (
            f"the cores are unequal ({machine.cpu_cores}), and a launch ends with the slowest of them; "
            "`taskset -c` with the processors of one kind measures that kind"
        )
    if machine.llc_note is not None:
        yield machine.llc_note


def _about_gpu(machine: Machine) -> Iterator[str]:
    if machine.environment.get("CUDA_LAUNCH_BLOCKING", "0") not in ("0", ""):
        yield (
            "CUDA_LAUNCH_BLOCKING is set, so the cost of each launch is part of the samples; "
            "`unset CUDA_LAUNCH_BLOCKING` and run again"
        )
