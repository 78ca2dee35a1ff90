"""The documentation of result files is generated from the one table of columns and the files themselves."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

from bandmark.publishing.schema import datapackage, generated, readme, write
from bandmark.results.row import STATUSES, columns
from corpus import good_run

RESULTS = Path(__file__).parents[3] / "results"


def test_the_documents_in_results_are_the_generated_ones() -> None:
    """What lies in results/ beside the runs is what its files and the table give: `make results-docs` renews it."""
    for name, text in generated(RESULTS).items():
        file = RESULTS / name
        assert (file.read_text(encoding="utf-8") if file.exists() else None) == text, name


def test_every_column_is_documented() -> None:
    """Each column is a line of the table, with its unit and meaning; each status too."""
    text = readme(RESULTS)
    for column in columns():
        assert f"| `{column.name}` | {column.type}" in text and column.doc in text
    for status in STATUSES:
        assert f"| `{status}` |" in text


def test_the_package_describes_the_csvs() -> None:
    """The Table Schema has the columns in order, with Frictionless types; empty is the only missing value."""
    (resource,) = datapackage()["resources"]
    fields = resource["schema"]["fields"]
    assert [f["name"] for f in fields] == [c.name for c in columns()]
    assert {f["type"] for f in fields} == {"string", "integer", "number", "boolean"}
    assert resource["schema"]["missingValues"] == [""]
    assert resource["path"] == ["*/*.csv"]
    by_name = {f["name"]: f for f in fields}
    assert by_name["status"]["constraints"]["enum"] == list(STATUSES)
    assert by_name["time_median_s"]["unit"] == "s"
    assert by_name["kernel"]["constraints"]["required"] is True


def put(folder: Path) -> Path:
    """Put a run into a folder of results."""
    text, record = good_run(kernels=("read",))
    file = folder / "fake-1" / f"{record['run_id']}.csv"
    file.parent.mkdir()
    file.write_text(text)
    file.with_suffix(".json").write_text(json.dumps(record))
    return file


def test_writing_the_documents(tmp_path: Path) -> None:
    """Page, description and plot follow the files of the folder, and only what changed is written."""
    assert [file.name for file in write(tmp_path)] == ["README.md", "datapackage.json"]
    assert write(tmp_path) == []
    file = put(tmp_path)
    assert [changed.name for changed in write(tmp_path)] == ["README.md", "bandwidth.svg"]
    assert (tmp_path / "README.md").read_text() == readme(tmp_path)
    assert json.loads((tmp_path / "datapackage.json").read_text()) == datapackage()
    assert "| fake-1 |" in (tmp_path / "README.md").read_text()
    file.unlink()
    assert [changed.name for changed in write(tmp_path)] == ["README.md", "bandwidth.svg"]
    assert not (tmp_path / "bandwidth.svg").exists()


def test_the_module_as_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m bandmark.publishing.schema FOLDER` writes the documents, or names the unreadable file."""
    monkeypatch.setattr(sys, "argv", ["schema", str(tmp_path)])
    monkeypatch.delitem(sys.modules, "bandmark.publishing.schema")
    runpy.run_module("bandmark.publishing.schema", run_name="__main__")
    assert (tmp_path / "README.md").exists()
    put(tmp_path).write_text("junk")
    with pytest.raises(SystemExit, match=r"3f2a\.csv"):
        runpy.run_module("bandmark.publishing.schema", run_name="__main__")
