"""The steps of a full self-test run in processes of their own, within their limits, and leave a page."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from bandmark.cli.app import main
from bandmark.errors import FileError
from bandmark.selftest import full
from bandmark.selftest.full import STEPS, Step, new_folder, run_step, run_steps
from cupy_gpu import Gpu
from cupy_sensors import Sensors
from cupy_standin import StandIn, install


def step(name: str, code: str, limit_s: float = 60) -> Step:
    """Return a step that runs a line of Python."""
    return Step(name, (sys.executable, "-c", code, "{folder}", "{device}"), limit_s)


def test_a_step_leaves_its_output_and_its_code(tmp_path: Path) -> None:
    """Output of both kinds is in the log; folder and device stand in the command."""
    result = run_step(step("one", "import sys; print(sys.argv[1:]); sys.exit(3)"), tmp_path, "cuda:1")
    assert (result.code, result.words) == (3, "exit code 3") and result.seconds > 0
    assert (tmp_path / "one.log").read_text() == f"{[str(tmp_path), 'cuda:1']}\n"


def test_a_step_ends_at_its_limit_with_what_it_started(tmp_path: Path) -> None:
    """A profiler's child that goes on would disturb the next step."""
    child = f"import time; time.sleep(3); open({str(tmp_path / 'late')!r}, 'w')"
    code = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    result = run_step(step("slow", code, 1.0), tmp_path, "cuda:0")
    assert result.code is None and result.words == "stopped at its limit of 1 s"
    time.sleep(3)
    assert not (tmp_path / "late").exists()


def test_a_tool_that_is_not_there_was_not_tried(tmp_path: Path) -> None:
    """Neither a failure nor a success."""
    result = run_step(Step("ncu", ("no-such-profiler",), 5), tmp_path, "cuda:0")
    assert result.code is None and result.words == "not tried: there is no no-such-profiler here"


def test_the_page_grows_with_the_steps(tmp_path: Path) -> None:
    """After each step README.md has all claims and the steps so far; a step that fails does not end the others."""
    steps = run_steps([step("one", "raise SystemExit(1)"), step("two", "print('a|b')")], tmp_path, "cuda:0")
    next(steps)
    page = (tmp_path / "README.md").read_text()
    assert "| one | exit code 1 |" in page and "| two |" not in page and "| not tried |" in page
    result, judged = next(steps)
    assert result.code == 0 and len(judged) == page.count("| not tried |")
    assert "| two | exit code 0 |" in (tmp_path / "README.md").read_text()


def test_every_step_has_a_name_of_its_own_and_a_limit() -> None:
    """Logs and results are told apart by it, and no command may take longer than ten minutes."""
    assert len({one.name for one in STEPS}) == len(STEPS)
    assert all(0 < one.limit_s <= 600 for one in STEPS)


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    """Nothing is overwritten; a file in its place is an error, too."""
    assert new_folder(str(tmp_path / "new")) == (tmp_path / "new").resolve()
    (tmp_path / "new" / "x").touch()
    with pytest.raises(FileError, match="not empty"):
        new_folder(str(tmp_path / "new"))
    with pytest.raises(FileError, match="can't use the folder"):
        new_folder(str(tmp_path / "new" / "x"))


@pytest.mark.parametrize(("text", "code"), [("PASS", 0), ("FAIL", 1)])
def test_the_command_returns_what_the_claims_say(
    text: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """1 where one is refuted, else 0; the table is on stdout."""
    install(monkeypatch, StandIn(Gpu()), Sensors())
    line = f"{text}  registers          some"
    write = f"import sys, pathlib; pathlib.Path(sys.argv[1], 'selftest.txt').write_text({line!r})"
    monkeypatch.setattr(full, "STEPS", (step("selftest", write),))
    assert main(["selftest", "--full", "--output", str(tmp_path / "day")]) == code
    out = capsys.readouterr().out
    assert "selftest   exit code 0" in out and ("refuted" in out) is bool(code) and "not tried" in out


def test_what_does_not_go_together_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--full has no part; without a GPU nothing is begun."""
    install(monkeypatch, StandIn(Gpu()), Sensors())
    assert main(["selftest", "--full", "--kernel", "copy", "--output", str(tmp_path / "day")]) == 2
    assert not (tmp_path / "day").exists()
