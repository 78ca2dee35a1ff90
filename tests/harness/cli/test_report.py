"""bandmark report: which file it writes, what it refuses, and that it never leaves half a page."""

from __future__ import annotations

from pathlib import Path

import pytest

from bandmark.cli.app import main
from report_runs import rows, save


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run in the current folder."""
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "run.csv", rows())
    return "run.csv"


@pytest.mark.parametrize(
    ("arguments", "name", "start"),
    [
        ([], "report.html", "<!DOCTYPE html>"),
        (["--as", "md"], "report.md", "# "),
        (["--output", "a.svg"], "a.svg", "<svg "),
        (["--output", "a.MD", "--as", "md"], "a.MD", "# "),
    ],
)
def test_the_ending_tells_the_form(
    run: str, arguments: list[str], name: str, start: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """--as and the file's ending say what is written; one line on stderr says where."""
    assert main(["report", run, *arguments]) == 0
    assert Path(name).read_text().startswith(start)
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == f"1 run in {name}\n"


@pytest.mark.parametrize("arguments", [["--output", "a.csv"], ["--output", "run.csv", "--force"], ["--output", "a"]])
def test_other_endings_are_refused(run: str, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A report never replaces a result file, not even with --force."""
    before = Path(run).read_bytes()
    assert main(["report", run, *arguments]) == 2
    assert "must end in .html, .md, .png, .svg" in capsys.readouterr().err
    assert Path(run).read_bytes() == before
    assert main(["report", run, "--as", "svg", "--output", "a.html"]) == 2


def test_an_existing_file_is_kept(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --force an existing file is refused; with it, it is replaced."""
    Path("report.html").write_text("precious")
    assert main(["report", run]) == 2
    assert "report.html exists" in capsys.readouterr().err and Path("report.html").read_text() == "precious"
    assert main(["report", run, "--force"]) == 0
    assert "precious" not in Path("report.html").read_text()


def test_to_stdout(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    """- writes the report itself, and nothing else, to stdout."""
    assert main(["report", run, "--as", "md", "--output", "-"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("# Memory bandwidth") and captured.err == ""


def test_folders_and_copies(run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder stands for its runs; a copy is left out and named."""
    (tmp_path / "in").mkdir()
    save(tmp_path / "in/copy.csv", rows(), with_json=False)
    save(tmp_path / "in/other.csv", rows(run_id="20270101T000000Z-0000"))
    assert main(["report", run, "in"]) == 0
    said = capsys.readouterr().err
    assert "in/copy.csv holds run" in said and "2 runs in report.html" in said


def test_bad_files_are_refused_and_nothing_is_written(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing file, one that is no result, and a folder that can't be written end with 2 and leave nothing."""
    Path("bad.csv").write_text("a,b\n1,2\n")
    for arguments in (["gone.csv"], ["bad.csv"], [run, "--output", "gone/a.html"]):
        assert main(["report", *arguments]) == 2
        assert capsys.readouterr().err.startswith("bandmark: ")
    assert not list(Path().glob("*.html")) and not list(Path().glob(".report*"))
