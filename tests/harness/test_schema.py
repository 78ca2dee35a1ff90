"""The documentation of result files is generated from the one table of columns."""

from __future__ import annotations

import json
from pathlib import Path

from bandmark.record import STATUSES, columns
from bandmark.schema import datapackage, readme, write

RESULTS = Path(__file__).parents[2] / "results"


def test_the_documents_in_results_are_the_generated_ones() -> None:
    """results/README.md and results/datapackage.json are what the table gives: `make results-docs` renews them."""
    assert (RESULTS / "README.md").read_text(encoding="utf-8") == readme(RESULTS)
    assert json.loads((RESULTS / "datapackage.json").read_text(encoding="utf-8")) == datapackage()


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


def test_writing_the_documents(tmp_path: Path) -> None:
    """The module writes both files into a folder."""
    write(tmp_path)
    assert (tmp_path / "README.md").read_text() == readme(tmp_path)
    assert json.loads((tmp_path / "datapackage.json").read_text()) == datapackage()
