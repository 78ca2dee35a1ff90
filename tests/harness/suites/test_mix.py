"""The suite mix: kernels of the table by the share of reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from bandmark.cli.app import main
from bandmark.options import RunOptions
from bandmark.results.files import read_rows
from bandmark.suites import kernels, suite_of
from bandmark.suites.mix import Mix
from fakes import FakeBackend, make_target


def test_the_mixes_go_from_reads_to_writes() -> None:
    """1:0, 3:1, 2:1, 1:1 and 0:1 in float64, whatever --kernel and --dtype say."""
    options = RunOptions(kernels=("dot",), dtypes=("float32",), size_bytes=80_000)
    groups = Mix().plan(options, make_target([FakeBackend()]))
    fractions = sorted(case.columns["read_fraction"] for group in groups for case in group.cases)
    assert fractions == [0.0, 0.5, pytest.approx(2 / 3, rel=1e-3), 0.75, 1.0]
    assert {case.columns["dtype"] for group in groups for case in group.cases} == {"float64"}


@pytest.mark.slow
def test_a_real_run_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows are the suite's own beside those of the same kernels, and follow from their identity."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(kernels, "_QUICK_SUITE_S", 0.4)
    command = ["run", "--suite", "bandwidth,mix", "--kernel", "copy", "--device", "cpu", "--backend", "numba"]
    assert main([*command, "--dtype", "float64", "--quick", "--size", "1MiB", "--output", "a.csv"]) in (0, 3)
    rows = read_rows(Path("a.csv"))
    assert {suite_of(row).name for row in rows} == {"bandwidth", "mix"}
    assert [row.read_fraction for row in rows if row.suite == "mix" and row.kernel == "copy"] == [0.5, 0.5]
    assert main(["validate", "a.csv"]) == 0
