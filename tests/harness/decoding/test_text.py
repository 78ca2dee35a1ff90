"""Predicted rates as people see them, and the errors of published ones: the promise, and what breaks it."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest

from bandmark.decoding.predict import Prediction, System, named_systems, predict
from bandmark.decoding.step import FITTED
from bandmark.decoding.text import Validation, ValidationRow, show_model, show_rates
from bandmark.device.peaks import load_catalog
from bandmark.models.model import find_model, load_models
from bandmark.models.weights import FORMATS

SYSTEMS = list(named_systems().values())
LONG = replace(
    SYSTEMS[0],
    name="intel-xeon-platinum-8480-processor [2 vcpu]",
    weight_gbs=2.0,
    cache_gbs=2.0,
    bound_gbs=None,
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
    assert any("Four of five published" in line for line in lines)


def test_a_cell_marks_what_no_published_rate_covers(capsys: pytest.CaptureFixture[str]) -> None:
    """A rate for HBM faster than any published has a question mark; a model that is too big has no rate."""
    show_rates(rates(["llama-3.3-70b"], ["fp8"], SYSTEMS, context=0))
    spark, card, station, _ = cells(capsys.readouterr().out.splitlines()[1])[4:]
    assert "?" not in spark and card == "too big" and re.fullmatch(r"[\d.]+\? <[\d.]+", station)


def test_without_a_bound_none_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A measured system whose rows give no bound has its expected rate alone, and "unknown" among all figures."""
    predictions = rates(["llama-3.1-8b"], ["fp16"], [LONG], context=0)
    show_rates(predictions)
    assert cells(capsys.readouterr().out.splitlines()[1])[4] == f"{predictions[0].expected:.2f}?"
    show_model(predictions)
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(LONG.name))
    assert cells(line)[1:3] == ["unknown", f"{predictions[0].expected:.2f}?"]


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


VALIDATION = Validation()
ROWS = (*VALIDATION.checked, *VALIDATION.set_aside)


def test_the_promise_holds() -> None:
    """Held-out errors have a median of at most 10 %, no bound is exceeded and at most two rows are set aside."""
    assert VALIDATION.median_error <= 0.10 and VALIDATION.over_bound == [] and len(VALIDATION.set_aside) <= 2
    assert VALIDATION.holds and len(ROWS) >= 80
    for one in VALIDATION.classes:
        assert one.rows >= 5 and one.median_error <= 0.15 and one.coverage >= 0.8


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.label} {row.engine} {row.batch} {row.context}")
def test_every_row_is_whole(row: ValidationRow) -> None:
    """A row has a rate, an expected rate below the bound, and a source that is no one's memory."""
    assert row.published > 0 and 0 < row.expected <= row.bound
    assert row.source and not row.source.startswith("memory")


def test_peaks_are_those_of_the_catalog() -> None:
    """The peak beside a rate is the one that the catalog gives for the device."""
    known = {row.id: row.published_gbs for row in load_catalog()}
    for row in VALIDATION.checked:
        if row.device in known:
            assert row.peak_gbs == pytest.approx(known[row.device]), row.device
    assert {"dgx-spark-gb10", "rtx-5070"} <= set(known)


@pytest.mark.parametrize("name", FITTED)
def test_the_spread_covers_four_of_five(name: str) -> None:
    """At least 80 % of a class's held-out rows lie within the stated factor, and it is not idly wide."""
    spread = FITTED[name].spread
    ratios = [1 + row.held_out_error_any_engine for row in VALIDATION.checked if row.device_class == name]
    assert sum(1 / spread - 1e-3 <= ratio <= spread + 1e-3 for ratio in ratios) >= 0.8 * len(ratios)
    assert 1.1 < spread < 1.35


def test_what_breaks_the_promise() -> None:
    """A rate above its bound, a third row set aside, or a median error above the limit fails the validation."""
    first, *others = VALIDATION.checked
    wrong = replace(first, published=first.bound * 1.01)
    broken = Validation((wrong, *others))
    assert broken.over_bound == [wrong] and not broken.holds
    assert Validation((*VALIDATION.checked, *(replace(row, set_aside="x") for row in ROWS[:2]))).holds
    assert not Validation((*VALIDATION.checked, *(replace(row, set_aside="x") for row in ROWS[:3]))).holds
    assert not Validation([replace(row, held_out_error=0.11) for row in VALIDATION.checked]).holds
    wide = [replace(row, held_out_error_any_engine=0.5) if row.device_class == "amd" else row for row in ROWS]
    assert not Validation(wide).holds


def test_the_worst_row_is_the_worst() -> None:
    """The row that is shown as the worst has the largest held-out error of all."""
    assert abs(VALIDATION.worst.held_out_error) == max(abs(row.held_out_error) for row in VALIDATION.checked)


def test_json_has_every_row() -> None:
    """For programs: each row with both rates, its bound, errors and source."""
    plain = VALIDATION.as_json()
    assert len(plain["rows"]) + len(plain["set_aside"]) == len(ROWS)
    for row in plain["rows"]:
        assert row["expected"] / row["published"] - 1 == pytest.approx(row["error"])
        assert row["bound"] >= row["published"] and row["source"]
    assert {one["name"] for one in plain["classes"]} == set(FITTED)


def test_every_row_and_the_verdict_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A line per row with published, expected and bound; the median, the worst row and why rows are set aside."""
    VALIDATION.show()
    text = capsys.readouterr().out
    table = [re.split(r"\s{2,}", line) for line in text.splitlines()]
    for row in VALIDATION.checked:
        figures = [str(row.batch), str(row.context), f"{row.published:.2f}", f"{row.expected:.2f}"]
        figures += [f"{row.error:+.1%}", f"{row.held_out_error:+.1%}", f"{row.bound:.1f}"]
        assert [row.device, row.engine, row.label, *figures] in table
    for words in (
        "two machines",
        "median absolute error, held out: ",
        "worst row, held out: ",
        "at most 10%",
        "inside it",
        "hbm",
    ):
        assert words in text
    assert text.endswith("the validation holds\n")


def test_a_broken_bound_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    """A row above its bound says so on its line, and the verdict fails."""
    first, *others = VALIDATION.checked
    Validation((replace(first, published=1e4), *others)).show()
    text = capsys.readouterr().out
    assert text.count("  above the bound\n") == 1 and text.endswith("the validation FAILS\n")
