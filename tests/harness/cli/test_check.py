"""bandmark check: one line, an exit code for whoever watches, and an end in time whatever a device does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bandmark.check import check
from bandmark.check.check import DeviceCheck, Reason
from bandmark.cli.app import main
from bandmark.errors import FileError
from fleets import CASE, figure

OK = DeviceCheck(address="cuda:0", device="NVIDIA GB10", figures={CASE: figure(220.0)})


def let(monkeypatch: pytest.MonkeyPatch, *codes: int, error: Exception | None = None) -> None:
    """Let the check of the devices come to these exit codes, or fail."""

    def checks(*arguments: Any) -> Iterator[DeviceCheck]:
        if error is not None:
            raise error
        for code in codes:
            reasons = [Reason(exit_code=code, text=f"reason {code}")] if code else []
            yield DeviceCheck(address="cuda:0", device="x", figures=OK.figures, reasons=reasons)

    monkeypatch.setattr(check, "check_devices", checks)


@pytest.mark.parametrize(
    ("codes", "plain", "nagios", "line"),
    [
        ((0,), 0, 0, "ok: cuda:0 cupy gemv float32 220"),
        ((0, 1), 1, 2, "below: cuda:0 reason 1"),
        ((3, 0), 3, 3, "unknown: cuda:0 reason 3"),
        ((3, 1), 1, 2, "below: cuda:0 reason 1; 1 more"),
    ],
)
def test_exit_codes_and_the_line(
    codes: tuple[int, ...],
    plain: int,
    nagios: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """0 as expected, 1 below, 3 unknown; for Nagios 0, 2 and 3; stdout has the line and nothing else."""
    let(monkeypatch, *codes)
    assert main(["check"]) == plain
    assert capsys.readouterr().out == f"{line}\n"
    assert main(["check", "--nagios"]) == nagios


def test_json_and_gauges(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON takes the place of the line, and the file for Prometheus is whole, with nothing beside it."""
    let(monkeypatch, 0)
    file = tmp_path / "a b.prom"
    assert main(["check", "--json", "--prometheus", str(file)]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "ok"
    assert "bandmark_check_status 0\n" in file.read_text() and list(tmp_path.iterdir()) == [file]


def test_bad_usage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bad usage and bad files are 2, for Nagios 3 with a line on stdout, also where the options can't be parsed."""
    let(monkeypatch, error=FileError("a file that can't be read"))
    missing = ["check", "--expect", str(tmp_path / "none.toml")]
    for words in (missing, ["check", "--budget", "1"], ["check"]):
        assert main(words) == 2
        assert capsys.readouterr().out == ""
        assert main([*words, "--nagios"]) == 3
        assert capsys.readouterr().out.startswith("unknown: ")
    for nagios, code in (([], 2), (["--nagios"], 3)):
        with pytest.raises(SystemExit) as end:
            main(["check", "--no-such-option", *nagios])
        assert end.value.code == code


def test_a_crash_is_no_slow_machine(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An error that nobody foresaw ends with 3 and its traceback, not with Python's 1, which means below."""
    let(monkeypatch, error=ZeroDivisionError("a bug"))
    assert main(["check"]) == 3
    shown = capsys.readouterr()
    assert shown.out == "unknown: ZeroDivisionError: a bug\n" and "Traceback" in shown.err


def test_a_device_that_hangs_ends_in_time() -> None:
    """Some seconds after the budget the process ends with 3 and a line, though a launch never returns."""
    code = (
        "import sys, time; from bandmark.check import check; from bandmark.cli import check as cli\n"
        "from bandmark.cli.app import main; cli._GRACE_S = -4.5\n"
        "check.check_devices = lambda *arguments: time.sleep(60)\n"
        "sys.exit(main(['check', '--budget', '5']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stdout) == (3, "unknown: a device did not answer in time\n")
