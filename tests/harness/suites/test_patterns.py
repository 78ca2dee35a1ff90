"""The suite patterns: its cases, what it says, and a real run."""

from __future__ import annotations

from pathlib import Path

import pytest

from bandmark.cli.app import main
from bandmark.options import RunOptions
from bandmark.results.files import read_rows
from bandmark.suites import SUITES
from fakes import FakeBackend, make_result, make_target

SUITE = SUITES["patterns"]


@pytest.mark.parametrize("threads", [1, 3, 8])
@pytest.mark.parametrize("size", [1, 100_000, 2**28])
def test_cases_follow_from_their_rows(threads: int, size: int) -> None:
    """Strides of 1 to 64 elements, granules of 4 to 128 bytes; each thread's array is a power of two of the size."""
    backend = FakeBackend(threads=threads, routines={"patterns": type("Routine", (), {"has_all": True})})
    [group] = SUITE.plan(RunOptions(size_bytes=size), make_target([backend], address="cpu"))
    assert len(group.cases) == 7 + 2 * 6
    for case in group.cases:
        columns = case.columns
        assert columns["working_set_bytes"] <= max(size, threads * 2**14)
        assert (columns["working_set_bytes"] // threads).bit_count() == 1
        assert columns["bytes_read"] + columns["bytes_written"] <= columns["working_set_bytes"]
        assert SUITE.case_columns(make_result(**{**columns, "system": "box"})) == columns


def test_without_a_backend_that_has_it_a_row_for_each_kernel() -> None:
    """They say what is needed."""
    [group] = SUITE.plan(RunOptions(), make_target([FakeBackend()]))
    assert [case.columns["kernel"] for case in group.cases] == ["read", "gather", "scatter"]
    assert all("numba" in (case.skip_reason or "") for case in group.cases)


def test_the_granule_that_reaches_half() -> None:
    """It is the least that does, beside reads of all elements one after the other."""
    figures = {("read", "stride-1"): 20.0, ("read", "stride-8"): 3.0, ("scatter", "granule-128"): 9.0}
    figures |= {("gather", f"granule-{granule}"): granule / 5 for granule in (4, 32, 64, 128)}
    rows = [
        make_result(suite="patterns", kernel=k, pattern=p, backend="numba", bandwidth_gbs=v)
        for (k, p), v in figures.items()
    ]
    assert SUITE.headline(rows) == (
        "numba gather: half of the sequential 20.00 GB/s from 64 bytes on\n"
        "numba scatter: half of the sequential 20.00 GB/s not up to 128 bytes"
    )
    curve = SUITE.curve(rows)
    assert curve is not None and curve.points["numba gather"][0] == (4.0, 0.8)
    assert SUITE.headline(rows[1:]) is None


def test_a_real_run_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pattern is verified and replayed, with the share of a line that it uses."""
    monkeypatch.chdir(tmp_path)
    command = ["run", "--suite", "patterns", "--device", "cpu", "--backend", "numba", "--quick", "--size", "1MiB"]
    assert main([*command, "--output", "a.csv"]) in (0, 3)
    rows = read_rows(Path("a.csv"))
    assert len(rows) == 19 and all(row.verified and row.line_utilization for row in rows)
    assert main(["validate", "a.csv"]) == 0
