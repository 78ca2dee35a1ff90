"""Claims of the documentation are judged by what the steps of a full self-test left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bandmark.results.files import to_csv
from bandmark.results.row import Row
from bandmark.selftest.claims import CLAIMS, PROFILE, WORDS, Codes
from bandmark.selftest.full import STEPS
from fakes import make_result
from foreign_files import ncu_log


def verdicts(folder: Path, ended: Codes) -> dict[str, tuple[str, str]]:
    """Return the word and the figures of each claim by its first words."""
    judged = {claim.text: claim.verdict(folder, ended) for claim in CLAIMS}
    return {" ".join(text.split()[:3]): (WORDS[holds], figures) for text, (holds, figures) in judged.items()}


def write(folder: Path, name: str, *rows: Row) -> None:
    """Write the rows of a step."""
    (folder / f"{name}.csv").write_text(to_csv(rows), encoding="utf-8")


def gpu_row(**changes: Any) -> Row:
    """Return a sound row of a GPU."""
    return make_result(**({"backend": "cupy", "kernel": "copy", "samples": 30, "percent_of_peak": 91.0} | changes))


def test_an_empty_folder_tells_nothing(tmp_path: Path) -> None:
    """Without a step no claim is confirmed or refuted."""
    assert {word for word, _ in verdicts(tmp_path, {}).values()} == {"not tried"}


def test_sound_steps_confirm(tmp_path: Path) -> None:
    """Rows that are verified, normal, plausible and as fast as torch's, true bytes, clean tools and a passed page."""
    normal = gpu_row(bandwidth_gbs=3000.0, verdict="normal for HBM3 (88-94 %)")
    write(tmp_path, "all", normal, gpu_row(backend="torch", bandwidth_gbs=3010.0))
    (tmp_path / "claims.csv").write_text("label,launches,read,written\ncopy v16,1,1000,1000\n")
    (tmp_path / PROFILE).write_text(ncu_log((1010, 990)))
    (tmp_path / "selftest.txt").write_text("PASS  copy               70 right\nPASS  registers          0 of 9 spill\n")
    found = verdicts(tmp_path, {"all": 0, "memcheck": 0, "racecheck": 0})
    assert {word for word, _ in found.values()} == {"confirmed"}, found
    assert found["No kernel spills"][1].startswith("registers") and "0 of 9" in found["No kernel spills"][1]


@pytest.mark.parametrize(
    ("claim", "rows", "words"),
    [
        ("Every row's output", [gpu_row(status="error", reason="boom", bandwidth_gbs=None)], "1 of 1 rows wrong: copy"),
        ("Each row of", [gpu_row(), gpu_row(kernel="read", samples=7)], "7 samples"),
        ("No figure is", [gpu_row(percent_of_peak=103.0)], "103.0 %"),
        ("Percentages of the", [gpu_row(verdict="low for HBM3 (88-94 %)")], "1 of 1 rows are low: copy"),
        ("The CUDA kernels", [gpu_row(bandwidth_gbs=2900.0), gpu_row(backend="torch", bandwidth_gbs=3e3)], "2900 GB/s"),
    ],
)
def test_a_row_refutes(tmp_path: Path, claim: str, rows: list[Row], words: str) -> None:
    """One row is enough, and the figures name it."""
    write(tmp_path, "all", *rows)
    word, figures = verdicts(tmp_path, {"all": 1})[claim]
    assert word == "refuted" and words in figures


def test_bytes_tools_and_the_page_refute(tmp_path: Path) -> None:
    """Sectors that are read twice, an error of a sanitizer, and a failed line of the self-test."""
    (tmp_path / "claims.csv").write_text("label,launches,read,written\ngemv v16,1,1000,0\n")
    (tmp_path / PROFILE).write_text(ncu_log((1100, 0)))
    (tmp_path / "selftest.txt").write_text("PASS  copy               70 right\nFAIL  registers          2 of 9 spill\n")
    found = verdicts(tmp_path, {"memcheck": 9, "racecheck": None})
    assert found["Kernels move the"] == (
        "refuted",
        "1 of 1 launches move more; gemv v16: read 1.100, written 0.000 of the claim",
    )
    assert found["Kernels stay in"] == ("refuted", "memcheck 9")
    assert found["Every check of"][0] == found["No kernel spills"][0] == "refuted"


def test_a_profile_hides_no_wrong_row(tmp_path: Path) -> None:
    """The profiler's log is no result of a step, whatever else the folder holds."""
    write(tmp_path, "all", gpu_row(status="error", reason="boom", bandwidth_gbs=None))
    (tmp_path / PROFILE).write_text(ncu_log((1, 1)))
    assert verdicts(tmp_path, {"all": 1, "ncu": 0})["Every row's output"][0] == "refuted"
    assert PROFILE not in {f"{step.name}.csv" for step in STEPS}


def test_a_sanitizer_that_does_not_run_tells_nothing(tmp_path: Path) -> None:
    """Exit codes of its own are no findings."""
    assert verdicts(tmp_path, {"memcheck": 1})["Kernels stay in"] == ("not tried", "memcheck 1")


def test_a_damaged_file_leaves_a_claim_open(tmp_path: Path) -> None:
    """What can't be read neither confirms nor refutes, and the figures say why."""
    (tmp_path / "all.csv").write_text("not a result\n")
    word, figures = verdicts(tmp_path, {"all": 0})["Each row of"]
    assert word == "not tried" and "all.csv" in figures
