"""A device is judged by the expectation, or by the published band and its own history, the worse of them."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bandmark.backends.discovery import Accelerator, Discovery
from bandmark.check import check
from bandmark.check.check import DeviceCheck, check_devices, judge
from bandmark.device.sensors import SensorReading
from bandmark.errors import BackendUnavailable, UsageError
from bandmark.judge.expectations import Expectation, Hardware
from bandmark.options import RunOptions
from bandmark.session.ranks import read_members
from bandmark.suites import transfer
from checked import CASES, session
from cupy_gpu import Gpu
from cupy_sensors import Sensors
from cupy_standin import StandIn, install
from fakes import FAKE_GPU
from fleets import figure


def limits(gbs: float, **hardware: Any) -> list[Expectation]:
    """An expectation of this many GB/s in all cases."""
    device = hardware.pop("device", FAKE_GPU.name)
    return [Expectation(hardware=Hardware(device=device, **hardware), limits=dict.fromkeys(CASES, gbs))]


def texts(checked: DeviceCheck) -> list[str]:
    """The reasons."""
    return [reason.text for reason in checked.reasons]


def test_an_expectation_decides() -> None:
    """Above the limits the device is as expected; below it each case is named with its limit."""
    assert judge(session(), limits(0.009), []).exit_code == 0
    slow = judge(session(), limits(0.011), [])
    assert slow.exit_code == 1 and len(slow.reasons) == 3
    assert all(text.endswith("limit 0.011") for text in texts(slow))


def test_an_expectation_decides_alone() -> None:
    """With one, neither band nor history matters; without a group for the device nothing is judged."""
    low_band = session(0.002, memory="HBM3")
    assert judge(low_band, limits(0.001), []).exit_code == 0
    other = judge(low_band, limits(0.001, device="another"), [])
    assert other.exit_code == 3 and "the file has no group for Fake GPU" in texts(other)[0]


def test_every_case_needs_a_limit() -> None:
    """A group of the file that leaves a case out does not pass it."""
    (partial,) = limits(0.009)
    partial = Expectation(hardware=partial.hardware, limits={CASES[0]: 0.009, CASES[1]: 0.009, "other": 1.0})
    checked = judge(session(), [partial], [])
    assert checked.exit_code == 3 and texts(checked) == [f"no limit for {CASES[2]}"]


def test_without_anything_to_judge_by() -> None:
    """No band, no history: the figures are right or wrong, and nobody knows; wrong results are wrong all the same."""
    assert judge(session(), None, []).exit_code == 3
    wrong = judge(session(errors={"gemv": 9.0}), None, [])
    assert wrong.exit_code == 1 and any("the output is wrong" in text for text in texts(wrong))


def test_the_published_band_finds_what_was_slow_from_the_first_day() -> None:
    """A history of equally low figures does not excuse a figure below the band."""
    past = [dict.fromkeys(CASES, figure(0.004))] * 9
    assert judge(session(0.004, memory="HBM3"), None, past).exit_code == 1
    assert judge(session(0.0105, memory="HBM3"), None, [dict.fromkeys(CASES, figure(0.0105))] * 9).exit_code == 0


def test_the_history_finds_what_became_slow() -> None:
    """A figure within the band is too slow if the device used to be faster; under five runs nothing is known."""
    past = [dict.fromkeys(CASES, figure(0.0121 + 1e-5 * run)) for run in range(5)]
    assert judge(session(0.0105, memory="HBM3"), None, past).exit_code == 1
    assert judge(session(0.0105, memory="HBM3"), None, past[:4]).exit_code == 0


def test_low_figures_beside_other_programs_are_not_judged() -> None:
    """Then the exit code is 3 and the fault is named; a figure that is high enough is as expected."""
    busy = SensorReading(warnings=("2 other programs had work on the device",))
    low = judge(session(reading=busy), limits(0.011), [])
    assert low.exit_code == 3 and [fault.name for fault in low.faults] == ["other programs"]
    assert judge(session(reading=busy), limits(0.009), []).exit_code == 0


@pytest.mark.parametrize(
    ("counters", "code", "name"),
    [
        ({"row_remap_failed": 1}, 1, "defective memory"),
        ({"ecc_uncorrected": 3}, 1, "defective memory"),
        ({"row_remap_pending": 1}, 1, "needs a reset"),
        ({"pcie_replays": 7}, 0, "PCIe errors"),
        ({"pcie_width": 4, "max_pcie_width": 16}, 0, "wrong slot?"),
        ({"power_limit_w": 200.0, "default_power_limit_w": 300.0}, 0, "power limit"),
        ({"row_remap_failed": 0, "ecc_uncorrected": None}, 0, None),
    ],
)
def test_counters(counters: dict[str, Any], code: int, name: str | None) -> None:
    """Defects count against a device that is fast; what only may slow it is a note."""
    checked = judge(session(counters=counters), limits(0.009), [])
    assert checked.exit_code == code
    assert [fault.name for fault in checked.faults] == ([name] if name else [])


def test_half_the_bandwidth_points_to_a_channel() -> None:
    """About half of the limit is what one of two channels gives."""
    assert [fault.name for fault in judge(session(0.01), limits(0.02), []).faults] == ["single channel?"]


def test_cases_without_time_are_not_judged() -> None:
    """What there was no time for is named, and makes the exit code 3 where nothing is below."""
    cut = session()
    cut.measured_groups, cut.outcomes = 2, cut.outcomes[:2]
    checked = judge(cut, limits(0.009), [])
    assert checked.exit_code == 3 and texts(checked) == ["no time was left for gemv float32"]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The options of the runs that a check begins, which give a healthy session."""
    begun: list[Any] = []

    def run(options: Any, **more: Any) -> Any:
        begun.append(options)
        if options.device == "cuda:9":
            raise BackendUnavailable("the driver is too old")
        return session(address=options.device)

    monkeypatch.setattr(check, "run_session", run)
    return begun


def discovered(monkeypatch: pytest.MonkeyPatch, *addresses: str, **problems: str) -> None:
    """Let a check find these GPUs."""
    found = [Accelerator(address, FAKE_GPU, ("cupy", "torch")) for address in addresses]
    monkeypatch.setattr(check, "discover", lambda: Discovery(accelerators=found, problems=problems))


def test_all_devices_are_checked(monkeypatch: pytest.MonkeyPatch, runs: list[Any]) -> None:
    """GPUs by their first backend, then the CPU; one that can't be opened is unknown and keeps no other from it."""
    discovered(monkeypatch, "cuda:9", "cuda:0")
    checks = list(check_devices(None, limits(0.009), None, 20.0))
    assert [(options.device, *options.backends) for options in runs] == [
        ("cuda:9", "cupy"),
        ("cuda:0", "cupy"),
        ("cpu", "numpy"),
    ]
    assert [c.exit_code for c in checks] == [3, 0, 0] and "driver is too old" in texts(checks[0])[0]
    assert all(0 < options.time_limit_s <= 6 for options in runs)


def test_a_cpu_beside_gpus_may_be_unknown(monkeypatch: pytest.MonkeyPatch, runs: list[Any]) -> None:
    """Limits of GPUs alone do not make every check unknown; alone, a CPU without a limit is unknown."""
    discovered(monkeypatch, "cuda:0")
    monkeypatch.setattr(check, "find_limits", lambda *a: limits(0.009)[0].limits if len(runs) == 1 else {})
    assert [c.exit_code for c in check_devices(None, [], None, 20.0)] == [0, 0]
    assert [c.exit_code for c in check_devices("cpu", [], None, 20.0)] == [3]


def test_chosen_devices(monkeypatch: pytest.MonkeyPatch, runs: list[Any]) -> None:
    """Cuda is all GPUs, cuda:1 one of them, cpu needs no discovery, and another name is bad usage."""
    discovered(monkeypatch, "cuda:0", "cuda:1")
    for address in ("cuda", "cuda:1", "cpu"):
        list(check_devices(address, [], None, 20.0))
    assert [options.device for options in runs] == ["cuda:0", "cuda:1", "cuda:1", "cpu"]
    with pytest.raises(UsageError, match="bandmark devices"):
        list(check_devices("cuda:7", [], None, 20.0))


def test_a_gpu_that_hides_is_unknown(monkeypatch: pytest.MonkeyPatch, runs: list[Any]) -> None:
    """Where a library for GPUs is there and sees none, the exit code says so; the CPU is checked all the same."""
    monkeypatch.setattr("bandmark.backends.discovery.is_installed", lambda name: True)
    discovered(monkeypatch, cupy="the driver does not answer", torch="torch sees no accelerator")
    checks = list(check_devices(None, limits(0.009), None, 20.0))
    assert [(c.address, c.exit_code) for c in checks] == [("cuda", 3), ("cpu", 0)]
    assert texts(checks[0]) == ["the driver does not answer"]


def test_a_run_is_stopped_in_time_and_an_interrupt_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A further group begins only if it will end in time; Ctrl-C ends the check."""
    told: list[bool] = []

    def run(options: Any, *, progress: Any, **more: Any) -> Any:
        for done in range(3):
            try:
                progress(done, 3, "x")
            except KeyboardInterrupt:
                told.append(True)
                cut = session(interrupted=True)
                cut.measured_groups = done
                return cut
            time.sleep(0.3)
        return session()

    monkeypatch.setattr(check, "run_session", run)
    (checked,) = check_devices("cpu", limits(0.009), None, 0.7)
    assert told == [True] and checked.exit_code == 3
    monkeypatch.setattr(check, "run_session", lambda options, **more: session(interrupted=True))
    with pytest.raises(KeyboardInterrupt):
        list(check_devices("cpu", None, None, 20.0))


def test_the_history_is_that_of_the_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Results are kept by the id of the device, and only its own earlier ones are read."""
    read: list[str] = []

    def run(options: Any, *, name_file: Any, to_files: bool, **more: Any) -> Any:
        made = session(address=options.device, run_id=f"20261127T10150{len(list(tmp_path.glob('*.csv')))}Z-3f2a")
        name_file(made).write_text("")
        return made

    monkeypatch.setattr(check, "run_session", run)
    monkeypatch.setattr(check, "read_member", lambda file: read.append(file.name) or SimpleNamespace(figures={}))
    discovered(monkeypatch, "cuda:0", "cuda:1")
    for expected in (0, 2):
        read.clear()
        list(check_devices("cuda", None, tmp_path, 20.0))
        assert len(read) == expected
    assert len({name.split("-")[0] for name in read}) == 2


@pytest.mark.slow
def test_gpus_end_to_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On two pretend GPUs each has figures, its link's too, and counters, and results under an id without its UUID."""
    gpus = [Gpu(name=name, law=lambda launch: 0.002, link_gbs=30) for name in ("Fake GPU 1", "Fake GPU 2")]
    link = dict.fromkeys(("nvmlDeviceGetCurrPcieLinkGeneration", "nvmlDeviceGetMaxPcieLinkGeneration"), 5)
    link |= dict.fromkeys(("nvmlDeviceGetCurrPcieLinkWidth", "nvmlDeviceGetMaxPcieLinkWidth"), 16)
    answers = {"nvmlDeviceGetUUID": lambda handle: f"GPU-{handle!r}", "nvmlDeviceGetRemappedRows": (0, 0, 0, 1)}
    install(monkeypatch, StandIn(*gpus), Sensors(**link, **answers))
    monkeypatch.setattr(check, "RunOptions", partial(RunOptions, size_bytes=64 * 1024))
    monkeypatch.setattr(transfer, "_JUDGED_FROM", 0)
    checks = list(check_devices("cuda", None, tmp_path, 60.0))
    assert [(c.address, c.device, c.exit_code) for c in checks] == [
        ("cuda:0", "Fake GPU 1", 1),
        ("cuda:1", "Fake GPU 2", 1),
    ]
    assert all(len(c.figures) == 5 and c.reasons[0].text == "row remapping failed" for c in checks)
    assert all(sum("low for PCIe 5 x16" in text for text in texts(c)) == 2 for c in checks)
    assert len({member.ticket.device_id for member in read_members(tmp_path)}) == 2
    assert not any(b"GPU-b" in file.read_bytes() for file in tmp_path.iterdir())
