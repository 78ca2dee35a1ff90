"""Limit the memory that a run may use, so that the machine does not run out of it.

On a DGX Spark running out of memory freezes the whole system instead of returning an error
(NVIDIA/open-gpu-kernel-modules#1358), so the limit is computed beforehand and never found by failing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bandmark.device.system import cgroup_folders, read_number, read_pairs, read_text
from bandmark.units import format_bytes

_MAX_DEFAULT_BYTES = 4 * 2**30  # limit of a case of default size on memory shared with the system
_DEFAULT_SHARE = 0.25  # share of the available system memory that a case of default size may take
_SIZE_SHARE = 0.5  # share of a CPU's available memory that an explicit --size may take; the rest stays with the system
_DEVICE_SHARE = 0.8  # share of a discrete device's free memory that a group of cases may take
_HUGE_FROM = 0.9  # share of a mapping in huge pages from which it counts as lying in them
_NO_LIMIT = 1 << 60  # from here on a limit is none: version 1 of control groups writes a huge number


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """How many bytes the arrays of one case may take, by default and with an explicit --size, and why."""

    default_bytes: int
    limit_bytes: int
    explanation: str


def host_budget(available: int) -> MemoryBudget:
    """Return the budget on a CPU with this much available memory in bytes."""
    share = int(available * _DEFAULT_SHARE)
    return MemoryBudget(
        min(share, _MAX_DEFAULT_BYTES),
        int(available * _SIZE_SHARE),
        f"{format_bytes(available)} of system memory are available, and half of that may be used",
    )


def unified_budget(available: int, device_bytes: int | None = None) -> MemoryBudget:
    """Return the budget on an integrated device, which shares the system's memory (DGX Spark, Jetson).

    device_bytes is how much of that memory the device can reach, if known.
    """
    within = available if device_bytes is None else min(available, device_bytes)
    share = min(int(within * _DEFAULT_SHARE), _MAX_DEFAULT_BYTES)
    return MemoryBudget(
        share,
        share,
        f"{format_bytes(within)} of unified memory are available; a quarter, and at most "
        f"{format_bytes(_MAX_DEFAULT_BYTES)}, may be used, since running out of it freezes such machines",
    )


def device_budget(free: int) -> MemoryBudget:
    """Return the budget on a discrete device with this much free memory in bytes."""
    share = int(free * _DEVICE_SHARE)
    return MemoryBudget(share, share, f"{format_bytes(free)} of device memory are free, and 80 % may be used")


def available_bytes(root: Path = Path("/")) -> int:
    """Return the bytes that this process can take without swapping: MemAvailable, or less in a container."""
    system = _meminfo(root).get("MemAvailable") or _physical_bytes() // 2
    return min([system, *_cgroup_available(root)])


def page_size(address: int | None, root: Path = Path("/")) -> str:
    """Return the size of the pages of memory around an address: 4k, 2m, or mixed; without one, of small pages.

    Linux lists in /proc/self/smaps how much of a mapping lies in huge pages (proc(5), AnonHugePages).
    """
    small = _short_size(os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096)
    huge = read_number(root / "sys/kernel/mm/transparent_hugepage/hpage_pmd_size")
    if address is None or huge is None:
        return small
    share = _huge_share(address, read_text(root / "proc/self/smaps") or "")
    return small if share == 0 else _short_size(huge) if share >= _HUGE_FROM else "mixed"


def _huge_share(address: int, smaps: str) -> float:
    """Return the share of a mapping that lies in huge pages."""
    sizes, inside = dict[str, int](), False
    for line in smaps.splitlines():
        if span := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(span[1], 16) <= address < int(span[2], 16)
        elif inside and (size := re.match(r"(Rss|AnonHugePages): +(\d+) kB", line)):
            sizes[size[1]] = int(size[2])
    return sizes.get("AnonHugePages", 0) / (sizes.get("Rss") or 1)


def _short_size(size: int) -> str:
    return f"{size >> 20}m" if size >= 1 << 20 else f"{size >> 10}k"


def total_bytes(root: Path = Path("/")) -> int | None:
    """Return the bytes of system memory, None if unknown."""
    return _meminfo(root).get("MemTotal") or _physical_bytes() or None


def _meminfo(root: Path) -> dict[str, int]:
    sizes = read_pairs(root / "proc/meminfo", ":")
    return {name: size * 1024 for name, size in sizes.items()}


def _physical_bytes() -> int:
    """Return the system's memory where there is no /proc (macOS), 0 if unknown; half of it counts as available."""
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 0
    return pages * size if pages > 0 and size > 0 else 0


def _cgroup_available(root: Path) -> Iterator[int]:
    """Yield what each memory limit on this process leaves.

    memory.high counts as a limit, since the kernel slows a group down above it. Page cache that the kernel can drop
    does not count as used.
    """
    for folder in cgroup_folders(root, "memory"):
        limits = [read_number(folder / name) for name in ("memory.max", "memory.high", "memory.limit_in_bytes")]
        limit = min((limit for limit in limits if limit is not None), default=_NO_LIMIT)
        if limit >= _NO_LIMIT:
            continue
        used = read_number(folder / "memory.current") or read_number(folder / "memory.usage_in_bytes") or 0
        yield max(0, limit - max(0, used - _inactive_file(folder)))


def _inactive_file(folder: Path) -> int:
    """Return the bytes of page cache that the kernel can drop; in version 1 the total includes the groups below."""
    pairs = read_pairs(folder / "memory.stat", " ")
    return pairs.get("total_inactive_file") or pairs.get("inactive_file") or 0
