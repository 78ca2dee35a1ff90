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

    In a container the path may be the host's: then only the top exists, which is the container's own group. Without a
    list of groups the process counts as in the top one (version 2).
    """
    folders: list[Path] = []
    for line in (read_text(root / "proc/self/cgroup") or "0::/").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        for top, origin in _mounted(root, controllers, controller) or _usual_mounts(root, controllers, controller):
            parts = _parts(path.removeprefix(origin.rstrip("/")))
            folders += [top.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]
    return folders


def _parts(path: str) -> list[str]:
    """Return the names of an absolute path; nothing for one that leads elsewhere."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return [] if not path.startswith("/") or ".." in parts or "\0" in path else parts


def _mounted(root: Path, controllers: str, controller: str) -> list[tuple[Path, str]]:
    """Return where the hierarchy of a controller is mounted, and which group is the top there (proc(5), mountinfo)."""
    places = []
    for line in (read_text(root / "proc/self/mountinfo") or "").splitlines():
        mount, _, kinds = line.partition(" - ")
        fields, (kind, *others) = mount.split(), kinds.split() or [""]
        is_meant = kind == "cgroup" and controller in ",".join(others).split(",") if controllers else kind == "cgroup2"
        if is_meant and len(fields) > 4:
            places.append((root / fields[4].lstrip("/"), fields[3]))
    return places


def _usual_mounts(root: Path, controllers: str, controller: str) -> list[tuple[Path, str]]:
    """Return where a hierarchy usually is: that of version 2, or those of version 1, named by their controllers."""
    mounts = root / "sys/fs/cgroup"
    if not controllers:
        return [(mounts, "/"), (mounts / "unified", "/")]
    try:
        return [(path, "/") for path in sorted(mounts.iterdir()) if controller in path.name.split(",")]
    except OSError:
        return []
