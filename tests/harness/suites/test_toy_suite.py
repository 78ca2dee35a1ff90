"""The suite is the unit of growth: a suite that no module knows goes through every command."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import bandmark
from bandmark.backends.select import Target
from bandmark.cli.app import main
from bandmark.measure.sampling import Schedule
from bandmark.results.case import CaseId
from bandmark.results.files import read_rows, to_csv
from bandmark.results.row import columns
from bandmark.session import session as session_module
from bandmark.suites import SUITES, by_suite, metric_of, registered, suite_of
from fakes import FakeBackend, VirtualClock, make_machine, make_result, make_target
from toy_suite import Chase

PENDING: tuple[str, ...] = ()
"""Steps that do not go by suite and metric yet. Each must fail until its module does; then it leaves this list."""


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Chase]:
    """The toy suite on a pretend machine, in an empty folder."""
    clock = VirtualClock()

    def open_target(machine: Any, **asked: Any) -> Target:
        return make_target([FakeBackend(name="numpy", clock=clock)], machine=machine)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(session_module, "read_machine", make_machine)
    monkeypatch.setattr(session_module, "open_target", open_target)
    monkeypatch.setattr(session_module, "Schedule", partial(Schedule, clock=clock))
    suite = Chase()
    with registered(suite):
        assert main(["run", "--suite", "toy", "--quick", "--system", "box", "--output", "a.csv"]) == 0
        yield suite


Text = Callable[[], str]


def run(out: Text, suite: Chase) -> None:
    """The table and the headline are the suite's, and the CSV has its columns at the end."""
    printed = out()
    assert ["backend", "stride", "ns", "notes"] in [line.split() for line in printed.splitlines()]
    assert "memory latency: 100 ns" in printed and "best latency of each kernel, ns: chase 10" in printed
    assert main(["explain", "dependent"]) == 0
    assert "ns: median time of a dependent access." in out()
    assert "GB/s" not in printed.replace("peak: 0.02 GB/s", "")
    cells = list(csv.DictReader(io.StringIO(Path("a.csv").read_text())))
    assert list(cells[0])[-2:] == ["hop_ns", "stride_bytes"]
    assert [row["stride_bytes"] for row in cells] == ["64", "4096"]
    assert [float(row["hop_ns"]) for row in cells] == pytest.approx([10.0, 100.0], rel=0.01)
    entries = json.loads(Path("a.json").read_text())["samples"]
    assert [(entry["stride_bytes"], entry["kernel"]) for entry in entries] == [(64, "chase"), (4096, "chase")]


def run_to_stdout(out: Text, suite: Chase) -> None:
    """With --output - the rows are printed with the suite's columns."""
    out()
    assert main(["run", "--suite", "toy", "--quick", "--output", "-"]) == 0
    assert [row["stride_bytes"] for row in csv.DictReader(io.StringIO(out()))] == ["64", "4096"]


def show(out: Text, suite: Chase) -> None:
    """The stored run shows as it did when it was measured, and its JSON has the suite's columns."""
    printed = out()
    assert main(["show", "a.csv"]) == 0
    assert out() == printed
    assert main(["show", "--json", "a.csv"]) == 0
    assert [row["stride_bytes"] for row in json.loads(out())] == [64, 4096]


def load(out: Text, suite: Chase) -> None:
    """A frame of stored runs has the suite's columns."""
    frame = bandmark.load("a.csv")
    assert frame["stride_bytes"].tolist() == [64, 4096] and str(frame["hop_ns"].dtype) == "float64"


def merge(out: Text, suite: Chase) -> None:
    """Merged rows have the suite's columns, and rows that differ in its identity column are two cases."""
    assert main(["merge", "a.csv", "--output", "all.csv"]) == 0
    rows = read_rows(Path("all.csv"))
    assert rows == read_rows(Path("a.csv"))
    other = [replace(row, extra={**row.extra, "hop_ns": 7.0}) for row in rows]
    Path("other.csv").write_text(to_csv(other))
    assert main(["merge", "a.csv", "other.csv", "--output", "-"]) == 2


def validate(out: Text, suite: Chase) -> None:
    """The run is valid, and a figure that its samples do not give is a violation."""
    assert main(["validate", "a.csv"]) == 0
    text = Path("a.csv").read_text()
    latency = next(csv.DictReader(io.StringIO(text)))["hop_ns"]
    Path("a.csv").write_text(text.replace(f",{latency},", ",7.5,"))
    out()
    assert main(["validate", "a.csv"]) == 2
    assert "hop_ns" in out()


def slower(suite: Chase) -> None:
    """Measure the machine when an access takes twice as long."""
    suite.slowdown = 2.0
    assert main(["run", "--suite", "toy", "--quick", "--system", "box", "--output", "b.csv"]) == 0


def compare(out: Text, suite: Chase) -> None:
    """Twice the latency is SLOWER, in ns, case by case; half of it is FASTER."""
    slower(suite)
    for before, after, verdict in (("a.csv", "b.csv", "SLOWER"), ("b.csv", "a.csv", "FASTER")):
        out()
        assert main(["compare", before, after]) == 0
        printed = out()
        lines = [line for line in printed.splitlines() if verdict in line and "chase" in line]
        assert len(lines) == 2 and "ns" in printed and "GB/s" not in printed
        assert ["64" in lines[0], "4096" in lines[1]] == [True, True]


def compare_frames(out: Text, suite: Chase) -> None:
    """The frame of a comparison has a row per case, told apart by the suite's identity column."""
    slower(suite)
    frame = bandmark.compare("a.csv", "b.csv").frame()
    assert frame["verdict"].tolist() == ["SLOWER", "SLOWER"]
    assert frame["stride_bytes"].tolist() == [64, 4096]


def report(out: Text, suite: Chase) -> None:
    """A report of the run, as a page and as Markdown, has the suite's figures in the suite's unit."""
    out()
    for kind in ("md", "html"):
        assert main(["report", "a.csv", "--as", kind, "--output", "-"]) == 0
        printed = out()
        assert "stride" in printed and "ns" in printed and "4096" in printed
        assert any(figure in printed for figure in ("99.9", "100"))
        assert not [line for line in printed.splitlines() if line.startswith("|") and "GB/s" in line]


STEPS = (run, run_to_stdout, show, load, merge, validate, compare, compare_frames, report)


def step_parameters() -> list[Any]:
    """The steps; those that are pending must fail."""
    names = {step.__name__ for step in STEPS}
    assert set(PENDING) <= names
    return [
        pytest.param(step, id=step.__name__, marks=[pytest.mark.xfail(strict=True)] * (step.__name__ in PENDING))
        for step in STEPS
    ]


@pytest.mark.parametrize("step", step_parameters())
def test_a_suite_from_outside(step: Any, toy: Chase, capsys: pytest.CaptureFixture[str]) -> None:
    """A metric in ns that is better when lower, and an identity column of its own, without a change elsewhere."""
    step(lambda: capsys.readouterr().out, toy)


def test_a_suite_from_outside_is_gone_afterwards() -> None:
    """Its columns and its name are there as long as it is registered."""
    before = columns()
    with registered(Chase()) as suite:
        assert SUITES["toy"] is suite and [c.name for c in columns()[-2:]] == ["hop_ns", "stride_bytes"]
        with pytest.raises(ValueError, match="there is a column 'hop_ns' already"), registered(Chase()):
            pass
        assert SUITES["toy"] is suite
    assert "toy" not in SUITES and columns() == before


def test_rows_know_their_suite_and_metric() -> None:
    """The suite of a row is found by what it says of it; rows of no known suite are a KeyError."""
    plain, layer = make_result(), make_result(kernel="gemv", suite="gemv", layer="tiny qkv")
    other = make_result(suite="unheard-of")
    assert [suite_of(row).name for row in (plain, layer)] == ["bandwidth", "model-layers"]
    assert metric_of(plain).column == "bandwidth_gbs"
    with pytest.raises(KeyError, match="unheard-of"):
        suite_of(other)
    assert [(suite.name, rows) for suite, rows in by_suite([layer, plain])] == [
        ("bandwidth", [plain]),
        ("model-layers", [layer]),
    ]


def test_an_identity_column_from_outside_tells_cases_apart() -> None:
    """Rows that differ in it alone are two cases, and the label names it."""
    with registered(Chase()):
        one, two = (make_result(suite="toy", extra={"stride_bytes": stride}) for stride in (64, 4096))
        assert CaseId.of(one) != CaseId.of(two)
        assert CaseId.of(two).label == "numpy triad float64 4096"
