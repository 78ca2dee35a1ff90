"""Read the facts of the machine for the run record; everything is optional and nothing identifies its owner.

No host name, user name, serial number or path is read. What the system does not report is None.
"""

from __future__ import annotations

import os
import platform
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bandmark.device.cpu import cpu_count, cpu_model_name, cpu_quota, read_caches, unequal_cores
from bandmark.device.device import Device
from bandmark.device.memory import total_bytes
from bandmark.device.system import read_text
from bandmark.device.threads import usable_cpus

_VARIABLES = re.compile(r"(OMP|GOMP|KMP|MKL|OPENBLAS|BLIS|VECLIB)_[A-Z_]+|CUDA_LAUNCH_BLOCKING|PYTHON_CPU_COUNT")
_HARMLESS = re.compile(r"[A-Za-z0-9_,.:{}+\- ]*")


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
    llc_note: str | None = None
    """What was assumed of the last-level cache where the system's own figure can't be true."""

    def as_json(self) -> dict[str, Any]:
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
    """Read the facts of this machine.

    Args:
        root: where /proc and /sys are, for tests.
    """
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
        llc_note=llc_note,
    )


def _bracketed(text: str | None) -> str | None:
    """Return the option in brackets: 'always [madvise] never' -> 'madvise'."""
    match = re.search(r"\[(\w+)\]", text or "")
    return match[1] if match else text


def _load_1min() -> float | None:
    """Return the load average of the last minute; None where it can't be read."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None
