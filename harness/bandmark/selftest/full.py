"""Measure and verify everything on a GPU: steps with time limits, whose output is in one folder.

Each step is a process, so that a fault of one does not end the others. `claims` reads from the folder what they tell.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bandmark.errors import FileError
from bandmark.results.files import write_file
from bandmark.selftest.claims import CLAIMS, FOUND, PROFILE, WORDS, Claim

_BANDMARK = (sys.executable, "-m", "bandmark")
_PROFILED = (sys.executable, "-m", "bandmark.selftest.profiled")
_DEVICE = ("--device", "{device}")
_METRICS = "dram__bytes_read.sum,dram__bytes_write.sum,gpu__time_duration.sum"
_NCU = (
    *("ncu", "--target-processes", "all", "--clock-control", "none", "-k", "regex:^bandmark_"),
    *("--csv", "--page", "raw", "--print-units", "base", "--metrics", _METRICS, "--log-file", f"{{folder}}/{PROFILE}"),
)
_PROFILED_BYTES = 2 * 2**30
"""Of an array under the profiler: up to 50 MB of writes stay in the cache at a kernel's end, 2.4 % of this."""


@dataclass(frozen=True, slots=True)
class Step:
    """A command whose output goes to NAME.log in the folder; {folder} in it is that folder, {device} the address."""

    name: str
    command: tuple[str, ...]
    limit_s: float


def _run(name: str, limit_s: float, *options: str) -> Step:
    return Step(name, (*_BANDMARK, "run", *_DEVICE, *options, "--output", f"{{folder}}/{name}.csv"), limit_s)


def _sanitized(tool: str, limit_s: float) -> Step:
    options = ("--tool", tool, "--error-exitcode", str(FOUND))
    return Step(tool, ("compute-sanitizer", *options, *_PROFILED, "{device}", "results"), limit_s)


STEPS = (
    Step("devices", (*_BANDMARK, "devices"), 60),
    Step("selftest", (*_BANDMARK, "selftest", *_DEVICE, "--output", "{folder}/selftest.txt"), 600),
    _run("quick", 120, "--quick", "--backend", "cupy,torch"),
    _run("all", 600, "--variant", "all", "--time-limit", "280"),
    _run("packed", 240, "--kernel", "gemv", "--weights", "all", "--variant", "all", "--time-limit", "120"),
    _run("kv", 150, "--kernel", "kv", "--variant", "all", "--time-limit", "60"),
    _run("adamw", 150, "--kernel", "adamw,adamw_master", "--time-limit", "60"),
    _run("layers", 150, "--layer", "llama-3.1-8b", "--weights", "fp8,nvfp4", "--time-limit", "60"),
    _run("suites", 600, "--suite", "all", "--quick"),
    Step("ncu", (*_NCU, *_PROFILED, "{device}", "claims", "{folder}/claims.csv", str(_PROFILED_BYTES)), 300),
    _sanitized("memcheck", 200),
    _sanitized("racecheck", 200),
    _sanitized("initcheck", 100),
)
"""In the order of their worth. They take some half an hour; all limits together are twice as long."""


Judged = list[tuple[Claim, bool | None, str]]
"""Claims with whether they hold, and the figures."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a step ended."""

    step: Step
    code: int | None
    """The exit code; None where it did not run to its end."""
    seconds: float
    words: str


def new_folder(name: str) -> Path:
    """Make the folder for everything; raises FileError for one that holds something."""
    folder = Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise FileError(f"{folder} is not empty. Choose another --output.")
    except OSError as error:
        raise FileError(f"can't use the folder {folder}: {error.strerror}. Choose another --output.") from error
    return folder.resolve()


def run_step(step: Step, folder: Path, device: str) -> Result:
    """Run a step with its output in a log; it and what it started end at its limit."""
    command = [part.replace("{folder}", str(folder)).replace("{device}", device) for part in step.command]
    if shutil.which(command[0]) is None:
        return Result(step, None, 0.0, f"not tried: there is no {command[0]} here")
    begin = time.monotonic()
    with (folder / f"{step.name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code = process.wait(step.limit_s)
        except subprocess.TimeoutExpired:
            return Result(step, None, step.limit_s, f"stopped at its limit of {step.limit_s:g} s")
        finally:
            _end(process)
    return Result(step, code, time.monotonic() - begin, f"exit code {code}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process with all that it started: a profiler's child, for one."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run_steps(steps: Iterable[Step], folder: Path, device: str) -> Iterator[tuple[Result, Judged]]:
    """Run the steps one after the other; after each README.md of the folder says what is known so far.

    Yields the end of each step, and the claims with their verdicts by all steps so far.
    """
    results: list[Result] = []
    for step in steps:
        results.append(run_step(step, folder, device))
        ended = {result.step.name: result.code for result in results}
        judged = [(claim, *claim.verdict(folder, ended)) for claim in CLAIMS]
        write_file(folder / "README.md", "\n".join(_page(judged, results)) + "\n")
        yield results[-1], judged


def _page(judged: Judged, results: list[Result]) -> Iterator[str]:
    yield from ("# bandmark selftest --full", "", "| claim | here | figures |", "| --- | --- | --- |")
    yield from (f"| {claim.text} | {WORDS[holds]} | {_cell(figures)} |" for claim, holds, figures in judged)
    yield from ("", "| step | end | seconds | command |", "| --- | --- | --- | --- |")
    for result in results:
        words = " ".join(Path(part).name if part == sys.executable else part for part in result.step.command)
        yield f"| {result.step.name} | {result.words} | {result.seconds:.0f} | `{words.replace('{folder}/', '')}` |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
