"""The suite transfer: which transfers there are, what a link moves, and what a run says of it."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bandmark.cli.app import main
from bandmark.options import RunOptions
from bandmark.results.files import read_rows
from bandmark.results.row import Row
from bandmark.suites import suite_of
from bandmark.suites.links import link_columns, link_verdict
from bandmark.suites.transfer import WAYS, Transfer, Way
from cupy_gpu import Gpu
from cupy_launch import Launched
from cupy_sensors import Sensors
from cupy_standin import StandIn, install

ROOM = SimpleNamespace(default_bytes=2**34)


RANDOM = random.Random(5)


def noise() -> float:
    """A clock that never shows the same twice, as a real one."""
    return RANDOM.uniform(1.0, 1.002)


def law(launch: Launched) -> float:
    """A device whose kernels use the host's memory at 40 GB/s."""
    if launch.entry in ("bandmark_copy", "bandmark_passes"):
        return launch.values["a"].nbytes / 40e9 * noise()
    return 1e-6


def sensors(generation: int, width: int) -> Sensors:
    """NVML of a card for PCIe 5 x16 that trained at something else."""
    return Sensors(
        nvmlDeviceGetCurrPcieLinkGeneration=generation,
        nvmlDeviceGetCurrPcieLinkWidth=width,
        nvmlDeviceGetMaxPcieLinkGeneration=5,
        nvmlDeviceGetMaxPcieLinkWidth=16,
    )


def facts(integrated: bool = False, **library: object) -> Any:
    """What a run says of a device and its link, as far as the suite asks."""
    device, peak = SimpleNamespace(integrated=integrated), SimpleNamespace(gbs=273.0)
    return SimpleNamespace(device=device, peak=peak, libraries={"cupy": library})


def row(way: Way, gbs: float, link: dict[str, Any]) -> Row:
    """Return a measured row."""
    run = {
        "schema": 1,
        "suite": "transfer",
        "run_id": "r",
        "system": "s",
        "device": "d",
        "backend": "cupy",
        "bandmark_version": "0.2.0",
    }
    return Row.of(Transfer().columns_of(way, 2**26) | link | run | {"status": "ok", "bandwidth_gbs": gbs})


PINNED = [way for way in WAYS if way.pattern in ("h2d-pinned-ce", "d2h-pinned-ce")]


@pytest.mark.parametrize(
    ("generation", "width", "gbs", "verdict"),
    [
        (5, 16, 56.0, "normal for PCIe 5 x16 (55-58 GB/s)"),
        (5, 16, 53.0, "low for PCIe 5 x16 (55-58 GB/s)"),
        (5, 16, 50.0, "low for PCIe 5 x16 (55-58 GB/s; a fault below 52)"),
        (5, 16, 59.0, "above PCIe 5 x16 (55-58 GB/s)"),
        (5, 4, 13.9, "normal for PCIe 5 x4 (13.8-14.5 GB/s)"),
        (4, 16, 20.0, "low for PCIe 4 x16 (24-27 GB/s)"),
        (3, 16, 12.5, None),
    ],
)
def test_a_link_is_judged(generation: int, width: int, gbs: float, verdict: str | None) -> None:
    """A link is judged by what is published of its generation, in proportion to its lanes; the answer holds both."""
    trained = {"pcie_generation": generation, "pcie_width": width, "max_pcie_generation": 5, "max_pcie_width": 16}
    link = link_columns(facts(**trained), "cupy")
    assert link_verdict(gbs, link["link"], link["link_peak_gbs"]) == verdict
    text = Transfer().headline([row(way, gbs, link | {"verdict": verdict}) for way in PINNED]) or ""
    assert text.startswith(f"h2d {gbs:.2f} GB/s (pinned), d2h {gbs:.2f} GB/s (pinned); {link['link']}: ")
    assert text.endswith(f" GB/s one way; h2d {verdict}" if verdict else " GB/s one way")


def test_an_unknown_link_has_no_rate() -> None:
    """What NVML does not tell is blank, and the answer is the bandwidth alone."""
    link = link_columns(facts(pcie_generation=4), "cupy")
    assert link == {"link": None, "link_peak_gbs": None}
    assert Transfer().headline([row(PINNED[0], 20.0, link)]) == "h2d 20.00 GB/s (pinned)"
    assert Transfer().headline([]) is None


def test_c2c_is_the_link_of_grace() -> None:
    """Where the processor's memory is behind NVLink-C2C its rate is the link's, whatever PCIe says."""
    link = link_columns(facts(c2c=True, pcie_generation=5, pcie_width=16), "cupy")
    assert link == {"link": "NVLink-C2C", "link_peak_gbs": 450.0}
    text = Transfer().headline([row(PINNED[0], 377.0, link)])
    assert text == "h2d 377.0 GB/s (pinned); NVLink-C2C: 450.0 GB/s one way"


def test_one_memory_is_half_its_peak() -> None:
    """On unified memory a copy reads and writes the same DRAM, and what is read in place stands beside it."""
    link = link_columns(facts(integrated=True), "cupy")
    assert link == {"link": "unified memory", "link_peak_gbs": 136.5}
    (in_place,) = [way for way in WAYS if way.method == "in-place"]
    text = Transfer().headline([row(PINNED[0], 100.0, link), row(in_place, 230.0, link)])
    assert text == "h2d 100.0 GB/s (pinned), read in place 230.0 GB/s; unified memory: 136.5 GB/s one way"


def test_a_run_is_valid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Rows follow from identity and samples; a byte counts once, both ways are the sum; more than the link is suspect.

    A card that trained below what it can is named in its rows.
    """
    install(monkeypatch, StandIn(Gpu(law=law, link_gbs=30, link_noise=noise)), sensors(4, 16))
    monkeypatch.chdir(tmp_path)
    command = ["run", "--suite", "transfer", "--backend", "cupy", "--quick", "--size", "64KiB", "--time-limit", "0.5"]
    assert main([*command, "--output", "a.csv"]) in (0, 3)
    rows = read_rows(Path("a.csv"))
    assert {suite_of(row).name for row in rows} == {"transfer"}
    assert {row.pattern for row in rows} == {way.pattern for way in WAYS if not way.is_managed}
    assert {row.status for row in rows} <= {"ok", "suspect"}
    assert all("the link runs at PCIe 4 x16 of PCIe 5 x16" in (row.reason or "") for row in rows)
    by_way = {(row.kernel, row.pattern): row for row in rows}
    one, both = by_way["copy", "h2d-pinned-ce"], by_way["copy", "both-pinned-ce"]
    assert (one.bandwidth_gbs, both.bandwidth_gbs) == (pytest.approx(30, rel=0.1), pytest.approx(60, rel=0.1))
    fast = by_way["copy", "h2d-pinned-sm"]
    assert fast.status == "suspect" and "more than the link of 31.51 GB/s moves" in (fast.reason or "")
    assert main(["validate", "a.csv"]) == 0


def test_managed_memory_moves_once_a_window() -> None:
    """A window of managed memory is one transfer: a second would find its pages where it wants them."""
    backend = SimpleNamespace(
        name="cupy", threads=None, routines={"transfer": SimpleNamespace(has_all=True)}, budget=lambda: ROOM
    )
    target: Any = SimpleNamespace(on_cpu=False, backends=[backend])
    groups = Transfer().plan(RunOptions(), target)
    managed = [group for group in groups if "managed" in group.cases[0].columns["host_memory"]]
    assert managed and all(group.rule and group.rule.max_launches == 1 for group in managed)
    assert all(group.rule and group.rule.max_launches > 1 for group in groups if group not in managed)
    assert {case.columns["working_set_bytes"] for group in groups for case in group.cases} >= {2**16, 2**30}


def test_a_cpu_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU there is a row that says why, and it is valid."""
    monkeypatch.chdir(tmp_path)
    command = ["run", "--suite", "transfer", "--device", "cpu", "--backend", "numpy", "--quick"]
    assert main([*command, "--output", "a.csv"]) == 3
    (row,) = read_rows(Path("a.csv"))
    assert (row.status, row.pattern) == ("unsupported", "none") and "on the CPU" in (row.reason or "")
    assert main(["validate", "a.csv"]) == 0
