"""What a notebook calls: run() and load(), as frames of documented columns."""

from __future__ import annotations

import importlib.util
import threading
from pathlib import Path

import pytest

import bandmark
from bandmark.api import to_frame
from bandmark.errors import FileError, UsageError
from bandmark.record import columns
from bandmark.store import RunFiles
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


def test_load_names_the_file_that_is_missing(tmp_path: Path) -> None:
    """What can't be read is an error of the package."""
    with pytest.raises(FileError, match=r"gone\.csv"):
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


def test_run_refuses_what_the_command_refuses() -> None:
    """Options are checked as on the command line."""
    with pytest.raises(UsageError, match="unknown kernel"):
        bandmark.run(kernels=("cpy",))
    with pytest.raises(UsageError, match="--seed"):
        bandmark.run(seed=-1)


def test_only_what_is_public_is_there() -> None:
    """The package has run and load; what it does not have is an AttributeError."""
    assert {"run", "load", "__version__"} <= set(bandmark.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        bandmark.nothing  # noqa: B018


@pytest.mark.parametrize("name", PUBLIC)
def test_no_module_takes_the_place_of_a_function(name: str) -> None:
    """A module bandmark.run would, once imported, be what `bandmark.run` means."""
    assert importlib.util.find_spec(f"bandmark.{name}") is None
