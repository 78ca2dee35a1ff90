"""What machine is this? Everything is optional and nothing identifies its owner.

No host name, user name, serial number or path is read. What the system does not tell is None.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bandmark.device import memory
from bandmark.device.device import Device
from bandmark.device.threads import cpu_quota, usable_cpus

_THREADING = re.compile(r"(OMP|GOMP|KMP|MKL|OPENBLAS|BLIS|VECLIB)_[A-Z_]+")
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
    """Variables that set the threads of the numerical libraries."""

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
    caches = read_caches(root, cpus)
    return Machine(
        cpu_model_name=_cpu_model_name(root),
        cpu_count=os.cpu_count() or 1,
        cpu_usable=len(cpus),
        cpu_quota=cpu_quota(root / "sys/fs/cgroup"),
        llc_bytes=caches.get(max(caches)) if caches else None,
        l2_bytes=caches.get(2),
        memory_total_bytes=memory.total_bytes(root),
        architecture=platform.machine(),
        system=platform.system(),
        kernel=platform.release(),
        libc=" ".join(platform.libc_ver()).strip(),
        python_version=platform.python_version(),
        governor=_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        transparent_huge_pages=_chosen(_text(root / "sys/kernel/mm/transparent_hugepage/enabled")),
        numa_nodes=len(list((root / "sys/devices/system/node").glob("node[0-9]*"))) or None,
        is_wsl="microsoft" in (_text(root / "proc/version") or "").lower(),
        load_1min=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        environment={k: v for k, v in os.environ.items() if _THREADING.fullmatch(k) and _HARMLESS.fullmatch(v)},
    )


def read_caches(root: Path, cpus: list[int]) -> dict[int, int]:
    """Return the total bytes of data cache by level over these processors, each shared cache counted once."""
    found: dict[tuple[int, str], int] = {}
    for cpu in cpus:
        for folder in (root / f"sys/devices/system/cpu/cpu{cpu}/cache").glob("index[0-9]*"):
            level, size, kind = (_text(folder / name) or "" for name in ("level", "size", "type"))
            if kind in ("Data", "Unified") and level.isdigit() and size.endswith("K"):
                shared = _text(folder / "shared_cpu_list") or str(cpu)
                found[int(level), shared] = int(size[:-1]) * 1024
    totals: dict[int, int] = {}
    for (number, _), size_bytes in found.items():
        totals[number] = totals.get(number, 0) + size_bytes
    return totals or _macos_caches()


def _macos_caches() -> dict[int, int]:
    """Return the caches that macOS's sysctl names; Apple's system-level cache is not among them."""
    sizes = {
        3: _sysctl("hw.l3cachesize"),
        2: _sysctl("hw.perflevel0.l2cachesize") or _sysctl("hw.l2cachesize"),
    }
    return {level: int(size) for level, size in sizes.items() if size and size.isdigit() and int(size)}


def _sysctl(name: str) -> str | None:
    if sys.platform != "darwin":
        return None
    import subprocess

    done = subprocess.run(["/usr/sbin/sysctl", "-n", name], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def _cpu_model_name(root: Path) -> str:
    """Return the CPU's model name, or its architecture where the system has no name for it."""
    try:
        lines = (root / "proc/cpuinfo").read_text().splitlines()
    except OSError:
        return _sysctl("machdep.cpu.brand_string") or platform.processor() or platform.machine()
    pairs = dict(re.split(r"\s*:\s*", line, maxsplit=1) for line in lines if ":" in line)
    # Arm kernels print part numbers instead of a name.
    part = f"Arm implementer {pairs['CPU implementer']} part {pairs['CPU part']}" if "CPU part" in pairs else None
    return pairs.get("model name") or part or platform.machine()


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except OSError:
        return None


def _chosen(text: str | None) -> str | None:
    """Return the option in brackets: 'always [madvise] never' -> 'madvise'."""
    match = re.search(r"\[(\w+)\]", text or "")
    return match[1] if match else text


@dataclass(frozen=True, slots=True)
class CpuUse:
    """How busy the machine's processors have been since boot, in seconds: all programs, and this one."""

    all_s: float
    own_s: float
    elapsed_s: float


def read_cpu_use(clock_s: float, root: Path = Path("/")) -> CpuUse | None:
    """Read the processors' counters (Linux /proc/stat); None elsewhere.

    Args:
        clock_s: the present time of a clock that never goes back.
    """
    text = _text(root / "proc/stat")
    if not text or not text.startswith("cpu "):
        return None
    # user nice system idle iowait irq softirq steal (proc(5)); stolen time is another guest's use of our processor.
    fields = [int(x) for x in text.splitlines()[0].split()[1:9]]
    busy = sum(fields) - fields[3] - fields[4]
    times = os.times()
    own = times.user + times.system + times.children_user + times.children_system
    return CpuUse(busy / os.sysconf("SC_CLK_TCK"), own, clock_s)


def others_share(before: CpuUse | None, after: CpuUse | None, cpus: int) -> float | None:
    """Return the share of the machine's processors that other programs used between two readings.

    None where it can't be told: counters tick every 10 ms, so less than half a second says too little.
    """
    if before is None or after is None or after.elapsed_s - before.elapsed_s < 0.5:
        return None
    others = (after.all_s - before.all_s) - (after.own_s - before.own_s)
    return max(0.0, others / (cpus * (after.elapsed_s - before.elapsed_s)))
