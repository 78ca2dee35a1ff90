"""Piped output is plain text that is never wrapped; on a terminal words and cells stay whole, and there is progress."""

from __future__ import annotations

import io
import os
import re
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.measure.sampling import StopRule
from bandmark.results.row import Row
from bandmark.session.rows import Outcome
from bandmark.show.console import LiveProgress, console, escape, info, show_results, warn
from bandmark_kernels import DEFAULT_KERNELS, DTYPES, KERNELS
from fakes import FakeBackend, make_group, make_result, measured


class Closed(io.StringIO):
    """A stream whose reader has gone away."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every terminal be an xterm of 80 columns, whatever runs the tests."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)


def plain(text: str) -> str:
    """Text without the codes that colour it."""
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def cells_of(text: str) -> list[list[str]]:
    """The cells of the table's header and of its rows."""
    lines = (plain(line).split() for line in text.splitlines())
    return [cells for cells in lines if cells and cells[0] in {"kernel", *KERNELS}]


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


def test_piped_output_is_plain_and_the_table_fits_80_columns() -> None:
    """No escape codes, no cell cut short, and no line of the table of a plain run beyond 80 characters."""
    text = shown(widest())
    assert "\x1b" not in text and "…" not in text
    rows = [line for line in text.splitlines() if line.split()[:1] and line.split()[0] in {"kernel", *KERNELS}]
    assert len(rows) == 1 + len(widest()) and max(map(len, rows)) <= 80
    for cell in ("gemv_t", "7100", "8000", "2601", "152.0%", "suspect: reason 0-51"):
        assert cell in text


def test_every_row_is_a_line_with_its_marks() -> None:
    """The table has the header, a line per row, and the footnotes that its marks refer to."""
    rows = [make_result(kernel="copy"), make_result(status="suspect", reason="drift")]
    lines = [line.split() for line in shown(rows).splitlines()]
    assert ["kernel", "backend", "dtype", "GB/s", "best", "spread"] in [line[:6] for line in lines]
    assert [line[0] for line in lines if line and line[0] in KERNELS][:2] == ["copy", "triad"]
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


def test_colour_is_forced_and_forbidden_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """FORCE_COLOR brings colour to a pipe, NO_COLOR keeps it from a terminal; neither changes the text."""
    row = make_result(status="suspect", reason="drift")
    piped = shown([row])
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[33m" not in shown([row], Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("FORCE_COLOR", "1")
    forced = shown([row])
    assert "\x1b[33m" in forced
    assert plain(forced) == piped


PATH = "/somewhere/a-folder-whose-name-is-long/and-another-one-below-it/20261123T101500Z-3f2a.csv"


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_terminal_wraps_text_between_words(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Text fills the terminal's width and breaks between words; a path that is longer than a line stays whole."""
    monkeypatch.setenv("COLUMNS", str(columns))
    words = ["several", "words", "and"] * 12 + [PATH]
    out = Terminal()
    console(out).print(escape(" ".join(words)))
    lines = out.getvalue().splitlines()
    assert " ".join(lines).split() == words
    assert max(len(line) for line in lines if PATH not in line) <= columns
    assert any(len(line) > columns - 8 for line in lines)


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_terminal_never_cuts_a_cell(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """However narrow the terminal is, the table has the cells that it has in a pipe."""
    monkeypatch.setenv("COLUMNS", str(columns))
    assert cells_of(shown(widest(), Terminal())) == cells_of(shown(widest()))


@pytest.mark.parametrize("columns", ["0", "", "wide"])
def test_a_terminal_of_unknown_width_has_80_columns(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    """COLUMNS without a width is no reason to print nothing."""
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr("os.get_terminal_size", lambda descriptor: os.terminal_size((0, 0)))
    assert console(Terminal()).width == 80


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_a_pipe_is_the_same_whatever_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: str
) -> None:
    """Off a terminal a message, a footnote and the legend are a line each, whatever COLUMNS says."""
    monkeypatch.setenv("COLUMNS", columns)
    reason = f"a long reason {'and more of it ' * 20}with {PATH}"
    text = shown([make_result(status="suspect", reason=reason)])
    assert f"1: suspect: {reason}\n" in text
    assert text.count("`bandmark explain NAME` says what a name means\n") == 1
    assert text.splitlines()[-1] == f"flagged: 1 suspect of 1 row; {reason}"
    info(f"wrote {reason}")
    warn(reason)
    assert capsys.readouterr().err == f"wrote {reason}\nnote: {reason}\n"


def test_talk_and_warnings_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """Stdout is for results; notes and info, brackets and all, go to stderr."""
    info("wrote [a].csv")
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


@pytest.mark.parametrize(("on_terminal", "quiet"), [(True, False), (False, False), (True, True), (False, True)])
def test_what_each_group_yields(monkeypatch: pytest.MonkeyPatch, on_terminal: bool, quiet: bool) -> None:
    """The bar names the last figures and the time that is left; a pipe gets a line a group; quiet is silent."""
    stream = Terminal() if on_terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    backend = FakeBackend()
    group = make_group("triad", [backend])
    session = measured([group], [backend], StopRule())
    outcomes, session.outcomes = session.outcomes, []
    with LiveProgress(quiet=quiet) as progress:
        progress.watch(session)
        progress(0, 2, "triad float64")
        session.outcomes += outcomes
        progress(1, 2, "copy float64")
    seen = plain(stream.getvalue())
    figures = re.escape(f"{backend.name} ") + r"[\d.]+ GB/s"
    if quiet:
        assert seen == ""
    elif on_terminal:
        assert re.search(f"1/2 {figures}, \\d+ s left", seen)
    else:
        assert re.fullmatch(f"1/2 triad float64: {figures}\n", seen)


@pytest.mark.parametrize("on_terminal", [True, False])
def test_a_group_is_looked_at_while_it_is_measured(monkeypatch: pytest.MonkeyPatch, on_terminal: bool) -> None:
    """On a terminal the bar shows the figures so far, twice a second at most; elsewhere nothing is computed."""
    stream = Terminal() if on_terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    now = [100.0]
    monkeypatch.setattr("bandmark.show.console.monotonic", lambda: now[0])
    backend = FakeBackend()
    session = measured([make_group("triad", [backend])], [backend], StopRule())
    outcomes, session.outcomes, looks = session.outcomes, [], 0

    def so_far() -> list[Outcome]:
        nonlocal looks
        looks += 1
        return [replace(o, measurement=replace(o.measurement, max_error=None)) for o in outcomes if o.measurement]

    with LiveProgress() as progress:
        progress.watch(session)
        progress(0, 2, "triad float64")
        for _ in range(6):
            now[0] += 0.2
            progress.look(so_far)
    assert looks == (2 if on_terminal else 0)
    assert bool(re.search(rf"0/2 {re.escape(backend.name)} [\d.]+ GB/s", plain(stream.getvalue()))) == on_terminal


@pytest.mark.parametrize("columns", [40, 80])
def test_the_answer_is_on_the_last_screen(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """On a terminal of 24 lines the summary of a plain run fits, with the best of every kernel."""
    monkeypatch.setenv("COLUMNS", str(columns))
    rows = [
        make_result(kernel=kernel, backend=backend, dtype=dtype, bandwidth_gbs=231.4, peak_gbs=273.0,
                    percent_of_peak=84.8, verdict="normal for LPDDR5X (78-95 %)")
        for kernel in DEFAULT_KERNELS for backend in ("numpy", "torch") for dtype in ("float64", "float32")
    ]  # fmt: skip
    last = " ".join(plain(shown(rows, Terminal())).splitlines()[-22:])
    words = " ".join(last.split())
    assert all(f"{kernel} 231.4" in words for kernel in DEFAULT_KERNELS)
    assert "85 % of the peak of 273 GB/s: normal for LPDDR5X, where 213-259 GB/s is normal" in words
    assert "below the DGX Spark" in words and "flagged: nothing in 40 rows" in words


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
    lines = [line for line in text.splitlines() if line.split()[:1] and line.split()[0] in KERNELS]
    assert len(lines) == len(rows) and max(map(len, lines)) <= 80
    assert {line.split()[0] for line in text.splitlines() if line.strip()} >= set(KERNELS)


@pytest.mark.parametrize("columns", [40, 80, None])
def test_a_models_matrices_are_summed(monkeypatch: pytest.MonkeyPatch, columns: int | None) -> None:
    """Long names wrap on a terminal alone, nothing is cut, formats stand apart, and below is a pass over all."""
    monkeypatch.setenv("COLUMNS", str(columns))
    rows = [
        replace(row, kernel="gemv", m=6144, n=4096, layer=f"deepseek-v3 {name}", layer_uses=32, weight_format=form)
        for form in ("nvfp4", "mxfp4")
        for name, row in zip(("qkv", "expert+shared gate_up", "lm_head"), widest(), strict=False)
    ]
    rows = [replace(row, dtype="float32", weights_per_s=7999.9e9, bytes_read=10**10) for row in rows]
    text = plain(shown(rows, Terminal() if columns else None))
    assert "…" not in text
    for words in ("expert+shared", "gate_up", "nvfp4", "8000", "2601", "152.0%"):
        assert words in text
    table = [line for line in text.splitlines() if "torch" in line and "152.0%" in line]
    assert len(table) == 6 and max(map(len, table)) <= 80 + (columns is None) * len(" gate_up")
    assert any(line.startswith("expert+shared gate_up") for line in table) == (columns is None)
    said = " ".join(text.split())
    assert "One decode step's matrices of deepseek-v3, one after the other" in said
    assert "torch mxfp4: 960 GB in 96 ms, 1e+04 GB/s; suspect: all" in said
    lines = [line.rstrip() for line in text.splitlines()]
    assert "" in lines[next(i for i, line in enumerate(lines) if line.startswith("qkv")) :][:6]


@given(st.lists(st.text("abc,;()-", min_size=1, max_size=79), min_size=1, max_size=30), st.booleans())
def test_notes_stay_whole(words: list[str], terminal: bool) -> None:
    """A footnote is one line in a pipe, and lines of whole words on a terminal, without spaces at their ends."""
    text = plain(shown([make_result(status="suspect", reason=" ".join(words))], Terminal() if terminal else None))
    lines = text.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith("1: "))
    end = next(i for i, line in enumerate(lines) if line.startswith("STREAM-style"))
    assert " ".join(lines[begin:end]).split() == ["1:", "suspect:", *words]
    assert terminal or (end == begin + 1 and all(line == line.rstrip() for line in lines))


def test_a_reader_that_goes_away_is_told_to_the_caller() -> None:
    """Printing raises BrokenPipeError, where rich would end the program."""
    with pytest.raises(BrokenPipeError):
        shown([make_result()], Closed())


def test_talk_that_nobody_reads_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever closes stderr misses what is said, and the program goes on."""
    monkeypatch.setattr(sys, "stderr", Closed())
    info("one")
    warn("two")
    assert sys.stderr.name == os.devnull
    sys.stderr.close()
