"""bandmark train-step on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bandmark.cli import train_step
from bandmark.cli.app import main
from bandmark.results.files import RunFiles
from fakes import make_result


@pytest.fixture
def results(tmp_path: Path) -> str:
    """A run with a row of adamw."""
    rows = [make_result(kernel="adamw", dtype="float32", bandwidth_gbs=80.0)]
    RunFiles(tmp_path / "a.csv").save(rows, {"device": {"memory_bytes": 64 * 10**9}})
    return str(tmp_path / "a.csv")


def test_the_table(results: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The models shown, the measured system and the three named ones, and what was measured."""
    assert main(["train-step", "--results", results]) == 0
    out = " ".join(capsys.readouterr().out.split())
    for words in (*train_step.SHOWN, "fake-1", "DGX Spark", "RTX PRO 5000", "Station (8000)", "adamw float32"):
        assert words in out


def test_each_form_has_a_row_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The float32 form is timed by adamw, the other by adamw_master, and nothing stands in for either."""
    rows = [
        make_result(kernel="adamw", dtype="float32", suite="training", bandwidth_gbs=80.0),
        make_result(kernel="adamw_master", dtype="bfloat16", suite="training", bandwidth_gbs=40.0),
    ]
    RunFiles(tmp_path / "both.csv").save(rows, {})
    given = ["train-step", "--results", str(tmp_path / "both.csv"), "--model", "llama-3.2-1b", "--system", "fake-1"]
    assert main([*given, "--json"]) == 0
    float32, master = json.loads(capsys.readouterr().out)
    assert master["seconds"] == pytest.approx(2 * float32["seconds"])
    assert main(given) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "GB/s: adamw float32 (numpy)" in out and "GB/s: adamw_master bfloat16 (numpy)" in out
    assert "so of" not in out


def test_json(results: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Bytes read and written, the time and the system of each form."""
    assert main(["train-step", "--results", results, "--model", "llama-3.1-8b", "--system", "fake-1", "--json"]) == 0
    float32, master = json.loads(capsys.readouterr().out)
    assert (float32["form"], master["form"]) == ("float32", "bf16+master")
    assert float32["bytes_read"] == 16 * float32["parameters"] and float32["bytes_written"] == 12 * 8030261248
    assert float32["seconds"] == pytest.approx(28 * 8030261248 / 80e9)


def test_bad_input(results: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown model or system, and results that do not tell, exit with 2 and say what to do."""
    RunFiles(tmp_path / "b.csv").save([make_result(kernel="copy")], {})
    for arguments, words in (
        (["--results", results, "--model", "gpt-5"], "unknown model"),
        (["--results", results, "--system", "nowhere"], "unknown system"),
        (["--results", str(tmp_path / "b.csv")], "no measured row of adamw"),
    ):
        assert main(["train-step", *arguments]) == 2
        assert words in capsys.readouterr().err
