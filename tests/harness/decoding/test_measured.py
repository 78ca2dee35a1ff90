"""Which measured bandwidth stands for a weight format, in figures and in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bandmark.decoding.measured import (
    KERNELS_FOR,
    Bandwidth,
    MeasuredSystem,
    cache_bandwidth,
    catalog_class,
    measure_here,
    read_systems,
    weight_bandwidth,
)
from bandmark.device.peaks import load_catalog
from bandmark.errors import FileError, UsageError
from bandmark.models.weights import FORMATS
from bandmark.options import RunOptions
from bandmark.results.files import RunFiles
from bandmark.results.row import Row
from bandmark.session import session
from bandmark_kernels import KERNELS
from fakes import make_result


def row(kernel: str, gbs: float, **changes: Any) -> Row:
    """Return a measured row."""
    return make_result(kernel=kernel, bandwidth_gbs=gbs, **changes)


def system(*rows: Row, device: str = "Fake GPU") -> MeasuredSystem:
    """Return a system of these rows."""
    return MeasuredSystem("fake-1", device, rows, None)


def test_the_packed_row_of_the_format_comes_first() -> None:
    """Where the format was measured, its fastest row counts, whatever others give."""
    rows = system(
        row("gemv", 100, weight_format="nvfp4", dtype="float32"),
        row("gemv", 120, weight_format="nvfp4", dtype="float32", backend="cupy"),
        row("gemv", 300, dtype="float32"),
    )
    found = weight_bandwidth(rows, FORMATS["nvfp4"])
    assert (found.gbs, found.words) == (120, "gemv nvfp4 (cupy)")
    assert weight_bandwidth(system(row("gemv", 70, dtype="float16")), FORMATS["fp16"]).words == "gemv float16 (numpy)"


def test_else_the_nearest_in_words() -> None:
    """Without a row of the format, the row nearest in bits counts, and the words say so."""
    rows = system(row("gemv", 100, weight_format="int4"), row("gemv", 200), row("gemv", 150, weight_format="fp8"))
    found = weight_bandwidth(rows, FORMATS["nvfp4"])
    assert (found.gbs, found.words) == (100, "no gemv row in nvfp4, so of the nearest, gemv int4 (numpy)")
    assert weight_bandwidth(rows, FORMATS["int8"]).gbs == 150


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "failed_verification"},
        {"status": "error"},
        {"verified": False},
        {"verified": None},
        {"kernel": "read"},
    ],
)
def test_results_without_a_gemv_row(changes: dict[str, Any]) -> None:
    """Rows that failed, were not verified or are of other kernels are no GEMV, and the error says what to run."""
    rows = system(make_result(**{"kernel": "gemv", "bandwidth_gbs": 9.0, **changes}))
    with pytest.raises(UsageError, match=r"no measured gemv row.*bandmark run --kernel gemv"):
        weight_bandwidth(rows, FORMATS["fp16"])


def test_memory_before_cache_and_ok_before_suspect() -> None:
    """A row whose matrix fits the cache, or that is suspect, counts only where there is no better, and says so."""
    fast, slow = row("gemv", 900, regime="cache"), row("gemv", 100)
    suspect = row("gemv", 500, status="suspect", reason="the clock changed")
    assert system(fast, slow, suspect).usable_rows(("gemv",)) == [slow]
    assert "not in the dram regime" in weight_bandwidth(system(fast), FORMATS["fp8"]).words
    assert "the clock changed" in weight_bandwidth(system(suspect), FORMATS["fp8"]).words


def test_cache_bandwidth_in_words() -> None:
    """The cache is read as kv rows say, else as a plain read, else as the weights; the words tell which."""
    weights = weight_bandwidth(system(row("gemv", 80)), FORMATS["fp16"])
    both = system(row("gemv", 80), row("read", 90), row("kv", 70))
    assert cache_bandwidth(both, weights).gbs == 70
    codes = row("kv", 75, weight_format="fp8")
    assert cache_bandwidth(system(row("kv", 70), codes), weights).gbs == 70
    only = cache_bandwidth(system(row("read", 90), codes), weights)
    assert only.gbs == 75 and only.words.startswith("no kv row in 16 bits, so of kv fp8")
    read = cache_bandwidth(system(row("gemv", 80), row("read", 90)), weights)
    assert read.gbs == 90 and read.words.startswith("no kv row")
    assert cache_bandwidth(system(row("gemv", 80)), weights).gbs == 80


def test_a_bound_is_of_the_fastest_row_beyond_doubt() -> None:
    """Of kernels that read, whichever; not of one that failed, is suspect, unverified, cached, or writes as well."""
    good = [row("gemv", 7, weight_format="int8"), row("dot", 35), row("read", 30), layer("qkv", 3, 1 / 36)]
    doubtful = [
        row("read", 90, status="suspect", reason="drift"),
        row("read", 91, verified=None),
        row("read", 92, regime="cache"),
        row("read", 93, regime="mixed"),
        row("read", 94, regime=None),
        row("read", 95, status="failed_verification", verified=False),
        row("copy", 46),
        row("write", 47),
    ]
    assert system(*good[:3], *doubtful).bound("read") == Bandwidth(35, "dot float64 (numpy)")
    assert system(*good, *doubtful).bound("read") == Bandwidth(36, "gemv int8 (numpy)")
    assert system(*good, *doubtful).bound("mixed", "read") == Bandwidth(46, "copy float64 (numpy)")
    assert system(*good).bound("mixed", "read") == system(*good).bound("read")
    assert system(*doubtful).bound("read") is None and system().bound("mixed", "read") is None


def test_classes_of_devices() -> None:
    """Host rows are a CPU's; a GPU's class is its maker or its kind of memory in the catalog, else unknown."""
    gpu = {"backend": "cupy", "threads": None}
    assert system(row("gemv", 1, threads=2)).device_class == "cpu"
    assert system(row("gemv", 1, **gpu), device="NVIDIA GB10").device_class == "unified"
    assert system(row("gemv", 1, **gpu), device="NVIDIA RTX PRO 5000 Blackwell").device_class == "card"
    assert system(row("gemv", 1, **gpu), device="NVIDIA GB300").device_class == "hbm"
    assert system(row("gemv", 1, **gpu), device="Some GPU").device_class == "unknown"
    by_id = {row.id: catalog_class(row) for row in load_catalog()}
    assert (by_id["apple-m4-pro"], by_id["rx-7900-xt"], by_id["strix-halo-395"]) == ("apple", "amd", "amd")
    assert (by_id["mi300x"], by_id["arc-b580"], by_id["rtx-5090-laptop"]) == ("hbm", "intel", "card")


def test_files_are_grouped_by_device(tmp_path: Path) -> None:
    """Runs of one device are one system, with the memory that their records tell; damage is named."""
    RunFiles(tmp_path / "a.csv").save([row("gemv", 1)], {"device": {"memory_bytes": 32}})
    RunFiles(tmp_path / "b.csv").save([row("kv", 2)], {"device": {"memory_bytes": 24}})
    RunFiles(tmp_path / "c.csv").save([row("gemv", 3, system="other")], {})
    found = read_systems([tmp_path / "a.csv", tmp_path / "c.csv", tmp_path / "b.csv"])
    assert [(s.system, len(s.rows), s.memory_bytes) for s in found] == [("fake-1", 2, 24), ("other", 1, None)]
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(FileError, match=r"a\.json"):
        read_systems([tmp_path / "a.csv"])
    RunFiles(tmp_path / "d.csv").save([], {})
    with pytest.raises(FileError, match="holds no row"):
        read_systems([tmp_path / "d.csv"])


def test_the_table_of_kernels_names_kernels() -> None:
    """Each kernel that stands for weights, a cache or the optimizer is one of the kernel table."""
    assert {name for groups in KERNELS_FOR.values() for names in groups for name in names} <= set(KERNELS)


def layer(name: str, uses: int, seconds: float, **changes: Any) -> Row:
    """Return a row of a matrix of model `tiny`: 1e9 bytes."""
    made = row("gemv", 1 / seconds, layer=f"tiny {name}", layer_uses=uses, weight_format="int8", dtype="float32")
    return replace(made, **{"time_median_s": seconds, "bytes_read": 10**9, "bytes_written": 0, **changes})


LAYERS = (layer("qkv", 3, 0.5), layer("lm_head", 1, 0.1))


def test_a_models_matrices_count_together() -> None:
    """A step uses all of them: four reads of 1 GB in 1.6 s, and not the fastest matrix's 10 GB/s."""
    found = weight_bandwidth(system(*LAYERS), FORMATS["int8"], "tiny")
    assert found.gbs == pytest.approx(4 / 1.6) and found.words == "gemv int8 over all matrices of tiny (numpy)"
    assert weight_bandwidth(system(*LAYERS), FORMATS["int8"], "other").gbs == found.gbs


def test_a_models_own_matrices_come_before_a_square_one() -> None:
    """For the model itself its matrices count, for another the square matrix, and for a cache neither of them."""
    square = row("gemv", 7.0, weight_format="int8", dtype="float32")
    both = system(*LAYERS, square)
    assert weight_bandwidth(both, FORMATS["int8"], "tiny").gbs == pytest.approx(2.5)
    assert weight_bandwidth(both, FORMATS["int8"], "tin").gbs == weight_bandwidth(both, FORMATS["int8"]).gbs == 7.0
    assert both.usable_rows(("gemv",)) == [square]


def test_missing_and_doubtful_matrices_are_told() -> None:
    """Where not all were measured the words name those that were; suspect ones count, with the reason."""
    missing = layer("o", 3, 0.5, status="skipped", verified=None, reason="no time")
    doubtful = layer("down", 1, 0.1, status="suspect", reason="drift", regime="cache")
    found = weight_bandwidth(system(*LAYERS, missing, doubtful), FORMATS["int8"])
    assert "over qkv, lm_head, down of tiny (numpy)" in found.words
    assert found.words.endswith("(numpy), not all in the dram regime, suspect: drift")
    # A setting with more of the matrices comes before one that has only a fast one.
    few = layer("qkv", 3, 0.001, backend="torch")
    assert "(numpy)" in weight_bandwidth(system(*LAYERS, missing, few), FORMATS["int8"]).words


def test_settings_do_not_add_up_together() -> None:
    """Matrices of two models, or in two dtypes, are passes of their own: neither is counted into the other."""
    other_model = replace(LAYERS[0], layer="small qkv")
    other_dtype = replace(LAYERS[1], dtype="float16", time_median_s=0.01)
    assert weight_bandwidth(system(*LAYERS, other_model, other_dtype), FORMATS["int8"]).gbs == pytest.approx(2.5)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[RunOptions]:
    """The options of the runs of a test, which are run on small arrays."""
    options_of_runs: list[RunOptions] = []
    open_session, run_session = session.open_session, session.run_session

    def small(options: RunOptions) -> RunOptions:
        return replace(options, backends=("numpy",), size_bytes=32768, time_limit_s=0.3)

    def run(options: RunOptions, **more: Any) -> session.Session:
        options_of_runs.append(options)
        return run_session(small(options), **more)

    monkeypatch.setattr(session, "open_session", lambda options: open_session(small(options)))
    monkeypatch.setattr(session, "run_session", run)
    return options_of_runs


def test_a_quick_run_gives_a_system(asked: list[RunOptions], capsys: pytest.CaptureFixture[str]) -> None:
    """The kernels that are named are measured, with this machine's memory, and announced."""
    system = measure_here(("gemv", "kv", "read"))
    assert asked == [RunOptions(kernels=("gemv", "kv", "read"), quick=True)]
    assert {row.kernel for row in system.rows if row.bandwidth_gbs} == {"gemv", "read"}
    assert system.device_class == "cpu" and system.memory_bytes
    assert weight_bandwidth(system, FORMATS["fp16"]).gbs > 0
    assert "quick run of gemv, kv, read" in capsys.readouterr().err


def test_gemv_is_measured_in_the_formats_of_the_weights(
    asked: list[RunOptions], capsys: pytest.CaptureFixture[str]
) -> None:
    """Packed weights are measured as such where a library runs them; a format that none runs has no figure."""
    system = measure_here(("gemv", "read"), ("int8", "nvfp4"))
    assert asked == [RunOptions(kernels=("gemv", "read"), quick=True, weights=("int8", "nvfp4"))]
    assert [(r.weight_format, bool(r.bandwidth_gbs)) for r in system.rows if r.kernel == "gemv"] == [
        ("int8", True),
        ("nvfp4", False),
    ]
    assert weight_bandwidth(system, FORMATS["int8"]).words.startswith("gemv int8 (numpy)")
    assert "quick run of gemv, read, int8, nvfp4" in capsys.readouterr().err


def test_where_no_library_runs_the_formats_plain_gemv_stands_in(asked: list[RunOptions]) -> None:
    """Without any packed row there is still a bandwidth, and the words say what it is of."""
    system = measure_here(("gemv",), ("nvfp4", "fp8"))
    assert asked == [RunOptions(kernels=("gemv",), quick=True)]
    assert {row.weight_format for row in system.rows} == {None}
    assert weight_bandwidth(system, FORMATS["nvfp4"]).words.startswith("no gemv row in nvfp4")


def test_an_interrupted_run_is_no_measurement(asked: list[RunOptions], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while this machine is measured ends the command instead of predicting from half a run."""
    run = session.run_session

    def interrupted(options: RunOptions, **more: Any) -> session.Session:
        result = run(options, **more)
        result.interrupted = True
        return result

    monkeypatch.setattr(session, "run_session", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure_here(("read",))
