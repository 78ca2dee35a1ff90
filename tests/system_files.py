"""Pretend /proc and /sys trees."""

from __future__ import annotations

from pathlib import Path


def write(root: Path, files: dict[str, str]) -> Path:
    """Write a tree of files."""
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def cache(cpu: int, index: int, level: int, size: str, shared: str | None, kind: str = "Unified") -> dict[str, str]:
    """The files of one cache of one processor."""
    folder = f"sys/devices/system/cpu/cpu{cpu}/cache/index{index}"
    files = {f"{folder}/level": f"{level}\n", f"{folder}/size": f"{size}\n", f"{folder}/type": f"{kind}\n"}
    return files | ({f"{folder}/shared_cpu_list": f"{shared}\n"} if shared is not None else {})
