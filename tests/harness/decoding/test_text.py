"""Predicted rates as people see them."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest

from bandmark.decoding.predict import NAMED, Prediction, System, predict, published_system
from bandmark.decoding.text import show_model, show_rates
from bandmark.models.model import find_model, load_models
from bandmark.models.weights import FORMATS

SYSTEMS = [published_system(named) for named in NAMED]
LONG = replace(
    SYSTEMS[0],
    name="intel-xeon-platinum-8480-processor [2 vcpu]",
    weight_gbs=2.0,
    cache_gbs=2.0,
    measured=True,
    device_class="cpu",
    memory_bytes=None,
)


def rates(models: list[str], formats: list[str], systems: list[System], context: int = 4096) -> list[Prediction]:
    """Return the predictions of models in formats on systems."""
    pairs = [(find_model(model), FORMATS[name]) for model in models for name in formats]
    return [predict(system, *pair, context=context) for pair in pairs for system in systems]


def cells(line: str) -> list[str]:
    """Return the cells of a line of a table."""
    return re.split(r"\s{2,}", line.strip())


def test_the_table_has_a_line_per_model_and_format(capsys: pytest.CaptureFixture[str]) -> None:
    """Each line has the stored weights, the cache per token, and expected and bound for each system."""
    predictions = rates(["llama-3.1-8b", "llama-3.3-70b"], ["fp16", "nvfp4"], SYSTEMS)
    show_rates(predictions)
    lines = capsys.readouterr().out.splitlines()
    assert cells(lines[0]) == ["model", "weights", "GB", "KV", *(system.name for system in SYSTEMS)]
    assert cells(lines[1])[:4] == ["llama-3.1-8b", "fp16", "16.06", "131072"]
    assert cells(lines[1])[4] == f"{predictions[0].expected:.1f} <{predictions[0].bound:.1f}"
    assert [cells(line)[:2] for line in lines[2:5]] == [
        ["llama-3.1-8b", "nvfp4"], ["llama-3.3-70b", "fp16"], ["llama-3.3-70b", "nvfp4"],
    ]  # fmt: skip
    assert cells(lines[4])[5] == "too big"
    assert any("four of five published" in line for line in lines)


def test_a_cell_marks_what_no_published_rate_covers(capsys: pytest.CaptureFixture[str]) -> None:
    """A rate for HBM, of which nothing was published, has a question mark; a model that is too big has no rate."""
    show_rates(rates(["llama-3.3-70b"], ["fp8"], SYSTEMS, context=0))
    spark, card, station, _ = cells(capsys.readouterr().out.splitlines()[1])[4:]
    assert "?" not in spark and card == "too big" and re.fullmatch(r"[\d.]+\? <[\d.]+", station)


def test_all_about_one_model(capsys: pytest.CaptureFixture[str]) -> None:
    """Parameters, cache, times and shares, memory, batches and sources of the figures."""
    predictions = rates(["gpt-oss-120b"], ["mxfp4-moe"], SYSTEMS)
    show_model(predictions)
    text = capsys.readouterr().out
    for words in (
        "116.8 B parameters",
        "5.131 B",
        "73728 bytes",
        "fits",
        "too big",
        "by batch",
        "7100 is the shipping",
    ):
        assert words in text
    spark = next(line for line in text.splitlines() if line.startswith("DGX Spark "))
    first = predictions[0]
    assert cells(spark)[:4] == [
        "DGX Spark", f"{first.bound:.1f}", f"{first.expected:.1f}", f"{first.low:.1f} - {first.high:.1f}",
    ]  # fmt: skip


@pytest.mark.parametrize("columns", ["40", "200"])
def test_nothing_is_wrapped_off_a_terminal(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a pipe each model has one line with all its cells, each note is one line, and names stay whole."""
    monkeypatch.setenv("COLUMNS", columns)
    systems = [LONG, *SYSTEMS]
    models = list(load_models())
    predictions = rates(models, ["fp16", "nvfp4"], systems)
    show_rates(predictions)
    lines = capsys.readouterr().out.splitlines()
    assert cells(lines[0])[4:] == [system.name for system in systems]
    rows = lines[1 : 1 + 2 * len(models)]
    assert {len(cells(row)) for row in rows} == {4 + len(systems)}
    assert [cells(row)[0] for row in rows[::2]] == models
    for system in systems:
        assert [line for line in lines if line.startswith(f"{system.name}: {system.notes[0]}.")]
    assert any("an engine made for such weights can beat" in line for line in lines)
    show_model(predictions[: 2 * len(systems)])
    assert LONG.name in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["xterm", "dumb"])
def test_names_stay_whole_on_a_narrow_terminal(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal notes are wrapped at its width, and a table keeps its cells in one line."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.setenv("TERM", kind)
    monkeypatch.setattr("sys.stdout", screen := Terminal())
    show_rates(rates(["llama-3.1-8b"], ["fp16"], [LONG, *SYSTEMS]))
    text = re.sub(r"\x1b\[[\d;]*m", "", screen.getvalue())
    header, row, empty, *notes = text.splitlines()
    assert cells(header)[4:] == [LONG.name, *(system.name for system in SYSTEMS)]
    assert len(cells(row)) == len(cells(header)) and not empty.strip()
    assert 70 < max(map(len, notes)) <= 90


def test_each_note_once(capsys: pytest.CaptureFixture[str]) -> None:
    """A note that several predictions share is printed once."""
    show_rates(rates(["llama-3.1-8b"], ["fp16", "fp8"], SYSTEMS[:1]))
    lines = capsys.readouterr().out.splitlines()
    notes = lines[lines.index("") + 1 :]
    assert len(notes) == len(set(notes)) == 3


def test_batches_end_where_arithmetic_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    """The batches shown stay below the limit that is given in words, and mixtures are told apart."""
    show_model(rates(["qwen3-8b"], ["mxfp4"], SYSTEMS[:1], context=0))
    text = capsys.readouterr().out
    header = text.split("by batch:\n")[1].splitlines()[0]
    assert cells(header) == ["system", "1", "2", "4", "8", "16", "32"]
    assert int(text.split("From about ")[1].split()[0]) >= 32 and "more experts" not in text
    show_model(rates(["gpt-oss-20b"], ["mxfp4-moe"], SYSTEMS[:1], context=0))
    assert "reads more experts" in capsys.readouterr().out
