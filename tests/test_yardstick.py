"""The yardstick has a compiled form of each kernel that it is there for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bandmark_kernels import DEFAULT_KERNELS

RUN = Path(__file__).parent / "yardstick" / "run.py"


@pytest.mark.slow
def test_every_kernel_of_a_plain_run_is_compared() -> None:
    """On tiny arrays, whose ratios say nothing, each kernel gets a line in both dtypes, verified on both sides."""
    command = [sys.executable, str(RUN), "--size", "64KiB", "--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = {
        (cells[0], cells[1]) for line in done.stdout.splitlines() if len(cells := line.strip("| ").split(" | ")) > 5
    }
    assert found >= {(name, dtype) for name in DEFAULT_KERNELS for dtype in ("float64", "float32")}
