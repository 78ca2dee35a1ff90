"""The suite scaling: numbers of threads, and which of them saturates."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from bandmark.cli.app import main
from bandmark.device.cpu import usable_cpus
from bandmark.options import RunOptions
from bandmark.results.files import read_rows
from bandmark.suites import SUITES, kernels, scaling
from bandmark.suites.scaling import Scaling
from fakes import FAKE_GPU, FakeBackend, make_result, make_target


@pytest.mark.parametrize(
    ("threads", "counts"), [(1, [1]), (2, [1, 2]), (16, [*range(1, 17)]), (128, [*range(8, 129, 8)])]
)
def test_every_number_of_threads_up_to_sixteen_numbers(threads: int, counts: list[int]) -> None:
    """One and all are always among them up to sixteen."""
    device = replace(FAKE_GPU, kind="cpu")
    backend = FakeBackend(threads=threads, device=device, routines={"scaling": type("Routine", (), {"has_all": True})})
    groups = Scaling().plan(RunOptions(size_bytes=80_000), make_target([backend], address="cpu"))
    for group in groups:
        assert [case.columns["threads"] for case in group.cases] == counts
        for case in group.cases:
            row = make_result(**{**case.columns, "system": "box"})
            assert Scaling().case_columns(row) == case.columns


@pytest.mark.parametrize(("suite", "reason"), [("scaling", "--device cpu"), ("patterns", "CuPy on an NVIDIA GPU")])
def test_the_reason_without_a_backend_names_what_can(suite: str, reason: str) -> None:
    """On a GPU the suite of threads asks for a CPU, and those that CuPy has for CuPy: once a kernel."""
    groups = SUITES[suite].plan(RunOptions(size_bytes=80_000), make_target([FakeBackend(name="torch")]))
    reasons = [case.skip_reason or "" for group in groups for case in group.cases]
    assert len(reasons) == len(SUITES[suite].kernel_names) and all(reason in text for text in reasons)


def test_the_number_that_saturates() -> None:
    """It is the least that reaches 95 % of the highest bandwidth."""
    rows = [
        make_result(suite="scaling", kernel="read", pattern=f"threads-{n}", threads=n, bandwidth_gbs=gbs)
        for n, gbs in ((1, 10.0), (2, 19.0), (3, 28.9), (4, 30.0))
    ]
    assert Scaling().headline(rows) == "numpy read: 3 of 4 threads reach 95 % of 30.00 GB/s"
    curve = Scaling().curve(rows)
    assert curve is not None and len(curve.points["numpy read"]) == 4


def test_kinds_have_rows_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each alone, one after the other, and all together as before; the case follows from its row."""
    monkeypatch.setattr(scaling, "by_kind", lambda processors: {"cores-P": [0, 1], "cores-E": [2]})
    device = replace(FAKE_GPU, kind="cpu")
    backend = FakeBackend(threads=3, device=device, routines={"scaling": type("Routine", (), {"has_all": True})})
    groups = Scaling().plan(RunOptions(size_bytes=80_000), make_target([backend], address="cpu"))
    assert [len(group.cases) for group in groups] == [3, 2, 3, 2]
    assert [group.in_turns for group in groups] == [True, False, True, False]
    wanted = [("cores-P", 2, "cpu 0-1"), ("cores-E", 1, "cpu 2")]
    assert [tuple(map(c.columns.get, ("pattern", "threads", "cpus"))) for c in groups[1].cases] == wanted
    for case in groups[1].cases:
        assert Scaling().case_columns(make_result(**{**case.columns, "system": "box"})) == case.columns
    rows = [
        make_result(suite="scaling", kernel="read", pattern=p, threads=n, bandwidth_gbs=gbs)
        for p, n, gbs in (("cores-E", 9, 99.0), ("threads-1", 1, 9.0), ("threads-3", 3, 30.0))
    ]
    headline = "numpy read: 3 of 3 threads reach 95 % of 30.00 GB/s\nnumpy read: cores-E alone reaches 99.00 GB/s"
    assert Scaling().headline(rows) == headline
    assert "on" in [column.title for column in Scaling().table_columns(rows)]
    assert "on" not in [column.title for column in Scaling().table_columns(rows[1:])]


@pytest.mark.parametrize("backend", ["numpy", pytest.param("numba", marks=pytest.mark.slow)])
def test_a_real_run_of_kinds_is_valid(backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of kinds are verified, name their processors and are replayed, and their threads have ended."""
    monkeypatch.chdir(tmp_path)
    first, last = min(usable_cpus()), max(usable_cpus())
    monkeypatch.setattr(scaling, "by_kind", lambda processors: {"node-0": [first], "node-1": [last]})
    monkeypatch.setattr(kernels, "_QUICK_SUITE_S", 0.4)
    command = ["run", "--suite", "scaling", "--device", "cpu", "--backend", backend, "--quick", "--size", "1MiB"]
    before = threading.active_count()
    assert main([*command, "--output", "a.csv"]) in (0, 3)
    assert threading.active_count() == before
    rows = {(row.kernel, row.pattern): row for row in read_rows(Path("a.csv"))}
    assert rows["read", "node-1"].cpus == f"cpu {last}" and rows["read", "node-1"].verified
    assert main(["validate", "a.csv"]) == 0


@pytest.mark.slow
def test_a_real_run_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread, and each added one, over the same arrays: verified and replayed."""
    monkeypatch.chdir(tmp_path)
    command = ["run", "--suite", "scaling", "--device", "cpu", "--backend", "numba", "--quick", "--size", "1MiB"]
    assert main([*command, "--output", "a.csv"]) in (0, 3)
    rows = read_rows(Path("a.csv"))
    assert max(row.threads or 0 for row in rows) == len({*usable_cpus()}) or len(usable_cpus()) > 2
    assert all(row.verified for row in rows)
    assert main(["validate", "a.csv"]) == 0
