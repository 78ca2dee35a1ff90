"""What the terminal shows: plain text of 80 columns when piped, and progress on a terminal alone."""

from __future__ import annotations

import io
import sys
from dataclasses import replace

import pytest

from bandmark.console import LiveProgress, console, show_results, talk, warn
from bandmark.record import Result
from bandmark.table import HEADER
from bandmark_kernels import DTYPES, KERNELS
from fakes import FakeBackend, make_group, make_result


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def widest() -> list[Result]:
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


def shown(rows: list[Result], file: io.StringIO | None = None) -> str:
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
    assert list(HEADER) in lines
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
        progress(1, 10, make_group("copy", [FakeBackend()]))
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the group that is about to be measured is shown, with how many are done."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with LiveProgress() as progress:
        progress(3, 20, make_group("triad", [FakeBackend()]))
        seen = terminal.getvalue()
    assert "triad float64" in seen and "3/20" in seen


def test_a_blank_line_parts_kernels() -> None:
    """Lines of one kernel stand together."""
    rows = [make_result(), replace(make_result(), backend="torch"), make_result(kernel="copy")]
    lines = shown(rows).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("triad"))
    assert lines[first + 1].startswith("triad") and not lines[first + 2].strip() and lines[first + 3].startswith("copy")
