"""What comes out of a comparison: counts, regressions, frame, JSON, and the table that 80 columns hold."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from dataclasses import fields, replace
from typing import Any

import pytest

from bandmark.comparison import Side
from bandmark.comparison.table import CaseComparison, Comparison, show_comparison
from comparison_cases import make_case, make_comparison


def case(**changes: Any) -> CaseComparison:
    """Return a case with changes."""
    return make_case(**{"baseline_gbs": 100.04, **changes})


def comparison(*cases: CaseComparison, **changes: Any) -> Comparison:
    """Return a comparison of these cases."""
    found = make_comparison(*cases)
    (run,) = found.baseline.runs
    sides = {"baseline": Side(label="old", runs=(run, run)), "candidate": replace(found.candidate, label="new.txt")}
    return replace(found, **{**sides, **changes})


def shown(found: Comparison) -> str:
    """Return what a pipe gets."""
    with redirect_stdout(io.StringIO()) as out:
        show_comparison(found)
    return out.getvalue()


def row(**changes: Any) -> list[str]:
    """Return the words of the line that shows a case."""
    (line,) = [text for text in shown(comparison(case(**changes))).splitlines() if text.startswith("triad")]
    return line.split()


def test_a_line() -> None:
    """A line has the case, both bandwidths with four figures, the change, its interval and the verdict."""
    assert row() == ["triad", "numpy", "f64", "100.0", "94.00", "-6.0%", "-8.9%", "to", "-3.1%", "SLOWER"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ratio": 0.99999}, ["+0.0%"]),
        ({"ratio": 3.014, "ratio_low": 2.9, "ratio_high": 3.1}, ["x3.01", "x2.90", "to", "x3.10"]),
        ({"ratio_low": None, "ratio_high": None}, ["-6.0%", "unknown"]),
        ({"ratio_low": 0.11, "ratio_high": 9.99}, ["-89.0%", "to", "x9.99"]),
        ({"ratio_low": 0.0, "ratio_high": None}, ["<-90%", "to", ">x10"]),
        ({"ratio_low": 3.8e-7, "ratio_high": 2622633.0}, ["<-90%", "to", ">x10"]),
        ({"candidate_gbs": None, "ratio": None, "ratio_low": None}, ["-", "-", "unknown"]),
        ({"candidate_gbs": 7413.6, "baseline_gbs": 0.012345}, ["0.01235", "7414"]),
        ({"backend": None, "dtype": None}, ["-", "any"]),
        ({"weight_format": "mxfp4"}, ["mxfp4"]),
    ],
)
def test_cells(changes: dict[str, Any], words: list[str]) -> None:
    """Unknown is a dash, twice as fast is a factor, and no change has no minus sign."""
    assert " ".join(words) in " ".join(row(**changes))


def test_footnotes_say_what_to_do() -> None:
    """Reasons of UNCLEAR cases stand once below the table, with the next step; other verdicts have no footnote."""
    unclear = {"verdict": "UNCLEAR", "reason": "too few [runs]", "next_step": "measure more"}
    text = shown(comparison(case(), case(**unclear), case(kernel="copy", **unclear)))
    assert text.count("1: too few [runs]. Next: measure more") == 1 and "2:" not in text
    assert [line.split()[-1] for line in text.splitlines() if "UNCLEAR " in line and "cases" not in line] == ["1", "1"]


def test_piped_output() -> None:
    """Piped output is plain text with a line a note, and its table has 80 columns with the longest figures too."""
    figures = {"ratio": 0.5, "ratio_low": 0.411, "ratio_high": 0.699, "verdict": "UNCLEAR", "next_step": "x " * 100}
    wide = case(kernel="gemv_mxfp4", weight_format="mxfp4", **figures)
    text = shown(comparison(wide, across_devices=True, notes=("n " * 100,), history=tuple("abcd")))
    (row,) = [line for line in text.splitlines() if "gemv_mxfp4" in line]
    assert len(row) <= 80 and "UNCLEAR" in row and "-50.0%" in row
    assert f"note: {'n ' * 100}".strip() in text.splitlines() and "\x1b" not in text


def test_heading_and_summary() -> None:
    """The heading says what was compared, the summary counts verdicts and names the stored runs."""
    found = comparison(case(), case(verdict="SAME"), case(verdict="SAME"), history=("a", "b", "c", "d"))
    lines = shown(found).splitlines()
    assert lines[:2] == [
        "baseline   old: 2 runs on Fake GPU (fake-1)",
        "candidate  new.txt: 1 run of STREAM on device not named",
    ]
    assert lines[-2].startswith("3 cases: 1 SLOWER, 2 SAME. ")
    assert "4 stored runs: a, b, c and 1 more" in lines[-2]


def test_legend_names_statistic_and_margin() -> None:
    """The legend says which time was taken and what the margin is."""
    plain, best = shown(comparison(case())), shown(comparison(case(), statistic="best", margin=0.005))
    assert "median time" in plain and "within 2 %" in plain
    assert "shortest time" in best and "over 0.5 %" in best


def test_peaks_between_devices() -> None:
    """Between devices a second table compares the percentages of their peaks; on one device there is none."""
    peaks = {
        "baseline_percent_of_peak": 80.0,
        "candidate_percent_of_peak": 40.04,
        "peak_ratio": 0.5,
        "peak_verdict": "SLOWER",
        "verdict": "FASTER",
    }
    text = shown(comparison(case(**peaks), across_devices=True))
    assert "Of each device's own peak" in text and "Of their own peaks: 1 SLOWER" in text
    assert "triad  numpy   f64      80.0%     40.0% -50.0% SLOWER" in text
    assert "own peak" not in shown(comparison(case()))


def test_a_models_matrix_is_named() -> None:
    """It stands for the kernel, as long as it is."""
    for name in ("expert gate_up", "expert+shared gate_up"):
        text = shown(comparison(case(kernel="gemv", layer=f"deepseek-v3 {name}", weight_format="mxfp4")))
        lines = text.split("verdict notes\n")[1].split("\n\n")[0].splitlines()
        assert [line.split(" numpy")[0].strip() for line in lines] == [name]
        assert "mxfp4" in text and "…" not in text


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
