"""Print tables of results on stdout, and messages and progress on stderr, with rich."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from rich import markup
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement, measure_renderables
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from bandmark.results.row import MEASURED, Row
from bandmark.show.plot import draw
from bandmark.show.summary import summary
from bandmark.show.table import build_table, heading
from bandmark.suites import by_suite, metric_of
from bandmark.suites.base import Suite
from bandmark.suites.table import LIBRARY, figure
from bandmark.units import printable_lines

if TYPE_CHECKING:
    from bandmark.session.rows import Outcome
    from bandmark.session.session import Session

_UNLIMITED = 1 << 20
"""Columns of a stream that is no terminal: more than any line has, so that rich wraps none."""

_POINTER = "STREAM-style; GB is 10^9 bytes; `bandmark explain NAME` says what a name means"

_PLOT_WIDTH = 78

_REDRAW_S = 0.5

_MAX_NAMED = 10
"""Things of a kind that are named one by one."""


class _Console(Console):
    """Rich's console, except that words and cells stay whole and that a closed pipe raises BrokenPipeError."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print; what is wider than the terminal and has no place for a break is left to the terminal to wrap."""
        for table in objects:
            if isinstance(table, Table):
                self._fit(table)
                options["crop"] = False
        if self.file.isatty() and objects and all(isinstance(text, str) for text in objects):
            objects = (self._wrapped(" ".join(objects)),)
            options["soft_wrap"] = True
        super().print(*objects, **options)

    def _wrapped(self, marked: str) -> Text:
        """Return text with line ends between words: rich itself would cut a word that is longer than a line."""
        lines: list[Text] = []
        for line in self.render_str(marked).split("\n", allow_blank=True):
            start, breaks = 0, []
            for word in re.finditer(r"\S+", line.plain):
                too_long = cell_len(line.plain[start : word.end()]) > self.width
                if too_long and line.plain[start : word.start()].strip():
                    start = word.start()
                    breaks.append(start)
            lines += line.divide(breaks)
        for line in lines:
            line.rstrip()
        return Text("\n").join(lines)

    def _fit(self, table: Table) -> None:
        """Give a table the width of the terminal, or what its cells need at least: rich would cut them."""
        unlimited = self.options.update(max_width=_UNLIMITED)
        for column in table.columns:
            if column.no_wrap:
                cells = measure_renderables(self, unlimited, [column.header, *column.cells])
                column.min_width = cells.maximum
        needed = Measurement.get(self, unlimited, table)
        table.width = min(needed.maximum, max(needed.minimum, self.width))

    def on_broken_pipe(self) -> None:
        """Raise the BrokenPipeError that is being handled: rich would end the program with 1."""
        raise sys.exception() or BrokenPipeError()


class _Trimmed:
    """A stream that gets text without the spaces at the end of its lines, with which rich fills up tables."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.encoding = file.encoding

    def isatty(self) -> bool:
        """Return that it is no terminal."""
        return False

    def write(self, text: str) -> int:
        """Write text, which rich hands over in whole lines."""
        self._file.write(_TRAILING.sub(r"\1", text))
        return len(text)

    def flush(self) -> None:
        """Flush the stream behind."""
        self._file.flush()


_TRAILING = re.compile(r"[ \t]+((?:\x1b\[[\d;]*m)*)$", re.MULTILINE)
"""Spaces at the end of a line, and the codes behind them that end a colour (FORCE_COLOR)."""


def console(file: TextIO) -> Console:
    """Return a console on a stream.

    On a terminal text wraps between words. Elsewhere every line is as long as it needs to be, so that a path or a name
    can be searched for, and colour comes with FORCE_COLOR alone.
    """
    on_terminal = file.isatty()
    out: Any = file if on_terminal else _Trimmed(file)
    made = _Console(file=out, width=None if on_terminal else _UNLIMITED, highlight=False, emoji=False)
    if made.width == 0:  # COLUMNS=0 says that the width is unknown, and rich would print nothing
        made.width = 80
    return made


def escape(text: str) -> str:
    """Return text that is shown as it stands: no markup of rich's, and nothing that a terminal obeys but line ends."""
    return markup.escape(printable_lines(text))


def text_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, left: int) -> Table:
    """Return a table of text cells whose first columns are aligned to the left and the others to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, name in enumerate(header):
        table.add_column(escape(name), justify="left" if number < left else "right", no_wrap=True)
    for cells in rows:
        table.add_row(*map(escape, cells))
    return table


def print_parts(parts: Iterable[Table | str]) -> None:
    """Print tables and paragraphs on stdout."""
    out = console(sys.stdout)
    for part in parts:
        out.print(escape(part) if isinstance(part, str) else part)


def show_results(results: Sequence[Row], file: TextIO | None = None) -> None:
    """Print the rows of one run: a heading, a table for each suite with its footnotes, and the summary."""
    out = console(file or sys.stdout)
    if not results:
        out.print("no rows")
        return
    out.print(escape(heading(results)) + "\n")
    for suite, rows in by_suite(results):
        _show_suite(out, suite, rows)
    out.print(f"[dim]{_POINTER}[/dim]\n" if out.is_terminal else f"{_POINTER}\n")
    out.print(escape("\n".join(summary(results))))


def _show_suite(out: Console, suite: Suite, rows: Sequence[Row]) -> None:
    rows, every = suite.shown(rows), rows
    table = build_table(suite, rows)
    drawn = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for number, (name, left) in enumerate(zip(table.header, table.left, strict=True)):
        # Only the first column may have a name so long that it takes a second line on a terminal.
        drawn.add_column(name, justify="left" if left else "right", no_wrap=number > 0)
    parts = [_part(row) for row in rows]
    grouped = len(set(parts)) < len(parts)
    for before, part, line in zip([None, *parts], parts, table.rows, strict=False):
        if grouped and before not in (None, part):
            drawn.add_row()
        drawn.add_row(*map(escape, line.cells), style=None if line.is_ok else "yellow")
    out.print(drawn)
    out.print()
    if curve := suite.curve(every):
        out.print(escape(draw(curve, min(out.width, _PLOT_WIDTH))) + "\n")
    if summary := suite.headline(every):
        out.print(escape(summary) + "\n")
    for number, note in enumerate(table.footnotes, start=1):
        out.print(escape(f"{number}: {note}"))


def _part(row: Row) -> tuple[str | None, ...]:
    """Return what is equal in the lines that stand together."""
    return (row.kernel, *((row.weight_format, row.dtype, row.backend) if row.layer else ()))


def info(text: str) -> None:
    """Print a line for people on stderr."""
    _say(escape(text))


def _say(marked: str) -> None:
    """Print text with markup on stderr; whoever does not read it any more misses it, and nothing else happens."""
    try:
        console(sys.stderr).print(marked)
    except BrokenPipeError:
        sys.stderr = open_devnull()


def open_devnull() -> TextIO:
    """Return a stream for what nobody reads any more."""
    return open(os.devnull, "w", encoding="utf-8")


def info_each(lines: Sequence[str], what: str) -> None:
    """Print the first lines of many to stderr, and how many more of what there are."""
    for line in lines[:_MAX_NAMED]:
        info(line)
    if len(lines) > _MAX_NAMED:
        info(f"and {len(lines) - _MAX_NAMED} more {what}")


def warn(text: str) -> None:
    """Print a warning on stderr."""
    _say(f"[yellow]note:[/yellow] {escape(text)}")


class LiveProgress:
    """How far a run is, on stderr: a bar on a terminal, elsewhere a line for each group of a run that is watched."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._on_terminal, self._quiet = sys.stderr.isatty(), quiet
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed}/{task.total} {task.fields[last]}{task.fields[remaining]}"),
            console=console(sys.stderr),
            transient=True,
            auto_refresh=False,
            expand=True,
            disable=quiet or not self._on_terminal,
        )
        self._task = self._bar.add_task("", total=None, last="", remaining="")
        self._session: Session | None = None
        self._begin, self._seen, self._label = monotonic(), 0, ""
        self._drawn, self._end = 0.0, math.inf

    def watch(self, session: Session) -> None:
        """Show what the groups of a session yield as they end."""
        self._session, self._begin = session, monotonic()

    def __enter__(self) -> LiveProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        self._last_figures()

    def __call__(self, done: int, total: int, label: str) -> None:
        """Show the group that is about to be measured; the bar appears with the first."""
        last, self._label = self._last_figures(), f"{done + 1}/{total} {label}"
        now = monotonic()
        self._end = now + (now - self._begin) / done * (total - done) if done else math.inf
        self._bar.start()
        self._draw(description=label, completed=done, total=total, last=last)

    def look(self, outcomes: Callable[[], list[Outcome]]) -> None:
        """Show the figures so far, between two rounds: a timer's thread would take a processor from the measurement."""
        if self._session and not self._bar.disable and monotonic() - self._drawn >= _REDRAW_S:
            self._draw(last=_figures(outcomes(), self._session))

    def _draw(self, **fields: Any) -> None:
        self._drawn = monotonic()
        remaining = "" if self._end == math.inf else f", {max(0.0, self._end - self._drawn):.0f} s left"
        self._bar.update(self._task, remaining=remaining, **fields)
        self._bar.refresh()

    def _last_figures(self) -> str:
        """Return the figures of the group that has just ended, by backend; elsewhere than on a terminal print them."""
        outcomes = self._session.outcomes[self._seen :] if self._session else []
        if not outcomes or not self._session:
            return ""
        self._seen += len(outcomes)
        text = _figures(outcomes, self._session)
        if not (self._on_terminal or self._quiet):
            info(f"{self._label}: {text}")
        return text


def _figures(outcomes: list[Outcome], session: Session) -> str:
    """Return the figures of outcomes, by backend."""
    from bandmark.session.rows import build_rows

    rows = build_rows(outcomes, session.facts())
    words = [
        f"{LIBRARY.text(row)} {figure(metric_of(row).value(row)) if row.status in MEASURED else row.status}"
        for row in rows
    ]
    return f"{', '.join(words)} {metric_of(rows[0]).unit}"
