"""The examples of the library run as they stand, in one process, and print what they promise."""

from __future__ import annotations

import ast
import json
import runpy
from pathlib import Path

import pytest

from notebook import notebook

NOTEBOOK = Path(__file__).parent.parent / "docs" / "notebook.py"


@pytest.mark.slow
def test_the_notebook_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Its cells run in order on small arrays: two runs of three kernels, their comparison, and both read back."""
    monkeypatch.setenv("BANDMARK_SIZE", "65536")
    made = runpy.run_path(str(NOTEBOOK))
    assert list(made["first"].kernel) == list(made["second"].kernel) == ["copy", "triad", "read"]
    assert len(made["both"]) == 6 and set(made["both"].run_id) == {*made["first"].run_id, *made["second"].run_id}
    assert made["both"].bandwidth_gbs.gt(0).all()
    assert len(made["verdicts"]) == 3
    said = capsys.readouterr().out
    assert "of 3 rows are ok" in said and "UNCLEAR" in said


def test_the_notebook_of_jupyter_is_the_same() -> None:
    """`python tools/notebook.py` writes docs/notebook.ipynb from the script, without outputs."""
    text = NOTEBOOK.with_suffix(".ipynb").read_text()
    assert text == notebook(NOTEBOOK.read_text())
    cells = json.loads(text)["cells"]
    assert [cell["cell_type"] for cell in cells].count("code") >= 5 and cells[0]["cell_type"] == "markdown"


@pytest.mark.slow
def test_the_cells_of_jupyter_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The code cells run one after the other in one namespace, as a kernel runs them."""
    monkeypatch.setenv("BANDMARK_SIZE", "65536")
    names: dict[str, object] = {}
    for cell in json.loads(NOTEBOOK.with_suffix(".ipynb").read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert "verdicts" in names and "of 3 rows are ok" in capsys.readouterr().out


def test_the_notebook_has_cells_and_needs_no_process() -> None:
    """It is in percent format, begins with a cell, and imports nothing that starts a process."""
    text = NOTEBOOK.read_text()
    assert text.startswith("# %%") and text.count("\n# %%\n") >= 4
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    }
    assert imported <= {"os", "pathlib", "tempfile", "bandmark"}
