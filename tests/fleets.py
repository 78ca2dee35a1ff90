"""Pretend members of a fleet, and folders of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from bandmark.judge.expectations import Hardware
from bandmark.session.ranks import Figure, Member, Ticket
from stored_runs import stored_run, write

CASE = "cupy gemv float32"
HARDWARE = Hardware(device="NVIDIA GB10", memory_gib=119, driver="580.95")


def figure(value: float | None, **more: Any) -> Figure:
    """A figure in GB/s."""
    usual: dict[str, Any] = {"unit": "GB/s", "higher_is_better": True, "status": "ok", "reason": None, "verdict": None}
    return Figure(value=value, **{**usual, **more})


def member(
    number: int, gbs: float = 230.0, *, run: int = 1, facts: dict[str, str] | None = None, **more: Any
) -> Member:
    """A member on a node of its own, with one case that differs a little from node to node."""
    ticket = Ticket(node=f"node{number}", rank=number, job=f"job{run}", device_id=f"{number:012x}")
    return Member(
        ticket=replace(ticket, **{k: more.pop(k) for k in ("world", "job", "rank") if k in more}),
        run_id=f"202611{run:02d}T101500Z-{number % 65536:04x}",
        hardware=more.pop("hardware", HARDWARE),
        facts=facts or {"bios": "5.36", "kernel": "6.14"},
        figures=more.pop("figures", None) or {CASE: figure(gbs * (1 + 0.001 * (number % 7 - 3)))},
        **more,
    )


def folder_of(folder: Path, count: int, slow: int = 0) -> Path:
    """Write pairs and tickets of ranks into a folder; the first so many are 30 % slower."""
    folder.mkdir(parents=True, exist_ok=True)
    record, rows = stored_run()
    template, text = write(folder, record, rows), json.dumps(record.to_json(), indent=1)
    lines = template.read_text()
    for suffix in (".csv", ".json"):
        template.with_suffix(suffix).unlink()
    slower = lines.splitlines()
    header = slower[0].split(",")
    for at, line in enumerate(slower[1:], start=1):
        cells = line.split(",")
        cells[header.index("bandwidth_gbs")] = f"{0.7 * float(cells[header.index('bandwidth_gbs')]):.9g}"
        slower[at] = ",".join(cells)
    for rank in range(count):
        stem = folder / f"rank{rank:05d}-{rank:012x}-{record.run_id}"
        stem.with_suffix(".csv").write_text("\n".join(slower) + "\n" if rank < slow else lines)
        stem.with_suffix(".json").write_text(text)
        ticket = {"node": f"node{rank}", "rank": rank, "world": count, "job": "7", "device_id": f"{rank:012x}"}
        stem.with_suffix(".node").write_text(json.dumps(ticket))
    return folder
