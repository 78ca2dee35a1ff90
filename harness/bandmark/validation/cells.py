"""Check that every cell of a result CSV is written as bandmark writes it: header, types, names and ranges."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from bandmark import __version__
from bandmark.backends.select import BACKENDS
from bandmark.results.faults import Fault, quote
from bandmark.results.reading import AS_WRITTEN
from bandmark.results.row import SCHEMA, Column, Row, columns, from_cells
from bandmark.results.sheet import FORMULAS, Sheet
from bandmark.suites import SUITES
from bandmark_kernels import DTYPES
from bandmark_kernels.core.inputs import PATTERNS

FIRST_LAYOUT = "copies"
"""The last column of the first files that were published: columns after it may be missing from older files."""

MAX_TEXT = 2000
"""Characters of a cell; the longest sentences that bandmark writes have a few hundred."""

MAX_INT = 2**63
"""Above every whole number that a result can hold."""

TEXT_FORMS = {
    "run_id": (re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{4}"), "a start in UTC and four digits: 20261123T101500Z-3f2a"),
    "system": (re.compile(r"[a-z0-9]+(-[a-z0-9]+)*"), "lower-case letters, digits and hyphens: dgx-spark"),
    "started_utc": (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "a time in UTC: 2026-11-23T10:15:00Z"),
    "bandmark_version": (re.compile(r"\d+(\.\d+)+[\w.+]*"), "a version: 0.1.0"),
    "backend_version": (re.compile(r"\d+(\.\d+)+[\w.+\-]*"), "a version: 2.13.0+cu130"),
}

NOT_FINITE = ("nan", "inf")
"""What max_error holds where an output has no finite error."""

MAY_BE_ZERO = ("bytes_read", "bytes_written", "max_error", "ci95_rel", "power_w", "temperature_c")

UNKNOWN_WORDS = ("n/a", "na", "nan", "null", "none", "-", "?", "unknown")

FORMULA_STARTS = tuple(FORMULAS.replace("-", ""))

_INT = re.compile(r"0|[1-9][0-9]*")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?(e[+-][0-9]{2,3})?")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the file, and the row that it holds if every cell of it could be read."""

    line: int
    result: Row | None


def newer(version: str | None) -> str:
    """Return what to add to a message about something unknown in a file of a newer version; else nothing."""
    if version is None or version_numbers(version) <= version_numbers(__version__):
        return ""
    return f" (the file is of bandmark {version[:20]}, this is {__version__}: update bandmark)"


def version_numbers(version: str) -> tuple[int, ...]:
    """Return the first three numbers of a version."""
    return tuple(int(part) for part in re.findall(r"[0-9]{1,9}", version)[:3])


def check_cells(sheet: Sheet) -> tuple[list[Line], list[Fault]]:
    """Return the rows of a sheet, and every fault of its form."""
    version = _version(sheet)
    if too_new := list(_schemas(sheet)):
        return [], too_new
    faults = [*_line_ends(sheet), *_header(sheet, version)]
    known = {c.name: c for c in columns()}
    rows: list[Line] = []
    for line, cells in sheet.lines:
        found = list(_line(sheet, line, cells, known, version))
        faults += found
        named = dict(zip(sheet.header, cells, strict=False))
        rows.append(Line(line, None if found else from_cells(named)))
    if not sheet.lines:
        faults.append(Fault(file=sheet.path, found="a header and no rows", wanted="nothing was measured: run it again"))
    return rows, faults


def _version(sheet: Sheet) -> str | None:
    """Return the version that the first line names, whatever it is."""
    place = sheet.header.index("bandmark_version")
    cells = sheet.lines[0][1] if sheet.lines else []
    return cells[place] if len(cells) > place else None


def _schemas(sheet: Sheet) -> Iterator[Fault]:
    """Yield a fault if the file is of a newer schema: nothing else in it can be judged."""
    place = sheet.header.index("schema")
    for line, cells in sheet.lines:
        text = cells[place] if len(cells) > place else ""
        if _INT.fullmatch(text) and len(text) < 9 and int(text) > SCHEMA:
            wanted = f"at most {SCHEMA}: the file is newer than bandmark {__version__}; update bandmark"
            yield Fault(file=sheet.path, line=line, column="schema", found=text, wanted=wanted)
            return


def _line_ends(sheet: Sheet) -> Iterator[Fault]:
    if "\r\n" in sheet.text:
        line = sheet.text.count("\n", 0, sheet.text.index("\r\n")) + 1
        yield Fault(file=sheet.path, line=line, found="line ends are CR LF", wanted=f"they should be LF: {AS_WRITTEN}")


def _header(sheet: Sheet, version: str | None) -> Iterator[Fault]:
    """Yield what is wrong with the columns: unknown, twice, missing or in another order."""
    names, header = [c.name for c in columns()], sheet.header

    def fault(column: str, found: str, wanted: str) -> Fault:
        return Fault(file=sheet.path, line=1, column=quote(column)[1:-1], found=found, wanted=wanted)

    for name in dict.fromkeys(header):
        if name not in names:
            near = difflib.get_close_matches(name.strip().lower(), names, n=1)
            hint = f"{near[0]}, perhaps" if near else "none: columns are those of results/README.md"
            yield fault(name, "an unknown column", hint + newer(version))
        elif header.count(name) > 1:
            yield fault(name, f"the column {header.count(name)} times", "it once")
    least = names[: names.index(FIRST_LAYOUT) + 1]
    for name in least:
        if name not in header:
            yield fault(name, "no such column", "one, if only with empty cells")
    known = [name for name in header if name in names]
    for found, wanted in zip(known, (name for name in names if name in known), strict=False):
        if found != wanted:
            yield fault(found, "another order", f"{wanted} there: {AS_WRITTEN}")
            return


def _line(sheet: Sheet, line: int, cells: list[str], known: dict[str, Column], version: str | None) -> Iterator[Fault]:
    if len(cells) != len(sheet.header):
        what = "an empty line" if not cells else f"{len(cells)} cells"
        if cells and cells[0].startswith(("<<<<<<<", "=======", ">>>>>>>")):
            what = "the mark of a merge conflict"
        wanted = f"the header has {len(sheet.header)} columns: the line is cut, or holds a comma that is not quoted"
        yield Fault(file=sheet.path, line=line, found=what, wanted=wanted)
        return
    named = dict(zip(sheet.header, cells, strict=True))
    case = quote(" ".join(named.get(name, "") for name in ("backend", "kernel", "dtype")))[1:-1]
    for name, text in named.items():
        wrong = _wrong(known[name], text) if name in known else None
        if wrong:
            hint = newer(version) if name in ("kernel", "dtype", "backend", "suite", "weight_format") else ""
            yield Fault(file=sheet.path, line=line, column=name, case=case, found=quote(text), wanted=wrong + hint)


def _wrong(column: Column, text: str) -> str | None:
    """Return what a cell should hold, if it does not."""
    if text == "":
        return "a value: every row has one" if column.required else None
    if column.type == "str":
        return _wrong_text(column.name, text)
    if column.type == "bool":
        return None if text in ("true", "false") else _diagnosis(text, "true, false or nothing")
    if column.name == "max_error" and text in NOT_FINITE:
        return None
    return _wrong_number(column, text)


def _wrong_number(column: Column, text: str) -> str | None:
    whole = column.type == "int"
    if not (_INT if whole else _FLOAT).fullmatch(text) or len(text) > 25:
        return _diagnosis(text, "a whole number" if whole else "a number with a decimal point")
    value = float(text)
    if not math.isfinite(value) or (whole and int(text) >= MAX_INT):
        return "a number that a measurement can have"
    if column.name == "temperature_c":
        return None if -100 <= value <= 200 else "a temperature in degrees Celsius"
    if value < 0 or (value == 0 and column.name not in MAY_BE_ZERO):
        return "more than 0; unknown is an empty cell, never 0 or -1"
    if not whole and f"{value:.9g}" != text:
        return f"{value:.9g}, with nine significant figures, as bandmark writes it"
    return None


def _diagnosis(text: str, wanted: str) -> str:
    """Return what a cell should hold that is no number, with the most frequent ways in which programs spoil one."""
    if text != text.strip():
        return f"{wanted}, without the space around it"
    if text.startswith(FORMULA_STARTS):
        return f"{wanted}; a formula is never one"
    if "," in text:
        return f"{wanted}: no comma, whatever the locale"
    if text.lower() in UNKNOWN_WORDS:
        return f"{wanted}: unknown is an empty cell"
    return wanted


def _wrong_text(name: str, text: str) -> str | None:
    faults = (
        (text[0] in FORMULAS, "text that no spreadsheet takes for a formula"),
        (not text.isprintable(), "text on one line, without control characters or invisible ones"),
        (text != text.strip(), "the text without the space around it"),
        (len(text) > MAX_TEXT, f"at most {MAX_TEXT} characters"),
        (name in TEXT_FORMS and not TEXT_FORMS[name][0].fullmatch(text), TEXT_FORMS.get(name, (None, ""))[1]),
    )
    return next((wanted for wrong, wanted in faults if wrong), None) or _wrong_name(name, text)


def _wrong_name(column: str, text: str) -> str | None:
    """Return the accepted names of a column that takes certain names only."""
    accepted = _accepted_names(column)
    if not accepted or text in accepted:
        return None
    near = difflib.get_close_matches(text.lower(), accepted, n=1)
    return f"one of {', '.join(accepted)}" + (f" (did you mean {near[0]!r}?)" if near else "")


def _accepted_names(column: str) -> tuple[str, ...]:
    """Return the names that a column takes, none where it takes any text."""
    if column == "suite":
        return tuple(dict.fromkeys(name for suite in SUITES.values() for name in suite.row_suites or (suite.name,)))
    if column == "kernel":
        return tuple(dict.fromkeys(name for suite in SUITES.values() for name in suite.kernel_names))
    if column == "dtype":
        return tuple(DTYPES)
    if column == "backend":
        return BACKENDS
    if column == "data":
        return PATTERNS
    return next((c.values for c in columns() if c.name == column), ())
