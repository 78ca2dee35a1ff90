"""Read the facts of the machine's processors: names, kinds of cores, caches, quota and load."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bandmark.device.system import cgroup_folders, parse_cpu_list, parse_number, read_number, read_text
from bandmark.units import format_bytes

_ARM_MAKERS = {
    0x41: "Arm", 0x42: "Broadcom", 0x43: "Cavium", 0x46: "Fujitsu", 0x48: "HiSilicon", 0x4E: "NVIDIA", 0x50: "APM",
    0x51: "Qualcomm", 0x61: "Apple", 0x6D: "Microsoft", 0x70: "Phytium", 0xC0: "Ampere",
}  # fmt: skip
_ARM_PARTS = {
    0xD03: "Cortex-A53", 0xD05: "Cortex-A55", 0xD07: "Cortex-A57", 0xD08: "Cortex-A72", 0xD0B: "Cortex-A76",
    0xD0C: "Neoverse-N1", 0xD40: "Neoverse-V1", 0xD42: "Cortex-A78AE", 0xD44: "Cortex-X1", 0xD46: "Cortex-A510",
    0xD47: "Cortex-A710", 0xD48: "Cortex-X2", 0xD49: "Neoverse-N2", 0xD4D: "Cortex-A715", 0xD4E: "Cortex-X3",
    0xD4F: "Neoverse-V2", 0xD80: "Cortex-A520", 0xD81: "Cortex-A720", 0xD82: "Cortex-X4", 0xD83: "Neoverse-V3AE",
    0xD84: "Neoverse-V3", 0xD85: "Cortex-X925", 0xD87: "Cortex-A725", 0xD8E: "Neoverse-N3",
}  # fmt: skip
"""Implementers, and the parts of Arm itself (arch/arm64/include/asm/cputype.h), for which Linux prints numbers."""

INTEL_CORES = {"cpu_core": "P", "cpu_atom": "E", "cpu_lowpower": "LP-E"}
"""Kinds of cores, the fastest first, by the folder of /sys/devices whose file "cpus" lists them (Linux perf on hybrid
Intel processors)."""

_MAX_LLC_PER_CPU = 96 * 2**20
_MAX_LLC_PER_SOCKET = 1229 * 2**20
"""Largest last-level cache on sale per processor that shares it (Milan-X, one core of a chiplet) and per socket (6 %
above the 1152 MiB of Genoa-X). A virtual machine may list the host's whole cache for each of its processors."""

_MAX_NAME = 120  # characters of a model name
_MIN_INTERVAL_S = 0.5  # shortest time between two readings of the counters, which tick every 10 ms

_PINNING = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")
"""Variables by which an OpenMP library pins the main thread to one CPU when torch loads it."""


def cpu_count(root: Path = Path("/")) -> int:
    """Return the number of the machine's processors that are online.

    os.cpu_count() is the last resort: PYTHON_CPU_COUNT overrides it.
    """
    if online := parse_cpu_list(read_text(root / "sys/devices/system/cpu/online")):
        return len(online)
    try:
        count = os.sysconf("SC_NPROCESSORS_ONLN")
    except (AttributeError, OSError, ValueError):
        count = 0
    return count if count > 0 else os.cpu_count() or 1


def _affinity_mask() -> list[int]:
    try:
        return sorted(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        return list(range(cpu_count()))


_mask_before_torch: list[int] = _affinity_mask()


def usable_cpus() -> list[int]:
    """Return the CPUs that this process may use: its affinity mask, as it was before torch's OpenMP could pin it."""
    global _mask_before_torch  # noqa: PLW0603 - the mask is the process's and can't be read any more once it is pinned
    if "torch" not in sys.modules or not any(os.environ.get(name) for name in _PINNING):
        _mask_before_torch = _affinity_mask()
    return list(_mask_before_torch)


def cpu_model_name(root: Path) -> str:
    """Return the CPU's model name with the kinds of its cores, or its architecture where the system has no name."""
    cores = _named_cores(root)
    if len(cores) > 1:
        name = " + ".join(f"{name} ({count})" for name, count in cores.most_common())
    else:
        name = next(iter(cores), None) or _system_name()
    return "".join(char for char in name if char.isprintable())[:_MAX_NAME] or "unknown CPU"


def unequal_cores(root: Path) -> str | None:
    """Return the kinds of cores and how many processors each has, None where all are alike as far as can be read."""
    for kinds in (_named_cores(root), _intel_cores(root), _capacities(root)):
        if len(kinds) > 1:
            return ", ".join(f"{count} x {name}" for name, count in kinds.most_common())
    return None


def _named_cores(root: Path) -> Counter[str]:
    """Return how many processors of each name /proc/cpuinfo has, which is a block of lines for each."""
    names = []
    for block in re.split(r"\n\s*\n", read_text(root / "proc/cpuinfo") or ""):
        pairs = (line.partition(":") for line in block.splitlines())
        names.append(_core_name({key.strip().lower(): value.strip() for key, colon, value in pairs if colon}))
    return Counter(name for name in names if name)


def _intel_cores(root: Path) -> Counter[str]:
    files = {kind: root / "sys/devices" / folder / "cpus" for folder, kind in INTEL_CORES.items()}
    counts = {f"{kind}-core": len(parse_cpu_list(read_text(file))) for kind, file in files.items()}
    return +Counter(counts)


def _capacities(root: Path) -> Counter[str]:
    cpus = parse_cpu_list(read_text(root / "sys/devices/system/cpu/online"))
    capacities = (read_number(root / f"sys/devices/system/cpu/cpu{cpu}/cpu_capacity") for cpu in cpus)
    return Counter(f"capacity {capacity}" for capacity in capacities if capacity)


def _core_name(block: dict[str, str]) -> str | None:
    """Return the name of the core in an entry of /proc/cpuinfo; Arm kernels print numbers instead of it."""
    maker, part = (_hexadecimal(block.get(key)) for key in ("cpu implementer", "cpu part"))
    if maker is None or part is None:
        return block.get("model name") or None
    known = _ARM_PARTS.get(part) if maker == 0x41 else None
    return known or f"{_ARM_MAKERS.get(maker, f'Arm implementer {maker:#x}')} part {part:#05x}"


def _hexadecimal(text: str | None) -> int | None:
    return int(text, 16) if text and re.fullmatch(r"0x[0-9a-fA-F]{1,4}", text) else None


def _system_name() -> str:
    return _sysctl("machdep.cpu.brand_string") or platform.processor() or platform.machine()


def read_caches(root: Path, cpus: Sequence[int]) -> tuple[dict[int, int], str | None]:
    """Return the bytes of data cache by level over these processors, and a note if the last level was assumed.

    A cache that several processors share counts once.
    """
    sizes: dict[int, dict[str, int]] = {}
    for cpu in cpus:
        for folder in (root / f"sys/devices/system/cpu/cpu{cpu}/cache").glob("index[0-9]*"):
            level, size = read_number(folder / "level"), _cache_bytes(read_text(folder / "size"))
            if level and size and read_text(folder / "type") in ("Data", "Unified"):
                sizes.setdefault(level, {})[read_text(folder / "shared_cpu_list") or str(cpu)] = size
    totals = {level: sum(caches.values()) for level, caches in sizes.items()}
    if not totals:
        return _macos_caches(), None
    last = max(totals)
    listed, totals[last] = totals[last], _plausible_bytes(sizes[last], _sockets(root, cpus))
    if totals[last] == listed:
        return totals, None
    return totals, (
        f"the system lists {len(sizes[last])} last-level caches of {format_bytes(listed)} in all, more than such "
        f"processors have, as virtual machines do; {format_bytes(totals[last])} are assumed"
    )


def _cache_bytes(text: str | None) -> int | None:
    match = re.fullmatch(r"([0-9]{1,9})([KM])", text or "")
    return int(match[1]) * {"K": 2**10, "M": 2**20}[match[2]] if match else None


def _sockets(root: Path, cpus: Sequence[int]) -> int:
    """Return the number of sockets; those of fewer than four processors each are a virtual machine's: one socket."""
    files = (root / f"sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id" for cpu in cpus)
    packages = {package for file in files if (package := read_text(file)) is not None}
    return len(packages) if 0 < 4 * len(packages) <= len(cpus) else 1


def _plausible_bytes(caches: dict[str, int], sockets: int) -> int:
    """Return the sum of the last-level caches by the processors that share them, bounded by what is sold."""
    largest, total = max(caches.values()), sum(caches.values())
    if any(size > _MAX_LLC_PER_CPU * len(parse_cpu_list(sharers)) for sharers, size in caches.items()):
        total = min(total, largest * sockets)
    return min(max(largest, total), _MAX_LLC_PER_SOCKET * sockets)


def _macos_caches() -> dict[int, int]:
    """Return the caches that macOS's sysctl names; Apple's system-level cache is not among them."""
    sizes = {
        3: _sysctl("hw.l3cachesize"),
        2: _sysctl("hw.perflevel0.l2cachesize") or _sysctl("hw.l2cachesize"),
    }
    return {level: number for level, size in sizes.items() if (number := parse_number(size))}


def _sysctl(name: str) -> str | None:
    if sys.platform != "darwin":
        return None
    import subprocess

    command = ["/usr/sbin/sysctl", "-n", name]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or None
    except OSError:
        return None


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Return how many processors' worth of time the control groups grant, None without a limit.

    The tightest limit on the way up counts. Version 2 writes "quota period" or "max period" to cpu.max, version 1 uses
    two files and -1 for no limit (Linux, admin-guide/cgroup-v2.rst and scheduler/sched-bwc.rst).
    """
    quotas = []
    for folder in cgroup_folders(root, "cpu"):
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        text = read_text(folder / "cpu.max") or " ".join(read_text(folder / name) or "" for name in names)
        quota, _, period = text.partition(" ")
        microseconds = parse_number(quota), parse_number(period)
        if microseconds[0] and microseconds[1]:
            quotas.append(microseconds[0] / microseconds[1])
    return min(quotas, default=None)


@dataclass(frozen=True, slots=True)
class CpuUse:
    """Time of the machine's processors since boot, in seconds: of all programs and of this one."""

    all_s: float
    own_s: float
    elapsed_s: float
    counted_s: float
    """Busy and idle time of all processors, which shows whether the counters count."""


def read_cpu_use(clock_s: float, root: Path = Path("/")) -> CpuUse | None:
    """Read the processors' counters (Linux /proc/stat); None where there are none, or only zeros (gVisor, lxcfs).

    Args:
        clock_s: the present time of a clock that never goes back.
    """
    name, *numbers = (read_text(root / "proc/stat") or " ").splitlines()[0].split(" ")
    # user nice system idle iowait irq softirq steal (proc(5)); stolen time is another guest's use of our processor.
    fields = [parse_number(number) for number in numbers if number][:8]
    ticks = [field for field in fields if field is not None]
    if name != "cpu" or len(ticks) < 8 or not any(ticks):
        return None
    times = os.times()
    own = times.user + times.system + times.children_user + times.children_system
    hertz = os.sysconf("SC_CLK_TCK")
    return CpuUse((sum(ticks) - ticks[3] - ticks[4]) / hertz, own, clock_s, sum(ticks) / hertz)


def others_share(before: CpuUse | None, after: CpuUse | None, cpus: int) -> float | None:
    """Return the share of the machine's processors that other programs used between two readings.

    None where that is unknown: after too short a time, and where the counters covered less than half of it, or more
    than there is, as those of a host of which a container sees a part.
    """
    if before is None or after is None or after.elapsed_s - before.elapsed_s < _MIN_INTERVAL_S:
        return None
    capacity = cpus * (after.elapsed_s - before.elapsed_s)
    if after.counted_s - before.counted_s < 0.5 * capacity:
        return None
    others = (after.all_s - before.all_s) - (after.own_s - before.own_s)
    return None if others > 1.05 * capacity else max(0.0, others / capacity)
