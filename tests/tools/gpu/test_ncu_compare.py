"""Profiled bytes stand beside the claims that they belong to, launch by launch."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "tools" / "gpu"))

from ncu_compare import compare


def launch(read: int, written: int, ns: int) -> dict[str, str]:
    """A row of Nsight Compute's raw page."""
    figures = (("dram__bytes_read.sum", read), ("dram__bytes_write.sum", written), ("gpu__time_duration.sum", ns))
    return {name: f"{value:,}" for name, value in figures}


def test_launches_of_a_claim_add_up() -> None:
    """A kernel of two launches takes two rows; ratios are over the claim, and what is left over is counted."""
    claims = [
        {"label": "dot", "variant": "v16", "launches": "2", "read": "2000", "written": "0"},
        {"label": "copy", "variant": "v16", "launches": "1", "read": "1000", "written": "1000"},
    ]
    rows = [launch(1500, 0, 900), launch(520, 10, 100), launch(1010, 990, 500), launch(1, 1, 1)]
    dot, copy, rest = compare(claims, rows)
    assert "read  1.0100 x claimed" in dot and dot.endswith("2 GB/s in ncu")
    assert "read  1.0100 x claimed, written  0.9900 x, both  1.0000 x" in copy and "4 GB/s" in copy
    assert rest == "rows left over: 1"
