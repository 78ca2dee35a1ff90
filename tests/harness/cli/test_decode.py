"""bandmark decode on the command line: tables, JSON, validation and bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bandmark.cli import decode
from bandmark.cli.app import main
from bandmark.decoding.measured import MeasuredSystem
from bandmark.results.files import RunFiles
from fakes import make_result


@pytest.fixture
def results(tmp_path: Path) -> str:
    """A run with a GEMV and a read row on a machine with 64 GB."""
    rows = [make_result(kernel="gemv", bandwidth_gbs=80.0), make_result(kernel="read", bandwidth_gbs=90.0)]
    RunFiles(tmp_path / "a.csv").save(rows, {"device": {"memory_bytes": 64 * 10**9}})
    return str(tmp_path / "a.csv")


def test_the_table_of_models(results: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every model shown has its lines; the measured system and the three named ones have their columns."""
    assert main(["decode", "--results", results]) == 0
    out = capsys.readouterr().out
    for words in (*decode.SHOWN, "fake-1", "DGX Spark", "RTX PRO 5000", "Station (7100)", "Station (8000)"):
        assert words in out
    assert "no gemv row in nvfp4" in " ".join(out.split())


def test_the_table_leaves_out_what_cannot_be(results: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In one format, the models that can't have it are not shown; the others are."""
    assert main(["decode", "--results", results, "--weights", "q4_k_m"]) == 0
    out = capsys.readouterr().out
    assert "gpt-oss" not in out and "qwen3-14b" in out
    assert main(["decode", "--results", results, "--weights", "mxfp4-moe"]) == 0
    out = capsys.readouterr().out
    assert "gpt-oss-20b" in out and "llama-3.3" not in out


def test_one_model_as_json(results: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A row per system, strict JSON, with the batch and context that were asked for."""
    arguments = ["--model", "llama-3.1-8b", "--weights", "nvfp4", "--context", "100", "--batch", "2", "--json"]
    assert main(["decode", "--results", results, *arguments]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0]["system"] == "fake-1" and len(rows) == 5
    assert rows[0]["weight_gbs"] == 80 and rows[0]["cache_gbs"] == 90 and rows[0]["measured"] is True
    assert {(row["batch"], row["context"], row["weights"]) for row in rows} == {(2, 100, "nvfp4")}


def test_a_named_system_needs_no_measurement(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Asked for a published system alone, nothing is measured."""
    monkeypatch.setattr("bandmark.decoding.predict.measure_here", lambda *wanted: pytest.fail("measured"))
    assert main(["decode", "--system", "dgx-spark", "--model", "gpt-oss-20b"]) == 0
    out = capsys.readouterr().out
    assert "DGX Spark" in out and "RTX PRO" not in out


@pytest.mark.parametrize(
    ("arguments", "formats"),
    [
        (["--model", "llama-3.1-8b", "--weights", "q4_k_m"], ("int4",)),
        (["--model", "llama-3.1-8b"], ("int4", "int8", "fp8", "nvfp4", "mxfp4")),
        (["--model", "gpt-oss-20b"], ("mxfp4",)),
        (["--model", "llama-3.1-8b", "--weights", "q6_k"], ()),
    ],
)
def test_without_results_the_formats_that_count_are_measured(
    arguments: list[str], formats: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fresh run is of gemv in the formats of the weights that are shown, of kv where there is one, and of read."""
    asked: list[tuple[object, ...]] = []

    def measured(*wanted: object) -> object:
        asked.append(wanted)
        row = make_result(kernel="gemv", bandwidth_gbs=80.0)
        return MeasuredSystem("fake-1", "Fake GPU", (row,), None)

    monkeypatch.setattr("bandmark.decoding.predict.measure_here", measured)
    assert main(["decode", *arguments]) == 0
    assert asked == [(("gemv", "kv", "read"), formats)]


@pytest.mark.parametrize("arguments", [["--context", "-1"], ["--batch", "0"], ["--weights", "x"], ["--model", "x"]])
def test_nonsense_is_refused_before_measuring(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Options that make no sense end the command at once, without a run."""
    monkeypatch.setattr("bandmark.decoding.predict.measure_here", lambda *wanted: pytest.fail("measured"))
    assert main(["decode", *arguments]) == 2


def test_a_config_file(results: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model's config.json or its folder stands for a name of the table; a damaged one is named."""
    folder = tmp_path / "mine"
    folder.mkdir()
    config = {
        "model_type": "llama",
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 128,
    }
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 1000}))
    for name in (str(folder), str(folder / "config.json")):
        assert main(["decode", "--results", results, "--model", name]) == 0
        assert capsys.readouterr().out.startswith("mine: ")
    (folder / "config.json").write_text(json.dumps(config))
    assert main(["decode", "--results", results, "--model", str(folder)]) == 2
    assert "'vocab_size' is missing" in capsys.readouterr().err


def test_the_validation(capsys: pytest.CaptureFixture[str]) -> None:
    """It prints every row and the verdict, or all of it as JSON, and exits with 0 because it holds."""
    assert main(["decode", "--validate"]) == 0
    assert "the validation holds" in capsys.readouterr().out
    assert main(["decode", "--validate", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["holds"] is True


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "gpt-5"], "unknown model"),
        (["--weights", "fp3"], "unknown weight format"),
        (["--model", "llama-3.1-8b", "--weights", "mxfp4-moe"], "dense"),
        (["--system", "dgx-sparc"], "Did you mean 'dgx-spark'"),
        (["--context", "-1"], "--context -1"),
        (["--batch", "0"], "--batch 0"),
        (["--model", "missing/config.json"], "can't read"),
    ],
)
def test_bad_input(results: str, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not accepted exits with 2 and says what is."""
    assert main(["decode", "--results", results, *arguments]) == 2
    captured = capsys.readouterr()
    assert words in captured.err and captured.out == ""


def test_results_without_a_gemv_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They can't tell how fast weights are read: exit 2, with what to run."""
    RunFiles(tmp_path / "a.csv").save([make_result(kernel="triad")], {})
    assert main(["decode", "--results", str(tmp_path / "a.csv")]) == 2
    assert "bandmark run --kernel gemv" in capsys.readouterr().err


def test_systems_side_by_side_and_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    """Named systems and a described one stand beside each other, and JSON says which are covered by published rates."""
    arguments = ["--system", "rtx-4090,h200-sxm", "--peak", "800", "--memory", "64", "--model", "qwen3-8b", "--json"]
    assert main(["decode", *arguments, "--weights", "q4_k_m"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["system"] for row in rows] == ["800 GB/s", "rtx-4090", "h200-sxm"]
    assert [row["covered"] for row in rows] == [False, True, False]
    assert rows[0]["memory_bytes"] == 64e9


def test_the_list_of_systems(capsys: pytest.CaptureFixture[str]) -> None:
    """It has a line per system with class, bandwidth and memory, or all of it as JSON."""
    assert main(["decode", "--list"]) == 0
    out = capsys.readouterr().out
    assert "dgx-spark" in out and "apple-m4-pro" in out and "arc-b580" in out
    assert main(["decode", "--list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) > 140


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--system", "rtx-409"], "Did you mean 'rtx-4090'? bandmark decode --list"),
        (["--system", "dgx-spark,x"], "unknown system 'x'"),
        (["--memory", "64"], "--memory goes with --peak"),
        (["--peak", "fast"], "--peak 'fast' is not a peak"),
        (["--peak", "800", "--memory", "-1"], "--memory -1 is not a size"),
    ],
)
def test_systems_are_refused_before_measuring(
    arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is no system exits with 2 at once, without a run."""
    monkeypatch.setattr("bandmark.decoding.predict.measure_here", lambda *wanted: pytest.fail("measured"))
    assert main(["decode", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_the_files_own_format_comes_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The format of quantization_config is shown before those that people download; an unknown one is told."""
    config = {"model_type": "llama", "hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4}
    config |= {"intermediate_size": 512, "vocab_size": 1000}
    for method, first in (({"quant_method": "awq", "bits": 4, "group_size": 128}, "awq-int4"), ({}, "q4_k_m")):
        (tmp_path / "config.json").write_text(json.dumps({**config, "quantization_config": method}))
        assert main(["decode", "--system", "dgx-spark", "--model", str(tmp_path)]) == 0
        out = capsys.readouterr().out
        assert out.split("\n\n")[1].startswith(f"{first}: ") and ("is not known" in out) is not bool(method)


def test_unknown_layers_assumed_dense(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A config.json of unknown layers is refused; assumed dense it is marked in the text and in JSON."""
    config = {"model_type": "strange", "hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4}
    (tmp_path / "config.json").write_text(json.dumps({**config, "intermediate_size": 512, "vocab_size": 1000}))
    arguments = ["--system", "dgx-spark", "--model", str(tmp_path)]
    assert main(["decode", *arguments]) == 2
    assert "--assume dense" in capsys.readouterr().err
    assert main(["decode", *arguments, "--assume", "dense"]) == 0
    assert "(assumed dense)" in capsys.readouterr().out
    assert main(["decode", *arguments, "--assume", "dense", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["model"].endswith("(assumed dense)")
