"""STREAM's text and BabelStream's CSV, read by our byte count; damage is named."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandmark.comparison import Figure, Run
from bandmark.comparison.foreign import read_foreign
from bandmark.errors import FileError
from bandmark.results.files import to_csv
from fakes import make_result
from foreign_files import BABELSTREAM, STREAM


def read(folder: Path, text: str, name: str = "other.txt") -> list[Run]:
    """Read a text as a file."""
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return read_foreign(file)


def by_kernel(run: Run) -> dict[str, Figure]:
    """Return a run's figures by kernel."""
    return {figure.get("kernel"): figure for figure in run.figures}


def test_stream(tmp_path: Path) -> None:
    """STREAM's best rates are MB of 10^6 bytes; its size, dtype and statistic are taken over, and said."""
    (run,) = read(tmp_path, STREAM)
    figures = by_kernel(run)
    assert list(figures) == ["copy", "scale", "add", "triad"]
    triad = figures["triad"]
    assert triad.best == pytest.approx(30.7247) and triad.value is None
    assert triad.best == pytest.approx(3 * 8 * 33554432 / 0.026211 / 1e9, rel=1e-3)
    assert (triad.get("dtype"), triad.get("n"), triad.get("backend")) == ("float64", 33554432, None)
    assert (run.tool, run.name, run.device) == ("STREAM", "other.txt", None)
    assert "shortest time" in run.notes[0]


def test_stream_in_single_precision(tmp_path: Path) -> None:
    """STREAM built with 4-byte elements is float32; a bare table is taken for doubles, and says so."""
    (single,) = read(tmp_path, STREAM.replace("uses 8 bytes", "uses 4 bytes"))
    assert {f.get("dtype") for f in single.figures} == {"float32"}
    (bare,) = read(tmp_path, STREAM[STREAM.index("Function") :])
    assert {(f.get("dtype"), f.get("n")) for f in bare.figures} == {("float64", None)}
    assert any("not stated" in note for note in bare.notes)


def test_stream_of_2005(tmp_path: Path) -> None:
    """The heading of older versions, `Rate (MB/s)`, is known too, and Windows line ends do not matter."""
    old = STREAM.replace("Function    Best Rate MB/s", "Function      Rate (MB/s)").replace("\n", "\r\n")
    (run,) = read(tmp_path, old)
    assert by_kernel(run)["copy"].best == pytest.approx(29.3304)


def test_outputs_one_after_the_other(tmp_path: Path) -> None:
    """Outputs appended to one file are runs of their own, each with what stands before its table."""
    second = STREAM.replace("29330.4", "30000.0").replace("uses 8 bytes", "uses 4 bytes")
    runs = read(tmp_path, STREAM + second)
    assert [run.name for run in runs] == ["other.txt", "other.txt#2"]
    assert [by_kernel(run)["copy"].best for run in runs] == pytest.approx([29.3304, 30.0])
    assert [run.figures[0].get("dtype") for run in runs] == ["float64", "float32"]
    renamed = BABELSTREAM.replace("Fake GPU", "Second GPU")
    assert [run.device for run in read(tmp_path, BABELSTREAM + renamed)] == ["Fake GPU", "Second GPU"]


def test_babelstream(tmp_path: Path) -> None:
    """Figures are bytes / shortest time by our count; Mul is scale; what precedes the header is skipped."""
    (run,) = read(tmp_path, BABELSTREAM)
    figures = by_kernel(run)
    assert list(figures) == ["copy", "scale", "add", "triad", "dot"]
    assert figures["scale"].best == pytest.approx(2 * 8 * 33554432 / 0.000178522 / 1e9)
    assert figures["dot"].best == pytest.approx(2981.1, rel=1e-3)
    assert (run.tool, run.device, figures["copy"].get("dtype")) == ("BabelStream", "Fake GPU", "float64")
    assert figures["copy"].get("n") == 33554432 and "shortest time" in run.notes[0]


def test_older_device_lines(tmp_path: Path) -> None:
    """Version 4 names its device in another line."""
    text = "Using HIP device AMD Instinct MI250X\nDriver: 50120531\n" + BABELSTREAM[BABELSTREAM.index("function") :]
    assert read(tmp_path, text)[0].device == "AMD Instinct MI250X"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("0.000177853", "0", "'0' where a number above zero"),
        ("Copy,100,33554432,8,", "Copy,100,many,8,", "'many' where a number above zero"),
        ("Copy,100,33554432,8,", "Copy,100,33554432,3,", "Copy has elements of 3 bytes"),
        (
            "Copy,100,33554432,8,3.01862e+06,0.000177853,0.000181214,0.000178532",
            "Copy,100",
            "where a number above zero",
        ),
    ],
)
def test_damaged_babelstream(before: str, after: str, message: str, tmp_path: Path) -> None:
    """A line that can't be read is refused with what stands there."""
    assert before in BABELSTREAM
    with pytest.raises(FileError, match=message):
        read(tmp_path, BABELSTREAM.replace(before, after))


def test_truncated_files(tmp_path: Path) -> None:
    """A table without a line of a kernel is said to be truncated or lacking."""
    with pytest.raises(FileError, match="truncated"):
        read(tmp_path, BABELSTREAM[: BABELSTREAM.index("Copy,")])
    with pytest.raises(FileError, match="no line of a kernel"):
        read(tmp_path, STREAM[: STREAM.index("Copy: ")])


def test_what_is_not_another_tools(tmp_path: Path) -> None:
    """Our own CSV, prose and binary files are not another tool's result; a missing file is an error."""
    assert read(tmp_path, to_csv([make_result()]), "ours.csv") == []
    assert read(tmp_path, "Dear diary, 3 GB/s today.") == []
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 10)
    assert read_foreign(tmp_path / "binary") == []
    with pytest.raises(FileError, match="can't read"):
        read_foreign(tmp_path / "missing")


@pytest.mark.parametrize(
    ("text", "tool"),
    [
        (STREAM.replace("Solution Validates", "Failed Validation on array a[], AvgRelAbsErr > epsilon"), "STREAM"),
        ("Validation failed on a[]. Average error 0.4321\n" + BABELSTREAM, "BabelStream"),
        (BABELSTREAM + "Validation failed on sum. Error 75.5013\n", "BabelStream"),
    ],
)
def test_results_that_failed_validation(text: str, tool: str, tmp_path: Path) -> None:
    """Figures of a run whose results the tool itself found to be wrong are in doubt, all of them."""
    (run,) = read(tmp_path, text)
    assert all(f.doubts and tool in f.doubts[0] and "result is wrong" in f.doubts[0] for f in run.figures)


HOSTILE = ("1.2.3.4", "nan", "-inf", "inf", "1e999", "0", "-5", "many", "", "9" * 5000, "1_000.5.1")


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize(
    ("text", "before"),
    [
        (STREAM, "29330.4"),
        (BABELSTREAM, "0.000177853"),
        (BABELSTREAM, ",33554432,8,3.01862e+06"),
    ],
)
def test_values_that_are_no_figures(value: str, text: str, before: str, tmp_path: Path) -> None:
    """What can't be a size, a time or a bandwidth is an error with the file and the tool, never a traceback."""
    after = before.replace("33554432", value) if before.startswith(",") else value
    with pytest.raises(FileError, match=r"other\.txt.*(STREAM|BabelStream)"):
        read(tmp_path, text.replace(before, after, 1))


def test_times_too_short_for_a_bandwidth(tmp_path: Path) -> None:
    """A time of which no bandwidth can be computed is refused."""
    with pytest.raises(FileError, match="inf GB/s, which no device moves"):
        read(tmp_path, BABELSTREAM.replace("0.000177853", "5e-324"))


def test_lines_of_stream_that_are_cut_off(tmp_path: Path) -> None:
    """A line of STREAM without its times is refused."""
    with pytest.raises(FileError, match="Triad has 1 figures where a rate and three times should be"):
        read(tmp_path, STREAM[: STREAM.index("30724.7") + 7])


def test_zero_elements(tmp_path: Path) -> None:
    """An array without elements is an error that says what should stand there."""
    with pytest.raises(FileError, match="'0' where a number above zero should be"):
        read(tmp_path, STREAM.replace("Array size = 33554432", "Array size = 0"))


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=60), st.integers(0, len(BABELSTREAM)), st.integers(0, 40))
def test_any_edit_of_a_result_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, text: str, start: int, length: int
) -> None:
    """A result with anything in place of a part of it is read, left to other readers, or refused in words."""
    folder = tmp_path_factory.mktemp("edited")
    with suppress(FileError):
        for run in read(folder, BABELSTREAM[:start] + text + BABELSTREAM[start + length :]):
            assert all(figure.best and 0 < figure.best < math.inf for figure in run.figures)


def test_bandwidths_that_no_device_has(tmp_path: Path) -> None:
    """A slip of units is refused, and not compared."""
    with pytest.raises(FileError, match=r"GB/s, which no device moves"):
        read(tmp_path, re.sub(r"^(Copy: +)[\d.]+", r"\g<1>2e15", STREAM, flags=re.MULTILINE))


def test_a_kernel_that_stands_there_twice(tmp_path: Path) -> None:
    """Lines of two runs behind one header are no result of one."""
    copy = re.search(r"^Copy:.*$", STREAM, re.MULTILINE)
    assert copy is not None
    with pytest.raises(FileError, match="copy stands there 2 times"):
        read(tmp_path, STREAM.replace(copy[0], f"{copy[0]}\n{copy[0]}"))


def test_a_table_without_all_kernels_is_truncated(tmp_path: Path) -> None:
    """STREAM prints four lines; what is lost is named."""
    with pytest.raises(FileError, match="no line of Add and Triad"):
        read(tmp_path, re.sub(r"^(Add|Triad):.*\n", "", STREAM, flags=re.MULTILINE))


@pytest.mark.parametrize("codec", ["utf-16", "utf-8-sig"])
def test_outputs_of_windows_shells(codec: str, tmp_path: Path) -> None:
    """Encodings with a byte order mark are read as they are meant."""
    file = tmp_path / "stream.txt"
    file.write_bytes(STREAM.encode(codec))
    assert len(read_foreign(file)[0].figures) == 4


@pytest.mark.parametrize(
    ("text", "remedy"),
    [("Function    MBytes/sec  Min (sec)\nCopy 1 2\n", "--csv"), ("nvbandwidth Version: v0.8\n", "--json")],
)
def test_tables_for_people_say_what_to_run(text: str, remedy: str, tmp_path: Path) -> None:
    """Outputs without sizes or medians name the option that has them."""
    with pytest.raises(FileError, match=remedy):
        read(tmp_path, text)


def test_reading_takes_linear_time(tmp_path: Path) -> None:
    """Blank lines, headers and cells by the ten thousand are read or refused at once."""
    header = "function,num_times,n_elements,sizeof,max_x_per_sec,min_runtime\n"
    for text in ('"nvbandwidth"' + "\n " * 60_000, header * 20_000):
        with suppress(FileError):
            read(tmp_path, text)
    with pytest.raises(FileError, match="can't be read"):
        read(tmp_path, BABELSTREAM.replace("Copy", "x" * 200_000, 1))
