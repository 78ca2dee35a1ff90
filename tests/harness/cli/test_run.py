"""The run command's own decisions: what is kept of an interrupted run, and its exit code."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from bandmark.cli import run
from bandmark.cli.main import build_parser
from bandmark.errors import FileError, UsageError
from bandmark.results import files as store
from bandmark.results.files import RunFiles, read_rows
from bandmark.session.runner import Measured
from bandmark.session.session import Request
from fakes import make_group, make_result


class Session:
    """A pretend session: it saves these rows one by one, and then raises what a test wants."""

    def __init__(self, kernels: list[str], then: BaseException | None = None) -> None:
        self.kernels, self.then = kernels, then

    def measure(self, *, progress: Any, save: Any) -> None:
        """Measure nothing, quickly."""
        rows = []
        for done, kernel in enumerate(self.kernels):
            progress(done, len(self.kernels), make_group(kernel, []))
            rows.append(make_result(kernel=kernel))
            save(Measured(rows=list(rows)))
        if self.then:
            raise self.then

    def record(self, measured: Measured) -> dict[str, Any]:
        """Return how many rows there are."""
        return {"rows": len(measured.rows)}


def options(*arguments: str) -> Any:
    """The parsed options of a run."""
    return build_parser().parse_args(["run", *arguments])


def test_rows_are_sorted_when_the_run_ends(tmp_path: Path) -> None:
    """Files have the rows in the order of the kernel table, whatever the order of measuring."""
    files = RunFiles(tmp_path / "run.csv")
    rows, interrupted = run.measure(Session(["triad", "copy"]), files)  # type: ignore[arg-type]
    assert not interrupted
    assert [row.kernel for row in rows] == ["copy", "triad"]
    assert read_rows(files.csv) == rows


def test_an_interrupt_keeps_what_was_saved(tmp_path: Path) -> None:
    """Ctrl-C ends the run, and the finished groups are rows of a valid file."""
    files = RunFiles(tmp_path / "run.csv")
    _, interrupted = run.measure(Session(["triad", "copy"], KeyboardInterrupt()), files)  # type: ignore[arg-type]
    assert interrupted
    assert [row.kernel for row in read_rows(files.csv)] == ["copy", "triad"]
    assert files.json.read_text() == '{\n "rows": 2\n}\n'


def test_an_interrupt_without_files_keeps_the_rows() -> None:
    """With --output - the rows so far are there to be printed."""
    rows, interrupted = run.measure(Session(["triad"], KeyboardInterrupt()), None)  # type: ignore[arg-type]
    assert interrupted and [row.kernel for row in rows] == ["triad"]


def test_a_disk_that_fills_up_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a save fails the run ends with the reason, and the rows saved before stay."""
    files = RunFiles(tmp_path / "run.csv")
    saves = 0

    def full(descriptor: int) -> None:
        nonlocal saves
        saves += 1
        if saves > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(store.os, "fsync", full)
    with pytest.raises(FileError, match=r"No space left on device\. Free some space"):
        run.measure(Session(["triad", "copy"]), files)  # type: ignore[arg-type]
    files.discard_if_empty()
    assert [row.kernel for row in read_rows(files.csv)] == ["triad"]


@pytest.mark.parametrize(
    ("status", "code"),
    [("ok", 0), ("suspect", 0), ("unsupported", 0), ("skipped", 0), ("failed_verification", 1), ("error", 1)],
)
def test_exit_codes_by_status(status: str, code: int) -> None:
    """Only a failed verification and an error fail the run."""
    assert run.exit_code([make_result(), make_result(status=status, reason="x")], None) == code


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
    assert ("copy numpy float64: 60.0 % of peak is below 60.1 %" in said) == bool(code)
    assert "triad" not in said


def test_fail_below_needs_something_to_judge() -> None:
    """Without a percentage in any row the option can't be met, and says what it needs."""
    with pytest.raises(UsageError, match="--fail-below needs a peak and rows in the dram regime"):
        run.exit_code([make_result()], 50.0)


def test_a_failed_row_fails_whatever_the_threshold() -> None:
    """An error row is a failure even where no row could be judged."""
    assert run.exit_code([make_result(status="error", reason="x")], 50.0) == 1


def test_options_become_a_request() -> None:
    """Every option reaches its field; what is not given is the default."""
    assert run.to_request(options()) == Request()
    request = run.to_request(
        options(
            *("--kernel", "copy, triad", "--backend", "numpy", "--dtype", "float32", "--size", "64MiB"),
            *("--device", "cuda:1", "--quick", "--seed", "7", "--data", "zeros", "--threads", "2", "--peak", "2x5600"),
            *("--time-limit", "5", "--system", "box"),
        )
    )
    assert request == Request(
        kernels=("copy", "triad"),
        backends=("numpy",),
        dtypes=("float32",),
        size_bytes=64 * 2**20,
        device="cuda:1",
        quick=True,
        seed=7,
        data="zeros",
        threads=2,
        peak="2x5600",
        time_limit_s=5.0,
        system="box",
    )


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_threshold_that_is_no_number(value: str) -> None:
    """--fail-below nan would pass whatever was measured."""
    with pytest.raises(UsageError, match=f"--fail-below {value} is no percentage"):
        run.to_request(options(f"--fail-below={value}"))
