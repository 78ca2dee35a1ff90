"""What comes out of a comparison: counts, regressions, frame and JSON."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest

from bandmark.comparison.verdict import CaseComparison
from comparison_cases import make_case, make_comparison


def case_of(ratio: float | None, verdict: str, **changes: Any) -> CaseComparison:
    """Return a case with this ratio and verdict."""
    figures = {
        "candidate_gbs": None if ratio is None else 100.0 * ratio,
        "ratio": ratio,
        "ratio_low": None if ratio is None else ratio - 0.01,
        "ratio_high": None if ratio is None else ratio + 0.01,
        "next_step": "do this" if verdict == "UNCLEAR" else None,
    }
    return make_case(verdict=verdict, **figures, **changes)


MIXED = (
    case_of(0.96, "SLOWER"),
    case_of(0.90, "SLOWER", peak_verdict="FASTER"),
    case_of(0.5, "UNCLEAR"),
    case_of(None, "UNCLEAR"),
    case_of(1.1, "FASTER"),
)


def test_counts() -> None:
    """Every verdict is counted, those that do not occur as zero."""
    found = make_comparison(*MIXED)
    assert found.count() == {"FASTER": 1, "SLOWER": 2, "SAME": 0, "UNCLEAR": 2}
    assert found.count("peak_verdict") == {"FASTER": 1, "SLOWER": 0, "SAME": 0, "UNCLEAR": 0}
    assert list(found.count()) == ["FASTER", "SLOWER", "SAME", "UNCLEAR"]


@pytest.mark.parametrize(("beyond", "ratios"), [(0.0, [0.96, 0.90]), (0.05, [0.90]), (0.2, [])])
def test_regressions(beyond: float, ratios: list[float]) -> None:
    """A regression is a SLOWER beyond the fraction; an UNCLEAR is none, however slow it looks."""
    assert [case.ratio for case in make_comparison(*MIXED).regressions(beyond)] == ratios


def test_frame() -> None:
    """The frame has a row per case and the fields of CaseComparison as columns."""
    frame = make_comparison(*MIXED).frame()
    assert list(frame.columns) == [field.name for field in fields(CaseComparison)]
    assert list(frame["verdict"]) == ["SLOWER", "SLOWER", "UNCLEAR", "UNCLEAR", "FASTER"]
    assert frame["ratio"].isna().sum() == 1


def test_json() -> None:
    """The JSON is strict and holds the sides, every case and the notes."""
    found = make_comparison(*MIXED, notes=("a note",), history=("h1",)).as_json()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["baseline"] == {
        "label": "old",
        "runs": ["r1"],
        "tools": ["bandmark"],
        "systems": ["fake-1"],
        "devices": ["Fake GPU"],
    }
    assert found["candidate"]["tools"] == ["STREAM"] and len(found["cases"]) == 5
    assert found["count"]["SLOWER"] == 2 and found["notes"] == ["a note"] and found["history"] == ["h1"]
