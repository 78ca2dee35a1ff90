"""bandmark explain: what a kernel, suite, column, heading, status or term means, from the tables that define them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from importlib.resources import files

from bandmark.backends.discovery import LIBRARIES
from bandmark.errors import EXIT_OK, UsageError, unknown_name
from bandmark.results.row import STATUS_MEANINGS, Column, columns
from bandmark.suites import SUITES
from bandmark.suites.base import Suite
from bandmark_kernels import DTYPES, FORMATS, KERNELS, Kernel
from bandmark_kernels.core.dtypes import SHORT_DTYPES


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="what to explain (default: list the names)")


def execute(arguments: argparse.Namespace) -> int:
    """Print what a name means, or the names."""
    if arguments.name is None:
        print("\n".join(f"{kind}: {', '.join(entries)}" for kind, entries in _entries().items()))
        return EXIT_OK
    meanings = [lines for entries in _entries().values() for name, lines in entries.items() if name == arguments.name]
    meanings = meanings or [list(_mentions(arguments.name))]
    if not any(meanings):
        problem = str(unknown_name("name", arguments.name, [name for names in _entries().values() for name in names]))
        raise UsageError(f"{problem.partition(' Choose from')[0]} `bandmark explain` lists the names.")
    print("\n\n".join("\n".join(lines) for lines in meanings))
    return EXIT_OK


def _entries() -> dict[str, dict[str, list[str]]]:
    """Return what is explained: by kind and name, the lines."""
    headings = {column.title for suite in SUITES.values() for column in suite.table_columns([])}
    return {
        "kernels": {name: _kernel(kernel) for name, kernel in KERNELS.items()},
        "suites": {name: _suite(suite) for name, suite in SUITES.items()},
        "headings": {name: lines for name in sorted(headings) if (lines := list(_mentions(name)))},
        "columns": {column.name: _column(column) for column in columns()},
        "statuses": {
            name: [f"{name}: status of a row: {meaning}", "Its reason is in the column reason and a footnote."]
            for name, meaning in STATUS_MEANINGS.items()
        },
        "terms": {value: _value(value) for value in _values()},
    }


def _kernel(kernel: Kernel) -> list[str]:
    read, written = kernel.words
    return [
        f"{kernel.name}: kernel of {kernel.suite}: {kernel.formula}",
        f"Per element it reads {read} and writes {written} times its dtype; operations: {kernel.flops}.",
        f"It runs in {', '.join(kernel.dtypes)}, on {', '.join(kernel.implementations)}.",
    ]


def _suite(suite: Suite) -> list[str]:
    metric, kernels = suite.metric, suite.kernel_names or ("what --kernel names",)
    better = "higher" if metric.higher_is_better else "lower"
    return [
        f"{suite.name}: suite: {suite.title}",
        f"Its metric is {metric.name} in {metric.unit}, the column {metric.column}; {better} is better.",
        f"It measures {', '.join(kernels)}: bandmark run --suite {suite.name}",
    ]


def _column(column: Column) -> list[str]:
    unit = f" in {column.unit}" if column.unit not in ("", "1") else ""
    accepted = f" One of {', '.join(column.values)}." if column.values else ""
    return [
        f"{column.name}: column of result files: {column.doc}",
        f"It holds {column.type}{unit}; {'never empty' if column.required else 'empty where it is unknown'}.{accepted}",
        *(["It is part of what identifies a case."] if column.identity else []),
    ]


def _values() -> list[str]:
    """Return the names that stand in cells or on the command line, without those that are explained elsewhere."""
    cells = [value for column in columns() for value in column.values if value not in STATUS_MEANINGS]
    return [*cells, *LIBRARIES, *DTYPES, *SHORT_DTYPES.values(), *FORMATS]


def _value(name: str) -> list[str]:
    long = next((dtype for dtype, short in SHORT_DTYPES.items() if short == name), name)
    lines = [f"{name}: a value of the column {c.name}: {c.doc}" for c in columns() if name in c.values]
    if name in LIBRARIES:
        lines.append(f"{name}: a backend; if it is not installed: {LIBRARIES[name].install}")
    if long in DTYPES:
        lines.append(f"{name}: the number format {long}, {DTYPES[long].itemsize} bytes an element (--dtype)")
    elif name in FORMATS:
        lines.append(f"{name}: a format of quantized weights or caches (--weights)")
    return [*lines, *_mentions(name)][:3]


def _mentions(word: str) -> Iterator[str]:
    """Yield the sentences of legends and of the report's guide that name a word."""
    guide = files("bandmark.reports").joinpath("reading.txt").read_text(encoding="utf-8")
    texts = [*(suite.legend([]) for suite in SUITES.values()), *guide.splitlines()]
    sentences = dict.fromkeys(s.strip() for text in texts for s in re.split(r"(?<=[.;]) ", text))
    pattern = re.compile(rf"(?<![\w.]){re.escape(word)}(?![\w/])")
    yield from [sentence for sentence in sentences if pattern.search(sentence)][:3]
