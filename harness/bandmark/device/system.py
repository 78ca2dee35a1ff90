"""Read the files by which Linux describes a machine: /proc, /sys and the control groups of this process.

A file that is missing, empty or malformed gives None, or nothing, and never an error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_NUMBER = re.compile(r"[0-9]{1,19}")


def read_text(path: Path) -> str | None:
    """Return a file's text without surrounding blanks, None if there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \t\r\n") or None
    except (OSError, ValueError):
        return None


def read_number(path: Path) -> int | None:
    """Return the number that a file holds, None if it holds anything else."""
    return parse_number(read_text(path))


def read_pairs(path: Path, separator: str) -> dict[str, int]:
    """Return the numbers of a file of lines such as "MemTotal: 12 kB", by name and without their unit."""
    pairs = {}
    for line in (read_text(path) or "").splitlines():
        name, _, value = line.partition(separator)
        number = parse_number(value.strip().removesuffix("kB").rstrip())
        if number is not None:
            pairs[name] = number
    return pairs


def parse_number(text: str | None) -> int | None:
    """Return a whole number of at most 19 digits, None for any other text."""
    return int(text) if text is not None and _NUMBER.fullmatch(text) else None


def parse_cpu_list(text: str | None) -> list[int]:
    """Return the processors of a list such as "0-3,8", empty if it is malformed."""
    cpus: set[int] = set()
    for part in (text or "").split(","):
        first, _, last = part.strip().partition("-")
        low, high = parse_number(first), parse_number(last or first)
        if low is None or high is None or not low <= high < 2**16:
            return []
        cpus.update(range(low, high + 1))
    return sorted(cpus)


def format_cpu_list(cpus: Sequence[int]) -> str:
    """Write processors in ascending order as Linux lists them: "0-3,8"."""
    runs: list[list[int]] = []
    for cpu in cpus:
        if runs and cpu == runs[-1][-1] + 1:
            runs[-1][1:] = [cpu]
        else:
            runs.append([cpu])
    return ",".join("-".join(map(str, run)) for run in runs)


def cgroup_folders(root: Path, controller: str) -> list[Path]:
    """Return the folders of this process's control groups for a controller, from its own group up to the top.

    In a container the path may be the host's: then only the top exists, which is the container's own group.
    """
    folders: list[Path] = []
    for line in (read_text(root / "proc/self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if not path.startswith("/") or ".." in parts or "\0" in path:
            parts = []
        for top in _mounts(root / "sys/fs/cgroup", controllers, controller):
            folders += [top.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]
    return folders


def _mounts(mounts: Path, controllers: str, controller: str) -> list[Path]:
    """Return where a hierarchy may be mounted, nothing if it is not the controller's.

    Version 2 has one hierarchy; version 1 has one per controller or list of controllers ("cpu,cpuacct"), whose folder
    may have the name of either.
    """
    if not controllers:
        return [mounts, mounts / "unified"]
    if controller not in controllers.split(","):
        return []
    try:
        return sorted(path for path in mounts.iterdir() if controller in path.name.split(","))
    except OSError:
        return []
