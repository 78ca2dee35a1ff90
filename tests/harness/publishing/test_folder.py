"""The documentation of result files is generated from the one table of columns and the files themselves."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
from pathlib import Path

import pytest

from bandmark.cli import main
from bandmark.errors import FileError
from bandmark.publishing.folder import _datapackage, generate, write
from bandmark.results.row import STATUSES, columns
from corpus import good_run

RESULTS = Path(__file__).parents[3] / "results"


def test_the_documents_in_results_are_the_generated_ones() -> None:
    """What lies in results/ beside the runs is what its files and the table give: `make results-docs` renews it."""
    for name, text in generate(RESULTS).items():
        file = RESULTS / name
        assert (file.read_text(encoding="utf-8") if file.exists() else None) == text, name


def test_a_changed_document_is_a_violation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`bandmark validate` names each generated file that is not what the results give, and accepts those that are."""
    folder = tmp_path / "results of mine"
    shutil.copytree(RESULTS, folder)
    assert main(["validate", str(folder)]) == 0
    (folder / "README.md").write_text("Fastest of all: mine.\n")
    (folder / "bandwidth.svg").unlink()
    (folder / "index.html").write_text("<script>alert(1)</script>")
    (folder / "datapackage.json").write_text("{}")
    capsys.readouterr()
    assert main(["validate", str(folder)]) == 2
    lines = capsys.readouterr().out.splitlines()
    names = {"README.md", "datapackage.json", "bandwidth.svg", "index.html"}
    assert {Path(line.split(":")[0]).name for line in lines} == names and len(lines) == 4
    assert all(f"folder '{folder}'` writes it" in line for line in lines)


def test_every_column_is_documented() -> None:
    """Each column is a line of the table, with its unit and meaning; each status too."""
    text = generate(RESULTS)["README.md"]
    assert text is not None
    for column in columns():
        assert f"| `{column.name}` | {column.type}" in text and column.doc in text
    for status in STATUSES:
        assert f"| `{status}` |" in text


def test_the_package_describes_the_csvs(tmp_path: Path) -> None:
    """Each layout of CSVs is a table with its files and columns; empty is the only missing value; JSONs are listed."""
    new, old = put(tmp_path), put(tmp_path, "20261122T101500Z-3f2a")
    newer = put(tmp_path, "20261124T101500Z-3f2a")
    old.write_text("".join(line.rsplit(",", 2)[0] + "\n" for line in old.read_text().splitlines()))
    page, runs, older, *records = _datapackage(tmp_path)["resources"]
    names = [c.name for c in columns()]
    assert page["path"] == "README.md"
    assert runs["path"] == [f"fake-1/{new.name}", f"fake-1/{newer.name}"] and older["path"] == [f"fake-1/{old.name}"]
    assert [f["name"] for f in runs["schema"]["fields"]] == names
    assert [f["name"] for f in older["schema"]["fields"]] == names[:-2]
    assert [record["path"] for record in records] == [f"fake-1/{f.stem}.json" for f in (old, new, newer)]
    assert {f["type"] for f in runs["schema"]["fields"]} == {"string", "integer", "number", "boolean"}
    assert runs["schema"]["missingValues"] == [""]
    fields = {f["name"]: f for f in runs["schema"]["fields"]}
    assert fields["status"]["constraints"]["enum"] == list(STATUSES)
    assert fields["time_median_s"]["unit"] == "s" and fields["time_median_s"]["constraints"]["minimum"] == 0
    assert "minimum" not in fields["temperature_c"]["constraints"] and "pattern" in fields["run_id"]["constraints"]
    assert fields["kernel"]["constraints"]["required"] is True


def test_links_and_unknown_columns_are_refused(tmp_path: Path) -> None:
    """A page that is a link is not written through, and a CSV with a column of no meaning stops the description."""
    (tmp_path / "README.md").symlink_to(tmp_path / "precious.txt")
    with pytest.raises(FileError, match=r"README\.md is a symbolic link"):
        write(tmp_path)
    assert not (tmp_path / "precious.txt").exists()
    file = put(tmp_path)
    header, _, rest = file.read_text().partition("\n")
    file.write_text(f"{header},more\n" + "".join(f"{line},1\n" for line in rest.splitlines()))
    with pytest.raises(FileError, match="column 'more'"):
        _datapackage(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("damage", [False, True], ids=["sound", "damaged"])
def test_other_programs_accept_the_package(tmp_path: Path, damage: bool) -> None:
    """Frictionless finds the published results valid, and a wrong status in them invalid."""
    from frictionless import Package

    results = tmp_path / "results"
    shutil.copytree(RESULTS, results)
    if damage:
        file = next(results.glob("*/*.csv"))
        file.write_text(file.read_text().replace(",ok,", ",fine,", 1))
    report = Package(str(results / "datapackage.json")).validate()
    errors = [(error.type, getattr(error, "field_name", "")) for task in report.tasks for error in task.errors]
    assert errors == ([("constraint-error", "status")] if damage else [])
    assert len(report.tasks) > 3


def put(folder: Path, run_id: str = "20261123T101500Z-3f2a") -> Path:
    """Put a run into a folder of results."""
    text, record = good_run(kernels=("read",), run_id=run_id)
    file = folder / "fake-1" / f"{run_id}.csv"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    file.with_suffix(".json").write_text(json.dumps(record))
    return file


def test_writing_the_documents(tmp_path: Path) -> None:
    """Page, description and plot follow the files of the folder, and only what changed is written."""
    assert [file.name for file in write(tmp_path)] == ["README.md", "datapackage.json"]
    assert write(tmp_path) == []
    file = put(tmp_path)
    assert [changed.name for changed in write(tmp_path)] == [
        "README.md",
        "datapackage.json",
        "index.html",
        "bandwidth.svg",
    ]
    assert (tmp_path / "README.md").read_text() == generate(tmp_path)["README.md"]
    assert json.loads((tmp_path / "datapackage.json").read_text()) == _datapackage(tmp_path)
    assert "| fake-1 |" in (tmp_path / "README.md").read_text()
    file.unlink()
    assert [changed.name for changed in write(tmp_path)] == [
        "README.md",
        "datapackage.json",
        "index.html",
        "bandwidth.svg",
    ]
    assert not (tmp_path / "bandwidth.svg").exists() and not (tmp_path / "index.html").exists()


def test_the_module_as_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m bandmark.publishing.folder FOLDER` writes the documents, or names the unreadable file."""
    monkeypatch.setattr(sys, "argv", ["folder", str(tmp_path)])
    monkeypatch.delitem(sys.modules, "bandmark.publishing.folder")
    runpy.run_module("bandmark.publishing.folder", run_name="__main__")
    assert (tmp_path / "README.md").exists()
    put(tmp_path).write_text("junk")
    with pytest.raises(SystemExit, match=r"3f2a\.csv"):
        runpy.run_module("bandmark.publishing.folder", run_name="__main__")
