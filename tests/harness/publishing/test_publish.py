"""A run gets among the published results checked, cleaned, under its name, and once."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bandmark.cli import main
from bandmark.cli import publish as command
from bandmark.device.peaks import find_peak
from bandmark.errors import FileError
from bandmark.options import RunOptions
from bandmark.publishing.folder import generate
from bandmark.publishing.publish import describe, prepare
from bandmark.results.files import read_rows
from bandmark.validation.validate import check, check_run
from corpus import DEVICE, GB10, Pair, good_run, pair
from fakes import make_peak

RUN_ID = "20261123T101500Z-3f2a"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with an empty folder of results, and nobody at the keyboard."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "datapackage.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    return tmp_path


def publish(*options: str) -> int:
    """Run the command on run.csv."""
    return main(["publish", "run.csv", *options])


def tree(folder: Path) -> dict[str, bytes]:
    """All files below a folder, with their contents."""
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def write(folder: Path, **options: Any) -> Path:
    """Write a run of the harness as run.csv and run.json."""
    return pair(good_run(**options)).write(folder)


def test_a_run_is_published(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The pair lies under its system and run_id, the page is renewed, the git commands are printed."""
    file = write(here)
    before = file.read_bytes()
    assert publish() == 0
    said = capsys.readouterr()
    out = said.out
    assert out.startswith("This becomes public:") and "\nFor a pull request:\n" in out
    assert "wrote results/fake-1/" in said.err
    assert sorted(tree(here / "results")) == [
        "README.md",
        "bandwidth.svg",
        "datapackage.json",
        f"fake-1/{RUN_ID}.csv",
        f"fake-1/{RUN_ID}.json",
        "index.html",
    ]
    assert (here / f"results/fake-1/{RUN_ID}.csv").read_bytes() == before == file.read_bytes()
    assert "git switch -c fake-1-" in out and "git add -A results" in out and "gh pr create" in out
    assert "| fake-1 |" in (here / "results/README.md").read_text()
    assert [violation for one in check([here / "results"]) for violation in one.violations] == []


def test_what_becomes_public_is_shown(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files, system, device, rows, machine, versions and notes are shown before anything is written."""
    write(here)
    assert publish("--dry-run") == 0
    said = capsys.readouterr()
    for part in (f"results/fake-1/{RUN_ID}.csv", "Fake CPU, 1 kB", "9 ok, 1 unsupported", "Fake CPU @ 3 GHz", "2.4.6"):
        assert part in said.out
    assert "a note" in said.out and "removed   nothing" in said.out
    assert sorted(tree(here / "results")) == ["datapackage.json"]
    assert "nothing was written" in said.err and "git switch" not in said.out


def test_publishing_again_changes_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second time, and from the published file itself, all stays as it is."""
    write(here)
    publish()
    first = tree(here / "results")
    assert publish() == 0
    assert "published already; nothing changed" in capsys.readouterr().err
    assert main(["publish", f"results/fake-1/{RUN_ID}.csv"]) == 0
    assert tree(here / "results") == first


def test_private_things_are_taken_out(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Host and user names, UUIDs, serial numbers and paths are named, and are not in what is written."""
    text, record = good_run()
    reason = "torch has no one-pass op, says a test"
    text = text.replace(reason, "OSError: /home/piggy/lib.so of piggy")
    record["notes"] += ["GPU-8a56b1f0-4d5e-11ee-be56-0242ac120002", "host kermit.local, serial number 0123456789"]
    record["backends"]["numpy"]["hostname"] = "kermit"
    record["samples"][0]["user"] = "piggy"
    pair((text, record)).write(here)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("getpass.getuser", lambda: "piggy")
        assert publish() == 0
    out = capsys.readouterr().out
    assert out.count("  removed  ") == 7
    for name in (
        "backends.numpy.hostname: 'kermit'",
        "samples[0].user: 'piggy'",
        "(UUID)",
        "(path)",
        "(serial number)",
        "(host name)",
    ):
        assert name in out
    written = b"".join(tree(here / "results").values())
    for secret in (b"piggy", b"kermit", b"8a56b1f0", b"0123456789", b"/home"):
        assert secret not in written
    assert b"OSError: [removed] of [removed]" in written


def test_invalid_files_are_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file with a violation is not published, and the violation is said."""
    text, record = good_run()
    Pair(text.replace(",ok,", ",fine,").encode(), json.dumps(record).encode()).write(here)
    assert publish() == 2
    said = capsys.readouterr()
    assert "run.csv:2: status of numpy copy float64: 'fine'" in said.out
    assert "not published" in said.err
    assert sorted(tree(here / "results")) == ["datapackage.json"]


@pytest.mark.parametrize(
    "options",
    [
        {"peak": make_peak(0.01)},
        {"errors": dict.fromkeys(("copy", "triad", "nstream", "read", "gemv"), 2.0)},
        {"device": DEVICE.__class__(kind="cpu", name="Big cache", llc_bytes=10**9)},
    ],
    ids=["suspect", "failed", "in the cache"],
)
def test_a_run_without_a_sound_figure(here: Path, options: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Without one row that is ok, verified and from memory there is nothing to publish."""
    write(here, **options)
    assert publish() == 2
    assert "nothing to publish: no row is ok, verified and in the dram regime" in capsys.readouterr().err
    assert sorted(tree(here / "results")) == ["datapackage.json"]


def test_failed_rows_stay_and_are_no_headline(here: Path) -> None:
    """A failed row is published beside sound ones, and is not on the leaderboard."""
    write(here, errors={"read": 2.0})
    assert publish() == 0
    rows = read_rows(here / f"results/fake-1/{RUN_ID}.csv")
    assert sum(row.status == "failed_verification" for row in rows) == 2
    line = next(x for x in (here / "results/README.md").read_text().splitlines() if x.startswith("| fake-1 "))
    assert line.split(" | ")[3] == "" and "2 failed verification rows" in line


def test_the_system_is_asked_for(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nothing tells the system's name, a person is asked; an empty answer takes the device's."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    write(here, options=RunOptions())
    asked: list[str] = []
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or "my-desk")
    assert publish() == 0
    assert "[fake-1]" in asked[0]
    assert "system    my-desk" in capsys.readouterr().out
    (row, *_) = read_rows(here / f"results/my-desk/{RUN_ID}.csv")
    record = json.loads((here / f"results/my-desk/{RUN_ID}.json").read_text())
    assert row.system == record["system"] == "my-desk"
    monkeypatch.setattr("builtins.input", lambda question: (_ for _ in ()).throw(EOFError))
    assert command._ask("x") == ""


def test_the_system_can_not_be_asked_for(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal the error names the option, which then names the system."""
    write(here, options=RunOptions())
    assert publish() == 2
    assert "--system NAME" in capsys.readouterr().err
    assert publish("--system", "My Desk") == 2
    assert "lower-case letters" in capsys.readouterr().err
    assert publish("--system", "my-desk") == 0
    assert (here / f"results/my-desk/{RUN_ID}.csv").exists()
    assert check_run(here / f"results/my-desk/{RUN_ID}.csv").violations == []


def test_a_device_of_the_catalogue_tells_the_system(here: Path) -> None:
    """A device that is part of one system names it, with nobody to ask."""
    write(here, device=GB10, peak=find_peak(GB10), gbs=0.2, system="dgx-spark-gb10", options=RunOptions())
    assert publish() == 0
    assert (here / f"results/dgx-spark-gb10/{RUN_ID}.csv").exists()


def test_published_results_do_not_change(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Other figures under the same run, or the same run under another system, are refused."""
    write(here)
    publish()
    before = tree(here / "results")
    write(here, seed=2)
    assert publish() == 2
    told = capsys.readouterr().err
    assert "Results are not changed once published" in told and "row[0].time_median_s is" in told
    write(here)
    assert publish("--system", "other") == 2
    assert "is published already, as results/fake-1" in capsys.readouterr().err
    assert tree(here / "results") == before


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (lambda r: r["notes"].append("more"), "notes[1] is None, here 'more'"),
        (lambda r: r["machine"].update(load_1min=9.0), "machine.load_1min is 0.1, here 9.0"),
        (lambda r: r["samples"][1].update(memory_clock_mhz=9), "samples[1].memory_clock_mhz is None, here 9"),
        (lambda r: r.update(complete=False), "complete is True, here False"),
    ],
)
def test_a_json_with_other_contents_is_refused(
    here: Path, change: Callable[[dict[str, Any]], object], difference: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An equal CSV whose JSON differs is not published over the other; the difference is named."""
    write(here)
    publish()
    before = tree(here / "results")
    record = json.loads((here / "run.json").read_text())
    change(record)
    (here / "run.json").write_text(json.dumps(record))
    assert publish() == 2
    assert difference in " ".join(capsys.readouterr().err.split())
    assert tree(here / "results") == before


def test_half_a_pair_is_not_completed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where one file of a published pair is missing, the other is not replaced."""
    write(here)
    publish()
    published = here / f"results/fake-1/{RUN_ID}.csv"
    published.unlink()
    assert publish() == 2
    assert f"{RUN_ID}.csv is missing" in capsys.readouterr().err
    assert publish("--system", "other") == 2


def test_an_older_layout_is_the_same_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A published file without the columns that were appended since is the same run, and stays as it is."""
    write(here)
    publish()
    published = here / f"results/fake-1/{RUN_ID}.csv"
    older = "".join(line.rsplit(",", 2)[0] + "\n" for line in published.read_text().splitlines())
    published.write_text(older)
    for file in ("run.csv", f"results/fake-1/{RUN_ID}.csv"):
        assert main(["publish", file]) == 0
    assert published.read_text() == older


@pytest.mark.parametrize(
    "link", ["run.csv", "run.json", "results", "results/fake-1", f"results/fake-1/{RUN_ID}.json", "results/README.md"]
)
def test_links_are_refused(here: Path, link: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither what is published nor where it goes may be a link to elsewhere."""
    write(here)
    place, elsewhere = here / link, here / "elsewhere"
    if place.exists():
        place.rename(elsewhere)
    else:
        place.parent.mkdir(exist_ok=True)
        elsewhere.mkdir() if not place.suffix else elsewhere.write_text("precious")
    place.symlink_to(elsewhere)
    before = tree(elsewhere) if elsewhere.is_dir() else elsewhere.read_bytes()
    assert publish() == 2
    assert f"{link} is a symbolic link" in " ".join(capsys.readouterr().err.split())
    assert (tree(elsewhere) if elsewhere.is_dir() else elsewhere.read_bytes()) == before


def test_names_of_the_catalogue_are_not_scrubbed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who is called like a kernel publishes it; one whose name is a part of others loses no row."""
    write(here)
    monkeypatch.setattr("getpass.getuser", lambda: "copy")
    monkeypatch.setattr("socket.gethostname", lambda: "ump")
    assert publish() == 0
    rows = read_rows(here / f"results/fake-1/{RUN_ID}.csv")
    assert {row.kernel for row in rows} >= {"copy"} and {row.backend for row in rows} == {"numpy", "torch"}


def test_a_name_that_gives_something_away_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name in the settings that can be no implementation's is neither changed nor published."""
    text, record = good_run()
    record["settings"]["variants"] = ["node001"]
    pair((text, record)).write(here)
    assert publish() == 2
    assert "settings.variants[0] is 'node001', not a plain name" in " ".join(capsys.readouterr().err.split())
    assert sorted(tree(here / "results")) == ["datapackage.json"]


def test_every_value_is_shown(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each text and number of the record, and each text of the rows, is in what is shown."""
    file = write(here)
    assert publish("--dry-run") == 0
    out = capsys.readouterr().out
    record = json.loads(file.with_suffix(".json").read_text())
    for name, block in record.items():
        values = block.values() if isinstance(block, dict) else [block]
        for value in values if name not in ("samples", "backends") else ():
            assert isinstance(value, dict | list) or value is None or str(value) in out, (name, value)
    for row in read_rows(file):
        assert all(text in out for text in (row.reason, row.verdict, row.peak_source, row.stop_reason) if text)
    assert "numbers from" in out


def test_a_run_that_was_measured_into_results_is_moved(here: Path) -> None:
    """A run that lies among the results under another name gets its place and leaves no copy."""
    (here / "results/mine").mkdir()
    write(here / "results/mine")
    assert main(["publish", "results/mine/run.csv"]) == 0
    assert sorted(name for name in tree(here / "results") if "/" in name) == [
        f"fake-1/{RUN_ID}.csv",
        f"fake-1/{RUN_ID}.json",
    ]


def test_a_damaged_neighbour_stops_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If the page can't be renewed, nothing is written."""
    (here / "results/bad").mkdir()
    (here / "results/bad/x.csv").write_text("a,b\n")
    write(here)
    assert publish() == 2
    assert "bad/x.csv" in capsys.readouterr().err
    assert sorted(tree(here / "results")) == ["bad/x.csv", "datapackage.json"]


def test_where_there_are_no_results(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Outside a checkout the folder must be named; a folder is not a run."""
    write(here)
    assert publish("--results", "nowhere") == 2
    assert "--results DIR" in capsys.readouterr().err
    assert main(["publish", "results"]) == 2
    assert "publish takes one result CSV" in capsys.readouterr().err


def test_results_that_can_not_be_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the system's folder can't be made, the error names it."""
    write(here)
    (here / "results/fake-1").write_text("a file in place of the folder")
    assert publish() == 2
    assert "can't write results/fake-1" in capsys.readouterr().err


def test_violations_are_not_prepared(tmp_path: Path) -> None:
    """Only a checked run without violations becomes a publication; its texts are what is described."""
    file = write(tmp_path)
    made = prepare(check_run(file), tmp_path)
    assert [len(text) > 0 for text in made.texts().values()] == [True, True]
    assert len(describe(made)) > 8
    file.write_text("junk")
    with pytest.raises(ValueError, match="violations"):
        prepare(check_run(file), tmp_path)


def test_cleaning_must_not_break_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a run has a violation once private things are out, it is not published and the violation is said."""
    file = write(tmp_path)
    monkeypatch.setattr(
        "bandmark.publishing.publish.clean_run", lambda rows, record, names: (rows, record | {"notes": [1]}, [])
    )
    with pytest.raises(FileError, match=r"notes\[0\]: 1,.*take it out of"):
        prepare(check_run(file), tmp_path)


def test_generated_files_follow(here: Path) -> None:
    """After publishing, what is generated is what the folder's files give."""
    write(here)
    publish()
    for name, text in generate(here / "results").items():
        assert (here / "results" / name).read_text() == text
