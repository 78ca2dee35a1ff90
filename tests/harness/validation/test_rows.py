"""Relations between columns: what the harness writes keeps them, in every status."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bandmark.device.peaks import find_peak
from bandmark.results.files import read_rows
from bandmark.results.row import Row
from bandmark.validation.rows import check_row, near
from bandmark.validation.validate import check_run
from bandmark_kernels import PACKED, DType, Kernel, Shape, find_kernel
from bandmark_kernels.core.dtypes import FLOAT16, FLOAT32
from corpus import DEVICE, GB10, good_run, pair
from fakes import make_peak, make_result

RUNS: dict[str, dict[str, Any]] = {
    "failed verification": {"errors": {"copy": 3.0, "gemv": float("inf"), "read": float("nan")}},
    "no peak": {"peak": make_peak(None)},
    "above the peak": {"peak": make_peak(0.01)},
    "in the cache": {"device": replace(DEVICE, llc_bytes=10**9)},
    "partly in the cache": {"device": replace(DEVICE, llc_bytes=20_000)},
    "cache of unknown size": {"device": replace(DEVICE, llc_bytes=None)},
    "a device of the catalogue": {"device": GB10, "peak": find_peak(GB10), "gbs": 0.2},
    "another seed": {"seed": 7},
    "the optimizer": {"kernels": ("copy", "read", "gemv", "adamw", "adamw_master")},
}


@pytest.mark.parametrize("options", RUNS.values(), ids=RUNS)
def test_what_the_harness_writes_passes(options: dict[str, Any], tmp_path: Path) -> None:
    """In every status and regime a run of the harness has no fault."""
    file = pair(good_run(**options)).write(tmp_path)
    assert [str(fault) for fault in check_run(file).faults] == []
    assert len(read_rows(file)) == 10


def good() -> Row:
    """A row of a good run."""
    return make_result(
        bandwidth_best_gbs=24000 / 0.9e-3 / 1e9,
        llc_bytes=1000,
        started_utc="2026-11-23T10:15:00Z",
        percent_of_dgx_spark=2.4 / 273,
        percent_of_rtx_pro_5000=2.4 / 1344,
        percent_of_dgx_station=2.4 / 8000,
    )


def test_a_good_row() -> None:
    """Nothing is wrong with a row whose columns agree."""
    assert list(check_row(good())) == []


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"status": "suspect"}, "reason"),
        ({"status": "error", "reason": "it failed"}, "samples"),
        ({"status": "failed_verification", "reason": "wrong"}, "verified"),
        ({"verified": None}, "verified"),
        ({"verified": None, "status": "suspect", "reason": "x"}, "max_error"),
        ({"max_error": None}, "max_error"),
        ({"samples": None}, "samples"),
        ({"stop_reason": None}, "stop_reason"),
        ({"started_utc": None}, "started_utc"),
        ({"bandwidth_gbs": None}, "bandwidth_gbs"),
        ({"bandwidth_gbs": 0.02400001}, "bandwidth_gbs"),
        ({"bandwidth_best_gbs": 0.03}, "bandwidth_best_gbs"),
        ({"kernel": "add", "dtype": "float32"}, "bytes_read"),
        ({"kernel": "gemv"}, "m"),
        ({"m": 5}, "m"),
        ({"weight_format": "int4"}, "weight_format"),
        ({"kernel": "gemv", "m": 10, "n": 100, "suite": "gemv", "weights_per_s": 2e6}, "weights_per_s"),
        ({"status": "failed_verification", "reason": "wrong", "verified": False, "max_error": 0.5}, "max_error"),
        ({"n": None}, "n"),
        ({"n_elements": 999}, "n_elements"),
        ({"working_set_bytes": 24001}, "working_set_bytes"),
        ({"llc_bytes": 24000}, "regime"),
        ({"regime": None}, "regime"),
        ({"copies": 10, "llc_bytes": 10_000, "regime": "mixed"}, "regime"),
        ({"time_q3_s": 0.97e-3}, "time_q3_s"),
        ({"time_min_s": 1.6e-3}, "time_q1_s"),
        ({"peak_gbs": 0.03}, "peak_source"),
        ({"peak_source": "a book"}, "peak_gbs"),
        ({"peak_gbs": 0.02, "peak_source": "a book", "percent_of_peak": 120.0}, "status"),
        ({"percent_of_peak": 10.0}, "percent_of_peak"),
        ({"percent_of_dgx_spark": None}, "percent_of_dgx_spark"),
        ({"weights_per_s": 1e6}, "weights_per_s"),
        ({"data": "zeros"}, "status"),
        ({"ci95_rel": None}, "ci95_rel"),
        ({"suite": "gemv"}, "suite"),
    ],
)
def test_each_relation(changes: dict[str, Any], column: str) -> None:
    """Breaking one relation is found in the column that breaks it."""
    assert column in [name for name, _, _ in check_row(replace(good(), **changes))]


def test_no_memory_is_so_fast() -> None:
    """A figure above any memory is no measurement, peak or none."""
    fast = replace(good(), time_median_s=1e-10, time_min_s=1e-10, time_q1_s=1e-10, bandwidth_gbs=240_000.0)
    assert any("no memory moves" in wanted for _, _, wanted in check_row(fast))


def test_zero_spread() -> None:
    """Ten equal samples were not measured; three may be, on a coarse clock."""
    equal = {f"time_{q}_s": 1e-3 for q in ("min", "q1", "median", "q3", "max")}
    row = replace(good(), **equal, bandwidth_best_gbs=0.024)
    assert [name for name, _, _ in check_row(row)] == ["time_max_s"]
    assert [name for name, _, _ in check_row(replace(row, samples=3, ci95_rel=None))] == []


def test_one_wrong_column_is_one_fault() -> None:
    """A wrong figure is found by what it should follow from, and what follows from it is not blamed too."""
    for name in ("bandwidth_gbs", "bytes_read", "working_set_bytes", "percent_of_dgx_spark"):
        row = replace(good(), **{name: 31 * getattr(good(), name)})
        assert [column for column, _, _ in check_row(row)] == [name]


def test_sizes_are_said() -> None:
    """A message about bytes names the size that they were computed for."""
    gemv = replace(good(), kernel="gemv", m=10, n=100, suite="gemv")
    assert any("gemv of 10 x 100 float64" in wanted for _, _, wanted in check_row(gemv))
    assert any("triad of 500 float64" in wanted for _, _, wanted in check_row(replace(good(), n=500)))


def test_near() -> None:
    """Nine significant figures in a product of columns differ by less than the precision; a wrong digit does not."""
    assert near(1.0, 1.000000005) and not near(1.0, 1.00000002)


def untimed_row(kernel: Kernel, shape: Shape, dtype: DType, **own: Any) -> Row:
    """A good row of a kernel with a matrix, which was not timed."""
    return make_result(
        status="unsupported",
        reason="no op",
        kernel=kernel.name,
        suite=kernel.suite,
        dtype=dtype.name,
        weight_format=kernel.weight_format,
        m=shape.m,
        n=shape.n,
        n_elements=shape.n_elements,
        bytes_read=kernel.bytes_read(shape, dtype),
        bytes_written=kernel.bytes_written(shape, dtype),
        working_set_bytes=kernel.working_set(shape, dtype),
        llc_bytes=100,
        **own,
    )


def packed_row(name: str) -> Row:
    """A good row of gemv with packed weights."""
    return untimed_row(PACKED[name], Shape(128, m=10), FLOAT32)


def cache_row(name: str | None) -> Row:
    """A good row of kv."""
    return untimed_row(find_kernel("kv", name), Shape(1024, m=10), FLOAT16, heads=32, head_dim=128)


@pytest.mark.parametrize("name", [None, "fp8"])
def test_rows_of_a_cache(name: str | None) -> None:
    """Bytes of kv are those of its heads and format; heads that can't share the columns, or none, are faults."""
    row = cache_row(name)
    heads = {"heads", "head_dim", *IDENTITY}

    def wrong(**changes: Any) -> set[str]:
        return {column for column, _, _ in check_row(replace(row, **changes))} & heads

    assert wrong() == set()
    assert wrong(bytes_read=(row.bytes_read or 0) + 1) == {"bytes_read"}
    assert "bytes_read" in wrong(heads=64) and "bytes_read" in wrong(weight_format=None if name else "fp8")
    assert "heads" in wrong(heads=12) and "heads" in wrong(heads=None) and "heads" in wrong(head_dim=96)
    assert "heads" in wrong(n=1000) and wrong(weight_format="int8") == {"weight_format"}
    assert "dtype" in wrong(dtype="float32") and "suite" in wrong(suite="gemv")


def test_heads_are_for_attention() -> None:
    """Another kernel's row has none."""
    found = {name for name, _, _ in check_row(make_result(heads=32, head_dim=128))}
    assert {"heads", "head_dim"} <= found


def test_attention_has_no_weights_per_second() -> None:
    """Weights per second are a matrix's, and a cache is none."""
    assert "weights_per_s" in {n for n, _, _ in check_row(replace(cache_row(None), weights_per_s=1e9))}


IDENTITY = {"weight_format", "suite", "dtype", "n", "bytes_read", "bytes_written", "working_set_bytes"}


def wrong_columns(row: Row) -> set[str]:
    """The faulty columns among those that say what the case is."""
    return {name for name, _, _ in check_row(row)} & IDENTITY


@pytest.mark.parametrize("name", PACKED)
def test_packed_rows_have_their_formats_bytes(name: str) -> None:
    """Bytes of packed rows are codes, scales and vectors: those of another format, or one byte more, are faults."""
    row = packed_row(name)
    assert wrong_columns(row) == set()
    assert wrong_columns(replace(row, bytes_read=(row.bytes_read or 0) + 1)) == {"bytes_read"}
    assert "bytes_read" in wrong_columns(replace(row, weight_format="mxfp4" if name in ("fp16", "bf16") else "fp16"))
    assert "dtype" in wrong_columns(replace(row, dtype="float16"))
    assert "n" in wrong_columns(replace(row, n=100))
    assert wrong_columns(replace(row, weight_format="fp3")) == {"weight_format"}
    assert "weight_format" in wrong_columns(replace(row, kernel="gemv_t"))


def test_rows_of_a_models_matrix() -> None:
    """Model, matrix and uses go together, on gemv alone; rows that can't be packed are unsupported and no fault."""
    row = replace(packed_row("int8"), layer="tiny qkv", layer_uses=3)
    assert "layer" not in {name for name, _, _ in check_row(row)}
    for changes, column in (
        ({"layer_uses": None}, "layer_uses"),
        ({"layer": None}, "layer_uses"),
        ({"layer": "tiny"}, "layer"),
        ({"kernel": "gemv_t", "weight_format": None}, "layer"),
    ):
        assert column in {name for name, _, _ in check_row(replace(row, **changes))}
    shape = Shape(100, m=10)
    kernel = PACKED["int8"]
    odd = replace(row, n=100, n_elements=1000, bytes_read=kernel.bytes_read(shape, FLOAT32))
    odd = replace(odd, working_set_bytes=kernel.working_set(shape, FLOAT32))
    assert wrong_columns(odd) == set()
    assert "n" in wrong_columns(replace(odd, status="skipped"))
    assert "n" in wrong_columns(replace(odd, layer=None))


@pytest.mark.parametrize(
    ("name", "dtype", "read", "written"), [("adamw", "float32", 16, 12), ("adamw_master", "bfloat16", 14, 14)]
)
def test_rows_of_the_optimizer(name: str, dtype: str, read: int, written: int) -> None:
    """Such rows are of the suite training, in the one dtype that the kernel has, with 28 bytes per parameter."""
    row = replace(
        good(),
        kernel=name,
        suite="training",
        dtype=dtype,
        bytes_read=1000 * read,
        bytes_written=1000 * written,
        working_set_bytes=16_000,
        bandwidth_gbs=0.028,
        bandwidth_best_gbs=28e-6 / 0.9e-3,
        percent_of_dgx_spark=2.8 / 273,
        percent_of_rtx_pro_5000=2.8 / 1344,
        percent_of_dgx_station=2.8 / 8000,
    )
    assert list(check_row(row)) == []
    assert [column for column, _, _ in check_row(replace(row, suite="stream"))] == ["suite"]
    assert "dtype" in [column for column, _, _ in check_row(replace(row, dtype="float64"))]
