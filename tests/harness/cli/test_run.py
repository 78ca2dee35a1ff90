"""The run command's own decisions: what it prints, what is kept of an interrupted run, and its exit code."""

from __future__ import annotations

import csv
import io
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bandmark.backends.select import Target
from bandmark.cli import run
from bandmark.cli.app import build_parser, main
from bandmark.errors import FileError, UsageError
from bandmark.measure.sampling import Schedule
from bandmark.options import RunOptions
from bandmark.results import files as store
from bandmark.results.files import read_rows
from bandmark.session import session as session_module
from fakes import FakeBackend, VirtualClock, make_machine, make_peak, make_result, make_target

COPY_TRIAD = ("run", "--kernel", "triad,copy", "--dtype", "float32", "--size", "12000")


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeBackend:
    """A pretend GPU that runs find, and an empty folder to work in."""
    fake = FakeBackend(clock=VirtualClock())

    def open_target(machine: Any, **asked: Any) -> Target:
        return make_target([fake], machine=machine, peak=make_peak(0.02), notes=["a note of the choice"])

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(session_module, "read_machine", make_machine)
    monkeypatch.setattr(session_module, "open_target", open_target)
    monkeypatch.setattr(session_module, "Schedule", partial(Schedule, clock=fake.clock))
    return fake


def options(*arguments: str) -> Any:
    """The parsed options of a run."""
    return build_parser(["run"]).parse_args(["run", *arguments])


def test_a_run(backend: FakeBackend, capsys: pytest.CaptureFixture[str]) -> None:
    """The table is on stdout; notes and the names of the files are on stderr; rows are in the kernel table's order."""
    assert main([*COPY_TRIAD, "--output", "run.csv"]) == 0
    captured = capsys.readouterr()
    assert re.sub(r"[\d.]+ GB/s", "N GB/s", captured.err) == (
        "note: a note of the choice\n1/2 copy float32: fake N GB/s\n2/2 triad float32: fake N GB/s\n"
        "wrote run.csv and run.json\nnext: bandmark report run.csv (a page); bandmark check (yes or no)\n"
    )
    assert captured.out.index("\ncopy ") < captured.out.index("\ntriad ")
    assert [row.kernel for row in read_rows(Path("run.csv"))] == ["copy", "triad"]


def test_a_quiet_run_says_nothing(backend: FakeBackend, capsys: pytest.CaptureFixture[str]) -> None:
    """With --quiet stderr stays empty, and stdout has the table and the summary all the same."""
    assert main([*COPY_TRIAD, "--quiet", "--output", "run.csv"]) == 0
    captured = capsys.readouterr()
    assert captured.err == "" and "\ncopy " in captured.out and "\nflagged: " in captured.out


def test_an_interrupt_keeps_what_was_saved(backend: FakeBackend, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C ends the run with 130; the finished groups are shown, and are rows of a valid file."""
    backend.raises = {("triad", "timed"): KeyboardInterrupt()}
    assert main([*COPY_TRIAD, "--output", "run.csv"]) == 130
    captured = capsys.readouterr()
    assert "\ncopy " in captured.out and "wrote run.csv" in captured.err
    assert "interrupted after 1 rows; they are kept" in captured.err
    assert [row.kernel for row in read_rows(Path("run.csv"))] == ["copy"]


def test_an_interrupt_before_the_first_row(backend: FakeBackend, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is shown or written where nothing was measured."""
    backend.raises = {("copy", "prepare"): KeyboardInterrupt()}
    assert main([*COPY_TRIAD, "--output", "run.csv"]) == 130
    captured = capsys.readouterr()
    assert captured.out == "" and "interrupted before the first row" in captured.err and "wrote" not in captured.err
    assert list(Path().iterdir()) == []


def test_an_interrupt_without_files_keeps_the_rows(backend: FakeBackend, capsys: pytest.CaptureFixture[str]) -> None:
    """With --output - the rows so far are printed as CSV, and nothing is written."""
    backend.raises = {("triad", "timed"): KeyboardInterrupt()}
    assert main([*COPY_TRIAD, "--output", "-"]) == 130
    assert [row["kernel"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))] == ["copy"]
    assert list(Path().iterdir()) == []


def test_rows_that_could_not_be_saved_are_saved_elsewhere(
    backend: FakeBackend, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A folder that fills up ends with code 2 after the table, and the whole run lies where the message says."""
    real = store._write_temporary

    def full(file: Path, content: Any) -> Path:
        if file == Path("run.csv") and ",copy," in str(content):
            raise FileError(f"can't write {file}: No space left on device.")
        return real(file, content)

    monkeypatch.setattr(store, "_write_temporary", full)
    monkeypatch.setattr(run.tempfile, "mkdtemp", lambda prefix: str(tmp_path))
    assert main([*COPY_TRIAD, "--output", "run.csv"]) == 2
    captured = capsys.readouterr()
    assert "\ntriad " in captured.out and "bandmark: can't write run.csv: No space left on device." in captured.err
    assert "the results are in" in captured.err and not Path("run.csv").exists()
    (saved,) = tmp_path.glob("*.csv")
    assert [row.kernel for row in read_rows(saved)] == ["copy", "triad"] and saved.with_suffix(".json").exists()


def test_an_unknown_suite(backend: FakeBackend, capsys: pytest.CaptureFixture[str]) -> None:
    """--suite takes the suites, or all; anything else is bad usage with the nearest name."""
    assert main(["run", "--suite", "bandwith"]) == 2
    message = "unknown suite 'bandwith'. Did you mean 'bandwidth'? Choose from bandwidth, model-layers, "
    assert message in " ".join(capsys.readouterr().err.split())
    assert main([*COPY_TRIAD, "--suite", "all", "--output", "-"]) == 0
    assert main(["run", "--suite", "model-layers"]) == 2


@pytest.mark.parametrize(
    ("status", "code"),
    [("ok", 0), ("suspect", 3), ("unsupported", 3), ("skipped", 3), ("failed_verification", 1), ("error", 1)],
)
def test_exit_codes_by_status(status: str, code: int) -> None:
    """A failed verification and an error fail the run, also beside a row that is ok; without one that is ok it is 3."""
    row = make_result(status=status, reason="x")
    assert run.exit_code([row], None) == code
    assert run.exit_code([make_result(), row], None) == code % 3


@pytest.mark.parametrize(("threshold", "code"), [(50.0, 0), (59.9, 0), (60.0, 0), (60.1, 1)])
def test_fail_below(threshold: float, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """A row below the wanted percentage of the peak fails the run, and is named with its percentage."""
    rows = [
        make_result(percent_of_peak=80.0),
        make_result(kernel="copy", percent_of_peak=60.0),
        make_result(kernel="add", percent_of_peak=None),
    ]
    assert run.exit_code(rows, threshold) == code
    said = capsys.readouterr().err
    assert ("numpy copy float64: 60.0 % of peak is below 60.1 %" in said) == bool(code)
    assert "triad" not in said


def test_fail_below_needs_something_to_judge(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a percentage in a row that is ok there is nothing to judge; suspect rows do not count as slow."""
    suspect = make_result(status="suspect", reason="x", percent_of_peak=1.0)
    assert run.exit_code([make_result(percent_of_peak=None), suspect], 50.0) == 3
    assert "no row that is ok has a percentage of the peak" in capsys.readouterr().err
    assert run.exit_code([make_result(percent_of_peak=80.0), suspect], 50.0) == 0


def test_a_failed_row_fails_whatever_the_threshold() -> None:
    """An error row is a failure even where no row could be judged."""
    assert run.exit_code([make_result(status="error", reason="x")], 50.0) == 1


def test_flags_become_options() -> None:
    """The parser of the command has every option of a run, and the results' own."""
    given = options("--kernel", "copy, triad", "--size", "64MiB", "--quick", "--output", "x.csv", "--force")
    assert run.from_arguments(given) == RunOptions(kernels=("copy", "triad"), size_bytes=64 * 2**20, quick=True)
    assert (given.output, given.force, given.fail_below) == ("x.csv", True, None)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_threshold_that_is_no_number(value: str) -> None:
    """--fail-below nan would pass whatever was measured."""
    with pytest.raises(UsageError, match=f"--fail-below {value} is no percentage"):
        run.execute(options(f"--fail-below={value}"))
