"""Check that every cell of a result CSV is written as bandmark writes it: header, types, names and ranges."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Iterator
from itertools import zip_longest

from bandmark import __version__
from bandmark.backends.discovery import BACKENDS
from bandmark.results.reading import AS_WRITTEN, FORMULAS, Sheet, Violation
from bandmark.results.row import SCHEMA, Column, Row, columns, from_cells, parse_cell, write_cell
from bandmark.suites import SUITES
from bandmark.units import quote
from bandmark_kernels import DTYPES
from bandmark_kernels.core.checks import PATTERNS

_FIRST_LAYOUT = "copies"
"""The last column of the first files that were published: columns after it may be missing from older files."""

MAX_TEXT = 2000
"""Characters of a cell; the longest sentences that bandmark writes have a few hundred."""

_MAX_VIOLATIONS = 10_000
"""Errors of cells after which the rest of a file is not read."""

_MAX_INT = 2**63
"""Above every whole number that a result can hold."""

TEXT_FORMS = {
    "run_id": (
        re.compile(r"\d{8}T\d{6}Z-(?:[0-9a-f]{4}){1,2}"),
        "a start in UTC and digits: 20261123T101500Z-3f2a7c1d",
    ),
    "system": (re.compile(r"[a-z0-9]+(-[a-z0-9]+)*"), "lower-case letters, digits and hyphens: dgx-spark"),
    "started_utc": (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "a time in UTC: 2026-11-23T10:15:00Z"),
    "bandmark_version": (re.compile(r"\d+(\.\d+)+[\w.+]*"), "a version: 0.1.0"),
    "backend_version": (re.compile(r"\d+(\.\d+)+[\w.+\-]*"), "a version: 2.13.0+cu130"),
}

Finding = tuple[str, str, str]
"""Column or place in the JSON, what stands there, and what should."""

_MAY_BE_ZERO = (
    *("bytes_read", "bytes_written", "max_error", "ci95_rel", "power_w", "temperature_c"),
    *("preempted_samples", "preempted_time_frac", "read_fraction", "load_gbs", "peer"),
)


def newer(version: str | None) -> str:
    """Return what to add to a message about something unknown in a file of a newer version; else nothing."""
    if version is None or version_numbers(version) <= version_numbers(__version__):
        return ""
    return f" (the file is of bandmark {version[:20]}, this is {__version__}: update bandmark)"


def version_numbers(version: str) -> tuple[int, ...]:
    """Return the first three numbers of a version."""
    return tuple(int(part) for part in re.findall(r"[0-9]{1,9}", version)[:3])


def check_cells(sheet: Sheet) -> tuple[list[tuple[int, Row | None]], list[Violation]]:
    """Return each line's number and row, None where a cell can't be read, and every violation of the form."""
    version = _version(sheet)
    if too_new := list(_schemas(sheet)):
        return [], too_new
    violations = [*_line_ends(sheet), *_header(sheet, version)]
    known = {c.name: c for c in columns()}
    rows: list[tuple[int, Row | None]] = []
    for line, cells in sheet.lines:
        found = list(_line(sheet, line, cells, known, version))
        violations += found
        named = dict(zip(sheet.header, cells, strict=False))
        rows.append((line, None if found else from_cells(named)))
        if len(violations) >= _MAX_VIOLATIONS:
            violations.append(
                Violation(sheet.path, f"{len(violations)} errors so far", "the rest was not read", line=line)
            )
            break
    if not sheet.lines:
        violations.append(Violation(sheet.path, "a header and no rows", "nothing was measured: run it again"))
    return rows, violations


def _version(sheet: Sheet) -> str | None:
    """Return the version that the first line names, whatever it is."""
    place = sheet.header.index("bandmark_version")
    cells = sheet.lines[0][1] if sheet.lines else []
    return cells[place] if len(cells) > place else None


def _schemas(sheet: Sheet) -> Iterator[Violation]:
    """Yield a violation if the file is of a newer schema: nothing else in it can be judged."""
    place = sheet.header.index("schema")
    for line, cells in sheet.lines:
        text = cells[place] if len(cells) > place else ""
        if text.isdecimal() and len(text) < 9 and int(text) > SCHEMA:
            wanted = f"at most {SCHEMA}: the file is newer than bandmark {__version__}; update bandmark"
            yield Violation(sheet.path, text, wanted, line=line, column="schema")
            return


def _line_ends(sheet: Sheet) -> Iterator[Violation]:
    if "\r\n" in sheet.text:
        line = sheet.text.count("\n", 0, sheet.text.index("\r\n")) + 1
        yield Violation(sheet.path, "line ends are CR LF", f"they should be LF: {AS_WRITTEN}", line=line)


def _header(sheet: Sheet, version: str | None) -> Iterator[Violation]:
    """Yield the first column that differs from those of this version: columns are only ever appended."""
    names = [c.name for c in columns()]
    expected = names[: max(len(sheet.header), names.index(_FIRST_LAYOUT) + 1)]
    for found, wanted in zip_longest(sheet.header, expected):
        if found != wanted:
            what = "an unknown column" if found and found not in names else "another order, or a missing column"
            right = f"{wanted or 'no further column'}: columns are those of results/README.md"
            name = quote(found or wanted or "")[1:-1]
            yield Violation(sheet.path, what, right + newer(version), line=1, column=name)
            return


def _line(
    sheet: Sheet, line: int, cells: list[str], known: dict[str, Column], version: str | None
) -> Iterator[Violation]:
    if len(cells) != len(sheet.header):
        wanted = f"the header has {len(sheet.header)} columns: the line is cut, or holds a comma that is not quoted"
        yield Violation(sheet.path, f"{len(cells)} cells", wanted, line=line)
        return
    named = dict(zip(sheet.header, cells, strict=True))
    case = quote(" ".join(named.get(name, "") for name in ("backend", "kernel", "dtype")))[1:-1]
    for name, text in named.items():
        wrong = _wrong(known[name], text) if name in known else None
        if wrong:
            hint = newer(version) if name in ("kernel", "dtype", "backend", "suite", "weight_format") else ""
            yield Violation(sheet.path, quote(text), wrong + hint, line=line, column=name, case=case)


def _wrong(column: Column, text: str) -> str | None:
    """Return what a cell should hold, if it does not: what bandmark would write for the value that it reads."""
    if len(text) > MAX_TEXT:
        return f"at most {MAX_TEXT} characters"
    try:
        value = parse_cell(column, text)
    except ValueError as error:
        return str(error).rpartition("; ")[2].removeprefix("it takes ")
    if value is None or column.type == "bool":
        return None
    if column.type == "str":
        return _wrong_text(column.name, text)
    if write_cell(value) != text:
        return f"{write_cell(value)}, as bandmark writes it"
    return _wrong_number(column.name, value)


def _wrong_number(name: str, value: float) -> str | None:
    if name == "max_error" and not value < 0:
        return None  # nan and inf stand for an output without a finite error
    if not math.isfinite(value) or value >= _MAX_INT:
        return "a number that a measurement can have"
    if name == "temperature_c":
        return None if -100 <= value <= 200 else "a temperature in degrees Celsius"
    if value < 0 or (value == 0 and name not in _MAY_BE_ZERO):
        return "more than 0; unknown is an empty cell, never 0 or -1"
    return None


def _wrong_text(name: str, text: str) -> str | None:
    violations = (
        (text[0] in FORMULAS, "text that no spreadsheet takes for a formula"),
        (not text.isprintable(), "text on one line, without control characters or invisible ones"),
        (text != text.strip(), "the text without the space around it"),
        (name in TEXT_FORMS and not TEXT_FORMS[name][0].fullmatch(text), TEXT_FORMS.get(name, (None, ""))[1]),
    )
    return next((wanted for wrong, wanted in violations if wrong), None) or _wrong_name(name, text)


def _wrong_name(column: str, text: str) -> str | None:
    """Return the accepted names of a column that takes certain names only."""
    accepted = accepted_names(column)
    if not accepted or text in accepted:
        return None
    near = difflib.get_close_matches(text.lower(), accepted, n=1)
    return f"one of {', '.join(accepted)}" + (f" (did you mean {near[0]!r}?)" if near else "")


def accepted_names(column: str) -> tuple[str, ...]:
    """Return the names that a column takes, none where it takes any text."""
    suites = SUITES.values()
    open_sets: dict[str, Iterable[str]] = {
        "suite": (name for suite in suites for name in suite.row_suites or (suite.name,)),
        "kernel": (name for suite in suites for name in suite.kernel_names),
        "dtype": (*DTYPES, *(name for suite in suites for name in suite.dtype_names)),
        "backend": BACKENDS,
        "data": PATTERNS,
    }
    if column in open_sets:
        return tuple(dict.fromkeys(open_sets[column]))
    return next((c.values for c in columns() if c.name == column), ())
