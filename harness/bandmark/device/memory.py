"""How much memory may a run use? Never so much that the machine suffers.

On a DGX Spark running out of memory freezes the whole system instead of returning an error
(NVIDIA/open-gpu-kernel-modules#1358), so the limit is computed beforehand and never found by failing.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from bandmark.units import format_bytes

CASE_LIMIT = 4 * 2**30
"""Most bytes that one case takes unasked on memory shared with the system."""

HOST_SHARE = 0.25
"""Share of the available system memory that a case takes unasked."""

ASKED_SHARE = 0.5
"""Share of a CPU's available memory that an explicit --size may take; the rest stays with the system."""

DEVICE_SHARE = 0.8
"""Share of a discrete device's free memory that a group of cases may take."""


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """How many bytes the arrays of one case may take, and why."""

    default_bytes: int
    """What sizes are chosen by."""
    limit_bytes: int
    """What an explicit --size must stay within."""
    explanation: str


def host_budget(available: int) -> MemoryBudget:
    """Return the budget on a CPU with this much available memory in bytes."""
    share = int(available * HOST_SHARE)
    return MemoryBudget(
        min(share, CASE_LIMIT),
        int(available * ASKED_SHARE),
        f"{format_bytes(available)} of system memory are available, and half of that may be used",
    )


def unified_budget(available: int, device_bytes: int | None = None) -> MemoryBudget:
    """Return the budget on an integrated device, which shares the system's memory (DGX Spark, Jetson).

    Args:
        available: bytes of system memory that this process can take.
        device_bytes: how much of the system's memory the device can reach at all, where it tells.
    """
    within = available if device_bytes is None else min(available, device_bytes)
    share = min(int(within * HOST_SHARE), CASE_LIMIT)
    return MemoryBudget(
        share,
        share,
        f"{format_bytes(within)} of unified memory are available; a quarter, and at most "
        f"{format_bytes(CASE_LIMIT)}, may be used, since running out of it freezes such machines",
    )


def device_budget(free: int) -> MemoryBudget:
    """Return the budget on a discrete device with this much free memory in bytes."""
    share = int(free * DEVICE_SHARE)
    return MemoryBudget(share, share, f"{format_bytes(free)} of device memory are free, and 80 % may be used")


def available_bytes(root: Path = Path("/")) -> int:
    """Return the bytes that this process can take without swapping: MemAvailable, or less in a container.

    Args:
        root: where /proc and /sys are, for tests.
    """
    system = _meminfo_available(root / "proc/meminfo")
    if system is None:
        system = _physical_bytes() // 2
    group = _cgroup_available(root)
    return system if group is None else min(system, group)


def total_bytes(root: Path = Path("/")) -> int | None:
    """Return the bytes of system memory, or None if the system does not tell."""
    return _meminfo(root / "proc/meminfo").get("MemTotal") or _physical_bytes() or None


def _meminfo(path: Path) -> dict[str, int]:
    """Return the lines of /proc/meminfo in bytes; empty where there is no such file."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in lines if line.endswith("kB"))
    return {name: int(value.split()[0]) * 1024 for name, value in pairs}


def _meminfo_available(path: Path) -> int | None:
    return _meminfo(path).get("MemAvailable")


def _physical_bytes() -> int:
    """Return the system's memory where there is no /proc (macOS); half of it counts as available."""
    if sys.platform == "win32":
        return 0
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _cgroup_available(root: Path) -> int | None:
    """Return what the tightest memory limit above this process leaves, or None without one.

    Page cache that the kernel can drop does not count as used (cgroup v2: memory.stat inactive_file).
    """
    left: list[int] = []
    for folder in _cgroup_folders(root):
        limit = _number(folder / "memory.max") or _number(folder / "memory.limit_in_bytes")
        if limit is None or limit >= 1 << 60:  # version 1 writes "no limit" as a huge number
            continue
        used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes") or 0
        left.append(max(0, limit - used + _inactive_file(folder / "memory.stat")))
    return min(left, default=None)


def _cgroup_folders(root: Path) -> list[Path]:
    """Return the control-group folders of this process, from its own up to the top, for both versions."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    folders: list[Path] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory") and "memory" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        own = top / path.lstrip("/")
        folders += [own, *(p for p in own.parents if p == top or top in p.parents)]
    return folders


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _inactive_file(path: Path) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(x.split()[1]) for x in lines if x.split()[0] in ("inactive_file", "total_inactive_file")), 0)
