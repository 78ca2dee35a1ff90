"""Runs for tests of reports: of every status, with and without samples, and with names that try to be markup."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bandmark.reports import ReportRun
from bandmark.results.files import RunFiles
from bandmark.results.row import SCHEMA, STATUSES, Row
from bandmark.suites.base import Metric, Suite, TableColumn
from fakes import make_result


class Latency(Suite):
    """A suite that bandmark does not have: times, of which the lowest is the best, and no published peaks."""

    name = "access-time"
    title = "latency of a pointer chase"
    metric = Metric(name="latency", column="time_median_s", unit="s", higher_is_better=False)
    kernel_names = ("chase", "hop")

    def table_columns(self, rows: Sequence[Row]) -> tuple[TableColumn, ...]:
        """Return two columns."""
        time = TableColumn(title="s", text=lambda row: f"{row.time_median_s:g}")
        return TableColumn(title="kernel", text=lambda row: row.kernel, left=True), time


HOSTILE = '</title><script src="http://x.test/a.js">alert(1)</script><img src=x onerror=alert(1)>&amp;"\'$x^{2$|`[a](b)'
"""Text that breaks out of an element, an attribute, a formula and a Markdown table, if it is let."""

TIMES = (0.9e-3, 1e-3, 1.5e-3)


def rows(**changes: Any) -> list[Row]:
    """Rows of two kernels and three backends, with percentages."""
    known = {"percent_of_dgx_spark": 8.8, "percent_of_rtx_pro_5000": 1.8, "percent_of_dgx_station": 0.3, **changes}
    return [
        make_result(**{"kernel": kernel, "backend": backend, "bandwidth_gbs": gbs, **known})
        for kernel in ("copy", "read")
        for backend, gbs in (("numpy", 20.0), ("torch", 22.0), ("cupy", 24.0))
    ]


def of_every_status() -> list[Row]:
    """A row of each status; those without a figure have none."""
    return [
        make_result(
            status=status,
            variant=f"v{number}",
            reason=None if status == "ok" else f"because of {status}",
            bandwidth_gbs=20.0 if status in ("ok", "suspect") else None,
        )
        for number, status in enumerate(STATUSES)
    ]


def layers() -> ReportRun:
    """A run of two matrices of a model: 300 bytes in 10 ms and 100 bytes in 1 ms a step."""
    named = {"kernel": "gemv", "suite": "gemv", "bytes_read": 100, "bytes_written": 0, "m": 6144}
    first = make_result(**named, n=4096, layer="tiny qkv", layer_uses=10, time_median_s=1e-3)
    second = make_result(**named, n=1024, layer="tiny lm_head", layer_uses=1, time_median_s=1e-3)
    return ReportRun((first, second))


def hostile() -> ReportRun:
    """A run all of whose texts are markup."""
    texts = dict.fromkeys(
        ("system", "device", "run_id", "backend", "kernel", "dtype", "variant", "reason", "peak_source"), HOSTILE
    )
    texts |= dict.fromkeys(
        ("backend_version", "driver", "bandmark_version", "verdict", "weight_format", "layer"), HOSTILE
    )
    made = [make_result(**texts, status=s, bandwidth_gbs=3.0, peak_gbs=9.0) for s in ("ok", "suspect")]
    record = {"notes": [HOSTILE], "machine": {"python_version": HOSTILE, "kernel": HOSTILE}, "started_utc": HOSTILE}
    return ReportRun(tuple(made), record, {0: TIMES, 1: TIMES})


def entry(row: Row, seconds: Any = TIMES) -> dict[str, Any]:
    """The samples of a row as they stand in a JSON."""
    names = ("backend", "kernel", "dtype", "variant")
    return {
        **{name: getattr(row, name) for name in names},
        "launches_per_sample": 1,
        "seconds_per_launch": list(seconds),
    }


def save(path: Path, made: list[Row], *, with_json: bool = True, **record: Any) -> Path:
    """Write a run as bandmark does, its JSON with a sample entry per row."""
    known = {"schema": SCHEMA, "run_id": made[0].run_id, "samples": [entry(row) for row in made], **record}
    RunFiles(path).save(made, known)
    if not with_json:
        path.with_suffix(".json").unlink()
    return path
