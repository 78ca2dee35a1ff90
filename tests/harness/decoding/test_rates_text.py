"""Predicted rates as people see them."""

from __future__ import annotations

from dataclasses import replace

from bandmark.decoding.predict import predict
from bandmark.decoding.rates_text import batch_lines, cell, model_text, rates_table
from bandmark.decoding.systems import NAMED, published_system
from bandmark.models.catalog import find_model, load_models
from bandmark.models.weights import FORMATS

SYSTEMS = [published_system(named) for named in NAMED]


def test_the_table_has_a_line_per_model_and_format() -> None:
    """Each line has the stored weights, the cache per token, and expected and bound for each system."""
    pairs = [(find_model(m), FORMATS[w]) for m in ("llama-3.1-8b", "llama-3.3-70b") for w in ("fp16", "nvfp4")]
    made = [predict(s, m, w, context=4096) for m, w in pairs for s in SYSTEMS]
    lines = rates_table(made).splitlines()
    assert lines[1].split()[:2] == ["weights", "GB"]
    assert [line.split()[0] for line in lines[2:8]] == [
        "llama-3.1-8b",
        "fp16",
        "nvfp4",
        "llama-3.3-70b",
        "fp16",
        "nvfp4",
    ]
    assert lines[2] == "llama-3.1-8b (KV 131072 bytes)" and lines[6].count("too big") == 2
    assert f"<{made[0].bound:.1f}" in lines[3] and "16.06" in lines[3]
    assert "four of five published" in " ".join(lines)


def test_a_cell_tells_what_no_published_rate_covers() -> None:
    """A rate for HBM, of which nothing was published, has a question mark; a model that is too big has no rate."""
    cells = [cell(predict(s, find_model("llama-3.3-70b"), FORMATS["fp8"], context=0)) for s in SYSTEMS]
    assert "?" not in cells[0] and cells[1] == "too big" and "?" in cells[2]


def test_all_about_one_model() -> None:
    """Parameters, cache, times and shares, memory, batches and sources of the figures."""
    model = find_model("gpt-oss-120b")
    text = model_text([predict(s, model, FORMATS["mxfp4-moe"], context=4096) for s in SYSTEMS])
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
    assert max(map(len, text.splitlines())) <= 80


def test_tables_of_all_models_and_systems_fit_80_columns() -> None:
    """With a measured system of a long name beside the four published ones, nothing is wider, and nothing is lost."""
    slow = replace(SYSTEMS[0], name="intel-xeon-platinum-8480-processor", weight_gbs=2.0, cache_gbs=2.0, measured=True)
    systems = [replace(slow, device_class="cpu", memory_bytes=None), *SYSTEMS]
    pairs = [(known.model, FORMATS[w]) for known in load_models().values() for w in ("fp16", "nvfp4")]
    made = [predict(s, m, w, context=4096) for m, w in pairs for s in systems]
    lines = rates_table(made).splitlines()
    assert max(map(len, lines)) <= 80
    said = " ".join(" ".join(lines).split())
    assert all(" ".join(cell(p).split()) in said for p in made) and "xeon-platinum-8480" not in lines[0]
    assert "an engine made for such weights can beat" in said
    assert (
        max(len(line) for p in pairs for line in model_text([predict(s, *p, context=0) for s in systems]).split("\n"))
        <= 80
    )


def test_batches_end_where_arithmetic_bounds() -> None:
    """The batches shown stay below the limit that is said in words, and mixtures are told apart."""
    dense = batch_lines([predict(SYSTEMS[0], find_model("qwen3-8b"), FORMATS["mxfp4"], context=0)])
    assert dense[1].split()[1:] == ["1", "2", "4", "8", "16", "32"]
    limit = int(" ".join(dense).split("From about ")[1].split()[0])
    assert limit >= 32 and "experts" not in " ".join(dense)
    moe = batch_lines([predict(SYSTEMS[0], find_model("gpt-oss-20b"), FORMATS["mxfp4-moe"], context=0)])
    assert "reads more experts" in " ".join(moe)
