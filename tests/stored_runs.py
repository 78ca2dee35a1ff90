"""A stored run without a device: outcomes with random samples, their rows, and the record that holds them."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bandmark import __version__
from bandmark.device.device import Device
from bandmark.device.machine import read_machine
from bandmark.device.peaks import find_peak
from bandmark.measure.measurement import Measurement
from bandmark.results.files import to_csv
from bandmark.results.record import RunRecord
from bandmark.results.row import SCHEMA, Row
from bandmark.session.rows import Outcome, build_rows
from bandmark.suites import SUITES
from bandmark.suites.base import RunFacts
from bandmark.suites.selection import kernel_columns
from bandmark_kernels import DTYPES, KERNELS, Shape

DEVICE = Device(kind="cpu", name="Fake CPU", memory_bytes=64 * 2**30, llc_bytes=32 * 2**20)


def stored_run(
    *, kernels: tuple[str, ...] = ("copy", "read", "gemv"), gbs: float = 40.0, samples: int = 24, seed: int = 1
) -> tuple[RunRecord, list[Row]]:
    """Return a run record and its rows: every kernel on NumPy in float64, at about `gbs` with 1 % of noise."""
    rng = random.Random(seed)
    peak = find_peak(DEVICE, "76.8")
    libraries = {"numpy": {"version": "2.4.6", "driver": None, "threads": 2}}
    facts = RunFacts(
        run_id="20261127T101500Z-3f2a",
        system="fake-system",
        version=__version__,
        device=DEVICE,
        peak=peak,
        data="random",
        caches={},
        libraries=libraries,
    )
    outcomes = [_outcome(name, gbs, samples, rng) for name in kernels]
    record = RunRecord(
        schema=SCHEMA,
        run_id=facts.run_id,
        bandmark_version=__version__,
        started_utc="2026-11-27T10:15:00Z",
        finished_utc=f"{datetime(2026, 11, 27, 10, 25, tzinfo=UTC):%Y-%m-%dT%H:%M:%SZ}",
        system=facts.system,
        complete=True,
        settings={"data": "random", "kernels": list(kernels), "backends": None, "dtypes": ["float64"], "threads": 2},
        machine=replace(read_machine(), cpu_count=2, cpu_usable=2),
        device=DEVICE,
        backends=libraries,
        peak=peak,
        notes=[],
        samples=[o.measurement.to_entry(o.columns) for o in outcomes if o.measurement],
        rows=len(outcomes),
    )
    return record, build_rows(outcomes, facts)


def _outcome(name: str, gbs: float, samples: int, rng: random.Random) -> Outcome:
    kernel, dtype = KERNELS[name], DTYPES["float64"]
    shape = Shape(8192, m=8192) if kernel.is_matrix else Shape(2**26)
    columns: dict[str, Any] = {**kernel_columns(kernel, dtype, shape), "backend": "numpy"}
    seconds = (columns["bytes_read"] + columns["bytes_written"]) / gbs / 1e9
    measurement = Measurement(
        seconds_per_launch=[float(f"{seconds * rng.gauss(1, 0.01):.9g}") for _ in range(samples)],
        launches_per_sample=1,
        stop_reason="converged",
        max_error=0.25,
        copies=1,
        started_utc="2026-11-27T10:15:01Z",
    )
    return Outcome(suite=SUITES["bandwidth"], columns=columns, measurement=measurement)


def write(folder: Path, record: RunRecord, rows: list[Row]) -> Path:
    """Write a run's two files and return the CSV."""
    csv = folder / f"{record.run_id}.csv"
    csv.write_text(to_csv(rows))
    csv.with_suffix(".json").write_text(json.dumps(record.to_json(), indent=1) + "\n")
    return csv
