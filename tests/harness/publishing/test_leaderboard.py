"""The leaderboard shows sound figures only, one line per system, the same from the same files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bandmark.device.device import Device
from bandmark.errors import FileError
from bandmark.publishing.leaderboard import caveats, escape, leaderboard, markdown, ranked, read_runs
from bandmark.session.session import Request
from corpus import DEVICE, good_run
from fakes import make_peak


def add(folder: Path, run_id: str = "20261123T101500Z-3f2a", system: str = "fake-1", **options: Any) -> Path:
    """Put a run of the harness into a folder of results."""
    text, record = good_run(run_id=run_id, system=system, **options)
    file = folder / system / f"{run_id}.csv"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    file.with_suffix(".json").write_text(json.dumps(record))
    return file


def lines(folder: Path) -> list[list[str]]:
    """The cells of the leaderboard's rows."""
    return [line[2:-2].split(" | ") for line in leaderboard(folder).splitlines() if line.startswith("| ")][2:]


def test_without_results(tmp_path: Path) -> None:
    """An empty folder has no leaderboard."""
    assert leaderboard(tmp_path) == "No run is published yet."


def test_a_line_of_the_leaderboard(tmp_path: Path) -> None:
    """System, device, peak, figures with percentages, versions, date with its file, and caveats."""
    add(tmp_path)
    ((system, device, peak, read, copy, _, gemv, versions, date, caveat),) = lines(tmp_path)
    assert (system, device, peak) == ("fake-1", "Fake CPU, 1 kB", "0.02")
    assert all(figure.startswith("0.01") and "(60 %), " in figure for figure in (read, copy, gemv))
    assert versions == "numpy 2.4.6, torch 2.13.0+cpu, bandmark 0.1.0"
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
    assert leaderboard(tmp_path) == "No run is published yet."
    add(tmp_path, system="partly", errors={"read": 2.0, "gemv": 3.0})
    ((system, _, _, read, copy, triad, gemv, _, _, caveat),) = lines(tmp_path)
    assert system == "partly" and read == gemv == "" and copy and triad
    assert "4 rows failed verification" in caveat


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
    assert leaderboard(one) == leaderboard(two)
    assert [cells[0] for cells in lines(one)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"request": Request(quick=True)}, "a quick run"),
        ({"peak": make_peak(None)}, "no peak known"),
        ({"machine": {"is_wsl": True}}, "WSL2"),
        ({"errors": {"read": 2.0}}, "2 rows failed verification"),
    ],
)
def test_caveats(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    """What speaks against comparing a run is said in its line."""
    add(tmp_path, **options)
    (run,) = read_runs(tmp_path)
    assert said in caveats(run)


def test_a_run_that_was_cut_short(tmp_path: Path) -> None:
    """A run that did not come to its end says so."""
    file = add(tmp_path).with_suffix(".json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"complete": False}))
    assert "cut short" in caveats(read_runs(tmp_path)[0])


def test_names_can_not_break_the_page(tmp_path: Path) -> None:
    """Markup in a device's name is shown, not obeyed."""
    name = "A|B <script>alert(1)</script> [x](javascript:y) `z` *b*"
    add(tmp_path, device=Device(kind="cpu", name=name, llc_bytes=1000, memory_bytes=1))
    board = leaderboard(tmp_path)
    assert "<script>" not in board and "\\|" in board and "\\[x\\](javascript:y)" in board
    assert escape("a\nb") == "a b"


def test_damaged_files_are_named(tmp_path: Path) -> None:
    """A CSV that is none, and a JSON that is none or missing, stop the leaderboard with their names."""
    file = add(tmp_path)
    record = file.with_suffix(".json")
    for junk in ("{", "[]"):
        record.write_text(junk)
        with pytest.raises(FileError, match=r"3f2a\.json"):
            leaderboard(tmp_path)
    record.unlink()
    with pytest.raises(FileError, match=r"3f2a\.json is missing"):
        leaderboard(tmp_path)
    file.write_text("junk")
    with pytest.raises(FileError, match=r"3f2a\.csv"):
        leaderboard(tmp_path)


def test_ranked_runs(tmp_path: Path) -> None:
    """Ranking needs a figure of any kernel, not of a headline."""
    add(tmp_path, kernels=("nstream",))
    (run,) = ranked(read_runs(tmp_path))
    assert run.headline is not None and run.headline.kernel == "nstream"


def test_markdown() -> None:
    """A table has its header, the line below it, and its rows."""
    assert markdown(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
