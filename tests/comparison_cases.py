"""Comparisons made up for tests of what becomes of them: a case and a whole, with changes."""

from __future__ import annotations

from typing import Any

from bandmark.comparison import Run, Side
from bandmark.comparison.table import CaseComparison, Comparison


def make_case(**changes: Any) -> CaseComparison:
    """Return a triad that became slower, with changes."""
    plain: dict[str, Any] = {
        "kernel": "triad",
        "backend": "numpy",
        "dtype": "float64",
        "weight_format": None,
        "variant": None,
        "m": None,
        "n": 1000,
        "baseline_gbs": 100.0,
        "candidate_gbs": 94.0,
        "ratio": 0.94,
        "ratio_low": 0.911,
        "ratio_high": 0.969,
        "verdict": "SLOWER",
        "reason": "because",
        "next_step": None,
        "baseline_runs": 3,
        "candidate_runs": 3,
        "spread": 0.004,
    }
    return CaseComparison(**{**plain, **changes})


def make_comparison(*cases: CaseComparison, **changes: Any) -> Comparison:
    """Return a comparison of a run of ours and one of another tool, with these cases and changes."""
    plain: dict[str, Any] = {
        "baseline": Side(label="old", runs=(Run(name="r1", figures=(), system="fake-1", device="Fake GPU"),)),
        "candidate": Side(label="new", runs=(Run(name="r2", figures=(), tool="STREAM"),)),
        "statistic": "median",
        "margin": 0.02,
        "across_devices": False,
        "cases": cases,
        "history": (),
        "notes": (),
    }
    return Comparison(**{**plain, **changes})
