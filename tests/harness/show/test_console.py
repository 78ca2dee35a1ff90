"""What the terminal shows: plain text of 80 columns when piped, and progress on a terminal alone."""

from __future__ import annotations

import io
import os
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.results.row import Row
from bandmark.show.console import LiveProgress, console, show_results, talk, warn
from bandmark_kernels import DTYPES, KERNELS
from fakes import make_result


class Closed(io.StringIO):
    """A stream whose reader has gone away."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def widest() -> list[Row]:
    """Rows whose cells are as wide as they get."""
    return [
        make_result(
            kernel=kernel,
            backend="numpy" if dtype == "bfloat16" else "torch",
            dtype=dtype,
            bandwidth_gbs=7100.4,
            bandwidth_best_gbs=7999.9,
            time_q3_s=2.5e-3,
            percent_of_peak=100.2,
            percent_of_dgx_spark=2600.9,
            percent_of_rtx_pro_5000=528.3,
            percent_of_dgx_station=100.1,
            status="suspect",
            reason=f"reason {number}",
            regime="dram",
            verdict="normal for HBM3e",
        )
        for number, (kernel, dtype) in enumerate((k, d) for k in KERNELS for d in DTYPES)
    ]


def shown(rows: list[Row], file: io.StringIO | None = None) -> str:
    """What is printed for some rows."""
    out = file or io.StringIO()
    show_results(rows, out)
    return out.getvalue()


def test_piped_output_is_plain_and_fits_80_columns() -> None:
    """No escape codes, no line beyond 80 characters, and no cell cut short."""
    text = shown(widest())
    assert "\x1b" not in text and "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    for cell in ("gemv_t", "7100", "8000", "2601", "152.0%", "reason 39"):
        assert cell in text


def test_every_row_is_a_line_with_its_marks() -> None:
    """The table has the header, a line per row, and the footnotes that its marks refer to."""
    rows = [make_result(kernel="copy"), make_result(status="suspect", reason="drift")]
    lines = [line.split() for line in shown(rows).splitlines()]
    assert ["kernel", "backend", "dtype", "GB/s", "best", "spread"] in [line[:6] for line in lines]
    assert [line[0] for line in lines if line and line[0] in KERNELS] == ["copy", "triad"]
    triad = next(line for line in lines if line and line[0] == "triad")
    assert triad[-1] == "1"
    assert ["1:", "suspect:", "drift"] in lines


def test_no_rows() -> None:
    """A file without rows is told as such."""
    assert shown([]) == "no rows\n"


def test_names_are_not_taken_for_markup() -> None:
    """Brackets in a device's name or a reason are shown as they are."""
    row = make_result(device="GPU [bold] x", kernel="[red]k", status="suspect", reason="see [1] or [/red]")
    text = shown([row])
    assert "GPU [bold] x" in text and "[red]k" in text and "see [1] or [/red]" in text


def test_a_terminal_gets_colour_and_pipes_do_not() -> None:
    """Rows that are not plainly ok stand out on a terminal."""
    row = make_result(status="suspect", reason="drift")
    assert "\x1b" in shown([row], Terminal())
    assert "\x1b" not in shown([row])


@pytest.mark.parametrize(("columns", "width"), [("200", 200), ("40", 80)])
def test_a_terminal_is_used_in_its_width(monkeypatch: pytest.MonkeyPatch, columns: str, width: int) -> None:
    """As wide as the terminal, but never below 80: a narrower one wraps by itself."""
    monkeypatch.setenv("COLUMNS", columns)
    assert console(Terminal()).width == width
    assert console(io.StringIO()).width == 80


def test_talk_and_warnings_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """Stdout is for results; notes and talk, brackets and all, go to stderr."""
    talk("wrote [a].csv")
    warn("a [note]")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "wrote [a].csv\nnote: a [note]\n"


def test_no_progress_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal the progress bar writes nothing at all."""
    with LiveProgress() as progress:
        progress(1, 10, "copy float64")
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the group that is about to be measured is shown, with how many are done."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with LiveProgress() as progress:
        progress(3, 20, "triad float64")
        seen = terminal.getvalue()
    assert "triad float64" in seen and "3/20" in seen


def test_a_blank_line_parts_kernels() -> None:
    """Lines of one kernel stand together."""
    rows = [make_result(), replace(make_result(), backend="torch"), make_result(kernel="copy")]
    lines = shown(rows).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("triad"))
    assert lines[first + 1].startswith("triad") and not lines[first + 2].strip() and lines[first + 3].startswith("copy")


def test_nothing_stands_apart_where_every_kernel_has_one_line() -> None:
    """With one line a kernel, blank lines would part every two."""
    lines = shown([make_result(kernel=name) for name in ("copy", "scale", "add")]).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("copy"))
    assert [line.split()[0] for line in lines[first : first + 3]] == ["copy", "scale", "add"]


def test_packed_weights_beside_long_names_fit_80_columns() -> None:
    """No name of a kernel is broken where the column of weights per second stands in the table."""
    rows = [row for row in widest() if row.dtype == "float32"]
    rows += [replace(row, weight_format="nvfp4", weights_per_s=7999.9e9) for row in rows if row.kernel == "gemv"]
    text = shown(rows)
    assert max(map(len, text.splitlines())) <= 80 and "…" not in text
    assert {line.split()[0] for line in text.splitlines() if line.strip()} >= set(KERNELS)


def test_a_models_matrices_fit_80_columns_and_are_summed() -> None:
    """Long names of matrices wrap, nothing is cut, formats stand apart, and below the table is a pass over all."""
    rows = [
        replace(row, kernel="gemv", m=6144, n=4096, layer=f"deepseek-v3 {name}", layer_uses=32, weight_format=form)
        for form in ("nvfp4", "mxfp4")
        for name, row in zip(("qkv", "expert+shared gate_up", "lm_head"), widest(), strict=False)
    ]
    rows = [replace(row, dtype="float32", weights_per_s=7999.9e9, bytes_read=10**10) for row in rows]
    text = shown(rows)
    assert max(map(len, text.splitlines())) <= 80 and "…" not in text
    for words in ("expert+shared", "gate_up", "nvfp4", "8000", "2601", "152.0%"):
        assert words in text
    said = " ".join(text.split())
    assert "One decode step's matrices of deepseek-v3, one after the other" in said
    assert "torch mxfp4: 960 GB in 96 ms, 1e+04 GB/s; suspect: all" in said
    lines = text.splitlines()
    assert "" in lines[next(i for i, line in enumerate(lines) if line.startswith("qkv")) :][:6]


@given(st.lists(st.text("abc,;()-", min_size=1, max_size=79), min_size=1, max_size=30))
def test_notes_wrap_between_words(words: list[str]) -> None:
    """Piped, a footnote takes lines of at most 80 characters, and put together again they are its words."""
    text = shown([make_result(status="suspect", reason=" ".join(words))])
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80 and all(line == line.rstrip() for line in lines)
    begin = next(i for i, line in enumerate(lines) if line.startswith("1: "))
    end = next(i for i, line in enumerate(lines) if line.startswith("GB/s:") or line.startswith("best:"))
    assert " ".join(lines[begin:end]).split() == ["1:", "suspect:", *words]


def test_a_reader_that_goes_away_is_told_to_the_caller() -> None:
    """Printing raises BrokenPipeError, where rich would end the program."""
    with pytest.raises(BrokenPipeError):
        shown([make_result()], Closed())


def test_talk_that_nobody_reads_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever closes stderr misses what is said, and the program goes on."""
    monkeypatch.setattr(sys, "stderr", Closed())
    talk("one")
    warn("two")
    assert sys.stderr.name == os.devnull
    sys.stderr.close()
