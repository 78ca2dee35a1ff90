"""The leaderboard shows sound figures only, one line per system, the same from the same files."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bandmark import __version__
from bandmark.device.device import Device
from bandmark.errors import FileError
from bandmark.options import RunOptions
from bandmark.publishing.leaderboard import Entry, _caveats, _rank, leaderboard, page, plot, read_entries
from bandmark.reports import ReportRun
from bandmark.suites import registered
from corpus import DEVICE, good_run
from fakes import make_peak, make_result
from report_runs import Latency

SVG = "{http://www.w3.org/2000/svg}"
HEADLINES = ("read", "copy", "triad", "gemv")


def add(folder: Path, run_id: str = "20261123T101500Z-3f2a", system: str = "fake-1", **options: Any) -> Path:
    """Put a run of the harness into a folder of results."""
    text, record = good_run(run_id=run_id, system=system, **options)
    file = folder / system / f"{run_id}.csv"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    file.with_suffix(".json").write_text(json.dumps(record))
    return file


def board(folder: Path) -> str:
    """The leaderboard of a folder."""
    return leaderboard(read_entries(folder))


def lines(folder: Path) -> list[list[str]]:
    """The cells of the leaderboard's rows."""
    return [line[2:-2].split(" | ") for line in board(folder).splitlines() if line.startswith("| ")][2:]


def test_without_results(tmp_path: Path) -> None:
    """An empty folder has no leaderboard."""
    assert board(tmp_path) == "No run is published yet."


def test_a_line_of_the_leaderboard(tmp_path: Path) -> None:
    """System, device, peak, figures with percentages, versions, date with its file, and caveats."""
    add(tmp_path)
    ((system, device, peak, read, copy, triad, gemv, versions, date, caveat),) = lines(tmp_path)
    assert (system, device, peak) == ("fake-1", "Fake CPU, 1 kB", "0.02")
    assert all(figure.startswith("0.01") and "(60 %), " in figure for figure in (read, copy, gemv))
    known = {"numpy": "numpy 2.4.6", "torch": "torch 2.13.0+cpu"}
    best = {figure.split(", ")[1].split()[0] for figure in (read, copy, triad, gemv)}
    assert versions == ", ".join([*sorted(known[name] for name in best), f"bandmark {__version__}"])
    assert date == "[2026-11-23](fake-1/20261123T101500Z-3f2a.csv)"
    assert caveat == "one run; user-supplied peak; 2 threads"


def test_the_fastest_first(tmp_path: Path) -> None:
    """Systems stand in order of their read bandwidth."""
    add(tmp_path, system="slow", gbs=0.005)
    add(tmp_path, system="fast", gbs=0.015)
    add(tmp_path, system="middle", gbs=0.01)
    assert [cells[0] for cells in lines(tmp_path)] == ["fast", "middle", "slow"]


def test_only_sound_rows_count(tmp_path: Path) -> None:
    """Suspect and failed rows, and those from a cache, are no figure; a system without any is not listed."""
    add(tmp_path, system="suspect", peak=make_peak(0.01))
    add(tmp_path, system="cached", device=replace(DEVICE, llc_bytes=10**9))
    add(tmp_path, system="failed", errors=dict.fromkeys(("copy", "triad", "nstream", "read", "gemv"), 2.0))
    assert board(tmp_path) == "No run is published yet."
    add(tmp_path, system="partly", errors={"read": 2.0, "gemv": 3.0})
    ((system, _, _, read, copy, triad, gemv, _, _, caveat),) = lines(tmp_path)
    assert system == "partly" and read == gemv == "" and copy and triad
    assert "4 failed verification rows" in caveat


def test_the_run_that_speaks_for_a_system(tmp_path: Path) -> None:
    """The newest of the runs with most headline kernels is shown, and how many there are."""
    add(tmp_path, "20261101T000000Z-aaaa")
    add(tmp_path, "20261102T000000Z-bbbb", seed=2)
    add(tmp_path, "20261103T000000Z-cccc", kernels=("copy",), gbs=0.018)
    ((*_, date, caveat),) = lines(tmp_path)
    assert "2026-11-02" in date and "one of 3 runs" in caveat


def test_devices_of_one_system_stand_apart(tmp_path: Path) -> None:
    """A system's GPU and CPU have a line each."""
    add(tmp_path, "20261101T000000Z-aaaa")
    add(tmp_path, "20261102T000000Z-bbbb", device=Device(kind="gpu", name="Fake GPU", llc_bytes=1000), gbs=0.015)
    assert [cells[1] for cells in lines(tmp_path)] == ["Fake GPU", "Fake CPU, 1 kB"]


def test_the_same_files_give_the_same_text(tmp_path: Path) -> None:
    """Neither the order in which files came nor the place of the folder changes a letter."""
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, systems in ((one, "abc"), (two, "cab")):
        folder.mkdir()
        for system in systems:
            add(folder, system=system)
    assert board(one) == board(two)
    assert [cells[0] for cells in lines(one)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("options", "caveat"),
    [
        ({"options": RunOptions(quick=True)}, "a quick run"),
        ({"peak": make_peak(None)}, "no peak known"),
        ({"machine": {"is_wsl": True}}, "WSL2"),
        ({"errors": {"read": 2.0}}, "2 failed verification rows"),
    ],
)
def test_caveats(tmp_path: Path, options: dict[str, Any], caveat: str) -> None:
    """What speaks against comparing a run is said in its line."""
    add(tmp_path, **options)
    (entry,) = read_entries(tmp_path)
    assert caveat in _caveats(entry, 1)


def test_a_run_that_was_cut_short(tmp_path: Path) -> None:
    """A run that did not come to its end says so."""
    file = add(tmp_path).with_suffix(".json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"complete": False}))
    assert "cut short" in _caveats(read_entries(tmp_path)[0], 1)


def test_names_can_not_break_the_page(tmp_path: Path) -> None:
    """Markup in a device's name is shown, not obeyed."""
    name = "A|B <script>alert(1)</script> [x](javascript:y) `z` *b*"
    add(tmp_path, device=Device(kind="cpu", name=name, llc_bytes=1000, memory_bytes=1))
    text = board(tmp_path)
    assert "<script>" not in text and "\\|" in text and "\\[x\\](javascript:y)" in text


def test_damaged_files_are_named(tmp_path: Path) -> None:
    """A CSV that is none, and a JSON that is none or missing, stop the leaderboard with their names."""
    file = add(tmp_path)
    record = file.with_suffix(".json")
    for junk in ("{", "[]"):
        record.write_text(junk)
        with pytest.raises(FileError, match=r"3f2a\.json"):
            board(tmp_path)
    record.unlink()
    with pytest.raises(FileError, match=r"3f2a\.json is missing"):
        board(tmp_path)
    file.write_text("junk")
    with pytest.raises(FileError, match=r"3f2a\.csv"):
        board(tmp_path)


def test_ranking_needs_no_headline(tmp_path: Path) -> None:
    """A system is ranked by the figure of any kernel where it has none of a headline."""
    add(tmp_path, kernels=("nstream",))
    ((_, [entry]),) = _rank(read_entries(tmp_path))
    assert entry.place[1] < 0 and list(entry.run.best) == ["nstream"]


def test_links_are_refused(tmp_path: Path) -> None:
    """A result that is a link to elsewhere is not shown."""
    file = add(tmp_path)
    file.rename(tmp_path / "elsewhere.csv")
    file.symlink_to(tmp_path / "elsewhere.csv")
    with pytest.raises(FileError, match="symbolic link"):
        board(tmp_path)


def entry(gbs: float, peak: float | None = None, **changes: Any) -> Entry:
    """A run whose headline kernels all have one bandwidth."""
    made = [make_result(kernel=name, bandwidth_gbs=gbs, peak_gbs=peak, **changes) for name in HEADLINES]
    return Entry(Path("a.csv"), ReportRun(tuple(made)))


def drawn(entries: list[Entry]) -> ElementTree.Element:
    """The parsed plot."""
    text = plot(entries)
    assert text is not None and text == plot(entries), "the same entries give the same text"
    return ElementTree.fromstring(text)


def test_suites_have_sections_and_their_own_order() -> None:
    """Each suite is a table and a chart; where lower is better, the lowest figure is first."""
    with registered(Latency()):
        chase = {"suite": "access-time", "kernel": "chase", "regime": None}
        times = [
            Entry(Path("a.csv"), ReportRun((make_result(**chase, system=system, time_median_s=seconds),)))
            for system, seconds in (("slow", 2.0), ("fast", 1.0))
        ]
        entries = [*times, entry(10.0, system="other")]
        text, words = leaderboard(entries), [t.text for t in drawn(entries).findall(f"{SVG}text")]
    assert text.index("| fast |") < text.index("| slow |")
    assert "## Achieved memory bandwidth" in text and "## Latency of a pointer chase" in text
    assert "chase s | hop s |" in text and "read GB/s |" in text
    assert words.count("s, median, logarithmic") == words.count("GB/s, median, logarithmic") == 1


def test_every_figure_has_a_mark() -> None:
    """Each headline kernel of each system is a row with its figure in words, and each known peak a line in it."""
    picture = drawn([entry(1000.0, 1344.0, system="a"), entry(50.0, system="b")])
    words = [t.text for t in picture.findall(f"{SVG}text")]
    assert [w for w in words if w in {f"{k}, {s}" for k in HEADLINES for s in "ab"}] == [
        f"{k}, {s}" for s in "ab" for k in HEADLINES
    ]
    assert words.count("1000 GB/s \u00b7 numpy float64") == words.count("50.00 GB/s \u00b7 numpy float64") == 4
    assert len([line for line in picture.iter(f"{SVG}line") if line.get("class") == "own"]) == 4
    assert plot([]) is None


def test_the_named_systems_are_lines() -> None:
    """DGX Spark, RTX PRO 5000 and DGX Station have their lines, whatever was measured."""
    words = " ".join(t.text or "" for t in drawn([entry(0.01)]).iter(f"{SVG}text"))
    assert all(name in words for name in ("DGX Spark: 273", "RTX PRO 5000: 1344", "DGX Station, announced: 8000"))


@pytest.mark.parametrize("gbs", [1e-4, 0.01, 20.0, 9000.0, 40_000.0])
def test_the_axis_holds_every_mark(gbs: float) -> None:
    """The axis holds whatever was measured, and hostile names are text."""
    picture = drawn([entry(gbs, gbs * 1.3, device="<script>", system="s" * 100)])
    places = [float((c.get("cx") or "").rstrip("%")) for c in picture.iter(f"{SVG}circle")]
    assert places and all(0 <= place <= 100 for place in places)
    assert not list(picture.iter(f"{SVG}script"))


def test_the_page_filters_by_class_of_device_without_scripts(tmp_path: Path) -> None:
    """Each line has the class of its device, each class that occurs has a choice and a rule; nothing is fetched."""
    assert page([]) is None
    add(tmp_path)
    text = page(read_entries(tmp_path))
    assert text is not None and "<script" not in text
    rows = re.findall(r'<tr class="(\w+)"><td class="word">([\w-]+)</td>', text)
    assert rows == [("cpu", "fake-1")]
    assert re.findall(r'type="radio" name="kind" id="(\w+)"( checked)?', text) == [("all", " checked"), ("cpu", "")]
    assert "main:has(#cpu:checked) tbody tr:not(.cpu){display:none}" in text
    assert re.findall(r'href="([^"d]\S+)"', text) == ["fake-1/20261123T101500Z-3f2a.csv", "README.md"]


def test_devices_have_a_class() -> None:
    """CPUs, GPUs that share the system's memory, and GPUs with memory of their own."""
    devices = ({"kind": "cpu"}, {"kind": "gpu", "integrated": True}, {"kind": "gpu", "integrated": False})
    kinds = [Entry(Path("x.csv"), ReportRun((make_result(),), {"device": device})).kind for device in devices]
    assert kinds == ["cpu", "unified", "gpu"]
