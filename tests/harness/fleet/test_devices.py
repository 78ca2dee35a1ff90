"""All devices of a machine: each alone and all at once, summed, with the slowest named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bandmark.cli.app import main
from bandmark.fleet import devices
from bandmark.fleet.devices import device_path, judge_devices, measure_devices
from bandmark.results.files import read_rows
from bandmark.session.ranks import Figure, Member, Ticket

_TWO_GPUS = """
import sys

sys.path.append({tests!r})
from cupy_gpu import Gpu
from cupy_standin import StandIn

law = lambda rate: lambda launch: max(1e-6, sum(getattr(v, "nbytes", 0) for v in launch.values.values()) / rate)
sys.modules["cupy"] = StandIn(Gpu(law=law(1e9)), Gpu(name="NVIDIA B200", capability=(10, 0), law=law(4e9))).module()
sys.modules["pynvml"] = None
"""
"""A sitecustomize: an installation of CuPy with two unlike GPUs, in every process."""

COMMAND = ("run", "--device", "all", "--backend", "cupy", "--kernel", "triad", "--dtype", "f32", "--quick")


def member(name: str, problem: str | None = None, **values: float) -> Member:
    """Return a device with a bandwidth or a latency by case."""
    figures = {
        case: Figure(
            value=value,
            unit="ns" if case == "chase" else "GB/s",
            higher_is_better=case != "chase",
            status="ok",
            reason=None,
            verdict=None,
        )
        for case, value in values.items()
    }
    return Member(ticket=Ticket(node=name), run_id="r", figures=figures, problem=problem)


def test_sum_fairness_and_slowest() -> None:
    """Bandwidths add up and are compared with the sum alone; latencies are not, and the longest is the slowest."""
    alone = [member("cuda:0 A", triad=1000.0, chase=300.0), member("cuda:1 B", triad=1000.0, chase=300.0)]
    together = [member("cuda:0 A", triad=900.0, chase=400.0), member("cuda:1 B", triad=600.0, chase=320.0)]
    (triad, chase) = judge_devices(alone, together).sections[0].rows
    assert triad == ("triad", 2, 1500.0, 2000.0, "GB/s", 75.0, pytest.approx(2 / 3), "cuda:1 B")
    assert chase == ("chase", 2, None, None, "ns", None, pytest.approx(0.8), "cuda:0 A")


def test_what_failed_alone_is_missing() -> None:
    """A device that failed alone is named though it worked later, and there is no sum to compare with."""
    alone = [member("cuda:0 A", triad=1000.0), member("cuda:1 B", problem="killed by signal 9 (SIGKILL)")]
    fleet = judge_devices(alone, [member("cuda:0 A", triad=900.0), member("cuda:1 B", triad=600.0)])
    assert fleet.sections[0].rows[0][2:6] == (1500.0, None, "GB/s", None)
    assert ("cuda:1 B alone", "killed by signal 9 (SIGKILL)") in [r for s in fleet.sections for r in s.rows]
    assert fleet.exit_code == 1


def run(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run on two pretend GPUs."""
    (folder / "sitecustomize.py").write_text(_TWO_GPUS.format(tests=str(Path(__file__).parents[2])))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    command = [sys.executable, "-m", "bandmark", *COMMAND, "--size", "256KiB", "--time-limit", "0.5", *more]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200, check=False
    )


def test_two_gpus(tmp_path: Path) -> None:
    """Each GPU has a pair alone and one together, its rows bear its name, and the summary names the slower.

    They are far slower than such memory, so the verdict of the published bands makes the exit code 1.
    """
    done = run(tmp_path, "--output", "F.csv")
    assert done.returncode == 1 and "low for HBM3e" in done.stdout, done.stderr
    names = {"cuda0": "NVIDIA RTX PRO 5000 Blackwell", "cuda1": "NVIDIA B200"}
    for part, name in names.items():
        for step in ("", "-together"):
            assert {row.device for row in read_rows(tmp_path / f"F.{part}{step}.csv")} == {name}
    line = next(line for line in done.stdout.splitlines() if line.startswith("cupy triad float32 v16"))
    assert line.rstrip().endswith("cuda:0 NVIDIA RTX PRO 5000 Blackwell") and " 0.25" in line
    assert "cuda:1 NVIDIA B200 alone" in done.stderr and "all 2 at once" in done.stderr
    again = run(tmp_path, "--output", "F.csv")
    assert again.returncode == 2 and "F.cuda0.csv" in again.stderr, "existing files are kept"


def test_an_interrupt_ends_the_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C asks each child to keep what it has, and waits for none longer than it must."""
    monkeypatch.setattr(
        devices, "child_command", lambda arguments, csv: [sys.executable, "-c", "import time; time.sleep(60)"]
    )
    threading.Timer(1.0, os.kill, [os.getpid(), signal.SIGINT]).start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        measure_devices({"cuda:0": "A"}, [], tmp_path / "F.csv", deadline_s=60.0, announce=lambda step: None)
    assert time.monotonic() - begin < 30


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--backend", "numpy"], "--device cpu"),
        (["--backend", "cupy"], "one GPU or more, and there is none"),
        (["--runs", "2"], "does not go with --runs"),
        (["--output", "-"], "does not go with --output -"),
        (["--data", "random,zeros"], "does not go with several --data"),
    ],
)
def test_what_is_not_accepted(more: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a GPU, or beside options for one run, the message says what is accepted."""
    assert main(["run", "--device", "all", *more]) == 2
    assert words in capsys.readouterr().err


def test_files_are_named_by_device() -> None:
    """A device's files bear its address and the step."""
    assert device_path(Path("a/F.csv"), "cuda:3") == Path("a/F.cuda3.csv")
    assert device_path(Path("a/F.csv"), "cuda:3", "together") == Path("a/F.cuda3-together.csv")
