"""What a notebook calls: run() and load(), as frames of documented columns."""

from __future__ import annotations

import importlib.util
import pydoc
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pandas.testing import assert_frame_equal

import bandmark
from bandmark.api import to_frame
from bandmark.errors import FileError, UsageError
from bandmark.results.files import RunFiles
from bandmark.results.row import columns
from bandmark.validation.validate import check_run
from fakes import make_result

PUBLIC = [name for name in bandmark.__all__ if not name.startswith("_")]


def test_a_frame_has_every_column_with_its_type() -> None:
    """Columns in order; whole numbers and truth values stay so where some are unknown."""
    frame = to_frame([make_result(), make_result(kernel="copy", n_elements=None, verified=None, driver=None)])
    assert list(frame.columns) == [c.name for c in columns()]
    assert str(frame["n_elements"].dtype) == "Int64" and str(frame["verified"].dtype) == "boolean"
    assert frame["n_elements"][0] == 1000 and frame["n_elements"].isna().tolist() == [False, True]
    assert frame["verified"].isna().tolist() == [False, True]
    assert frame["driver"].isna().all()
    assert frame["bandwidth_gbs"].mean() == pytest.approx(0.024)


def test_no_rows_are_an_empty_frame() -> None:
    """A frame of nothing has the columns all the same."""
    assert len(to_frame([])) == 0 and "bandwidth_gbs" in to_frame([]).columns


def test_load_reads_files_in_order(tmp_path: Path) -> None:
    """Several files give one frame, in the order of result files."""
    RunFiles(tmp_path / "b.csv").save(
        [make_result(run_id="b", kernel="triad"), make_result(run_id="b", kernel="copy")], {}
    )
    RunFiles(tmp_path / "a.csv").save([make_result(run_id="a")], {})
    frame = bandmark.load(tmp_path / "b.csv", str(tmp_path / "a.csv"))
    assert frame["run_id"].tolist() == ["a", "b", "b"]
    assert frame["kernel"].tolist() == ["triad", "copy", "triad"]


def test_load_searches_folders_and_reads_each_run_once(tmp_path: Path) -> None:
    """A folder stands for the runs below it; a copy of one is left out with a warning, and a clash is refused."""
    (tmp_path / "in").mkdir()
    RunFiles(tmp_path / "in/a.csv").save([make_result(run_id="a")], {})
    RunFiles(tmp_path / "copy.csv").save([make_result(run_id="a")], {})
    with pytest.warns(UserWarning, match=r"a\.csv holds run a of .*copy\.csv again"):
        assert bandmark.load(tmp_path / "copy.csv", tmp_path)["run_id"].tolist() == ["a"]
    RunFiles(tmp_path / "in/b.csv").save([make_result(run_id="a", bandwidth_gbs=1.0)], {})
    with pytest.raises(FileError, match="clash: bandwidth_gbs"):
        bandmark.load(tmp_path)


def test_load_names_the_file_that_is_missing(tmp_path: Path) -> None:
    """What can't be read is an error of the package."""
    with pytest.raises(UsageError, match=r"gone\.csv"):
        bandmark.load(tmp_path / "gone.csv")


def test_run_measures_here() -> None:
    """A small run on this machine's CPU gives verified rows, and leaves no thread behind."""
    before = threading.active_count()
    frame = bandmark.run(
        backends=("numpy",),
        kernels=("copy", "dot"),
        dtypes=("float32",),
        size_bytes=65536,
        quick=True,
        time_limit_s=0.6,
    )
    assert frame["kernel"].tolist() == ["copy", "dot"]
    assert frame["verified"].tolist() == [True, True]
    assert (frame["bandwidth_gbs"] > 0).all()
    assert frame["n_elements"].tolist() == [16384, 16384]
    assert threading.active_count() == before


def test_run_leaves_files_that_can_be_published(tmp_path: Path) -> None:
    """With output the pair is written as the command writes it, and passes validation; what exists is kept."""
    file = tmp_path / "run.csv"
    options: dict[str, Any] = {"backends": ("numpy",), "dtypes": ("float64",), "size_bytes": 65536, "time_limit_s": 0.3}
    frame = bandmark.run(file, kernels=("read", "copy"), **options)
    assert_frame_equal(bandmark.load(file), frame, rtol=1e-8)  # the file has nine significant figures
    assert [str(violation) for violation in check_run(file).violations] == []
    with pytest.raises(FileError, match="exists"):
        bandmark.run(file, kernels=("copy",), **options)
    with pytest.raises(UsageError, match="unknown kernel"):
        bandmark.run(tmp_path / "other.csv", kernels=("cpy",))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.csv", "run.json"]


def test_options_as_people_write_them() -> None:
    """A single name need not be a tuple, and a size may have a unit."""
    frame = bandmark.run(backends="numpy", kernels="triad", dtypes=["float32"], size_bytes="64KiB", time_limit_s=0.2)
    assert frame["kernel"].tolist() == ["triad"] and frame["n_elements"].tolist() == [16384]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": "triad"}, r"no option 'kernel'\. Did you mean 'kernels'\?"),
        ({"quick": "yes"}, "quick='yes' is a str; it takes True or False"),
        ({"threads": 2.5}, r"threads=2\.5 is a float; it takes a whole number"),
    ],
)
def test_run_refuses_what_is_no_option(options: dict[str, Any], message: str) -> None:
    """A wrong name or type is a TypeError that names the option, before anything is measured."""
    with pytest.raises(TypeError, match=message):
        bandmark.run(**options)


def test_run_refuses_what_the_command_refuses() -> None:
    """Options are checked as on the command line."""
    with pytest.raises(UsageError, match="unknown kernel"):
        bandmark.run(kernels=("cpy",))
    with pytest.raises(UsageError, match="--seed"):
        bandmark.run(seed=-1)


def test_only_what_is_public_is_there() -> None:
    """dir() and help() name the five functions; what the package does not have is an AttributeError."""
    assert dir(bandmark) == sorted(bandmark.__all__)
    assert {"run", "load", "compare", "decode", "report"} == set(PUBLIC)
    text = pydoc.plain(pydoc.render_doc(bandmark))
    assert all(f"\n    {name}(" in text for name in PUBLIC)
    with pytest.raises(AttributeError, match="nothing"):
        bandmark.nothing  # noqa: B018


def test_report_writes_what_the_command_writes(tmp_path: Path) -> None:
    """The file's ending says the form; an existing file is kept without force."""
    RunFiles(tmp_path / "a.csv").save([make_result(run_id="a")], {})
    page = bandmark.report(tmp_path, output=tmp_path / "r.html")
    assert page == tmp_path / "r.html" and page.read_text().startswith("<!DOCTYPE html>")
    with pytest.raises(FileError, match="exists"):
        bandmark.report(tmp_path, output=page)
    assert bandmark.report(tmp_path, output=tmp_path / "r.md", force=True).read_text().startswith("# ")


def test_decode_is_a_frame_of_rates() -> None:
    """A row per system with units in the names; nothing is measured for a system that is known by name."""
    frame = bandmark.decode("llama-3.1-8b", "q4_k_m", system="dgx-spark", context=0)
    assert frame["system"].tolist() == ["DGX Spark"] and 30 < frame["expected_tokens_per_s"][0] < 60
    with pytest.raises(UsageError, match=r"Did you mean 'llama-3\.1-8b'"):
        bandmark.decode("lama-3.1-8b", "q4_k_m", system="dgx-spark")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bandmark.load(3), r"load\(\) takes paths of files and folders, not a int"),  # type: ignore[arg-type]
        (lambda: bandmark.report(None), r"report\(\) takes paths"),  # type: ignore[arg-type]
        (lambda: bandmark.report("x", output=3), "output takes paths"),  # type: ignore[arg-type]
        (lambda: bandmark.compare(1, "x"), "baseline takes paths, frames"),  # type: ignore[arg-type]
    ],
)
def test_wrong_types_name_the_option(call: Callable[[], object], message: str) -> None:
    """A TypeError says which argument is wrong and what it takes."""
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize("name", PUBLIC)
def test_no_module_takes_the_place_of_a_function(name: str) -> None:
    """A module bandmark.run would, once imported, be what `bandmark.run` means."""
    assert importlib.util.find_spec(f"bandmark.{name}") is None
