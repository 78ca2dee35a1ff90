"""A good run, made on a pretend device, and every kind of damage that a result file can arrive with."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bandmark import __version__
from bandmark.device.device import Device
from bandmark.device.peaks import Peak
from bandmark.measure.sampling import StopRule
from bandmark.options import RunOptions
from bandmark.results.files import to_csv
from bandmark.results.row import columns
from bandmark.session import runner
from bandmark.session.session import Session
from fakes import FakeBackend, VirtualClock, make_group, make_machine, make_peak, make_target, measured, noisy

STARTED = datetime(2026, 11, 23, 10, 15, tzinfo=UTC)
DEVICE = Device(kind="cpu", name="Fake CPU, 1 kB", memory_bytes=2**30, llc_bytes=1000)
GB10 = Device(kind="gpu", name="NVIDIA GB10", llc_bytes=1000, integrated=True, memory_bytes=2**36)
KERNELS = ("copy", "triad", "nstream", "read", "gemv")


def good_session(
    *,
    run_id: str = "20261123T101500Z-3f2a",
    system: str = "fake-1",
    device: Device = DEVICE,
    peak: Peak | None = None,
    gbs: float = 0.012,
    seed: int = 1,
    kernels: tuple[str, ...] = KERNELS,
    options: RunOptions | None = None,
    errors: dict[str, float] | None = None,
    machine: dict[str, Any] | None = None,
    rule: StopRule | None = None,
) -> Session:
    """Return a run on two pretend backends, measured by the real harness on a virtual clock that starts with it."""
    clock = VirtualClock()
    numpy, torch = (
        FakeBackend(
            name=name,
            version=version,
            driver=None,
            device=device,
            threads=2,
            clock=clock,
            unsupported={"nstream": "torch has no one-pass op, says a test"} if name == "torch" else {},
            errors=errors or {},
            laws={k: noisy(_seconds(k, gbs), 0.003, seed + i) for i, k in enumerate(kernels, start=salt)},
        )
        for name, version, salt in (("numpy", "2.4.6", 0), ("torch", "2.13.0+cpu", 50))
    )
    started = datetime.strptime(run_id[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    groups = [make_group(kernel, [numpy, torch]) for kernel in kernels]
    target = make_target(
        [numpy, torch], peak=peak or make_peak(0.02), address="cpu", machine=make_machine(**(machine or {}))
    )
    # What else runs here is no part of the pretence, nor is the time of day.
    with patch.object(runner, "read_cpu_use", return_value=None), patch.object(runner, "utc_now", return_value=started):
        return measured(
            groups,
            [numpy, torch],
            rule or StopRule(),
            options=options or RunOptions(system=system),
            run_id=run_id,
            started=started,
            system=system,
            target=target,
        )


def good_run(**options: Any) -> tuple[str, dict[str, Any]]:
    """Return the CSV and the run record of such a run."""
    return _files(good_session(**options))


def _files(session: Session) -> tuple[str, dict[str, Any]]:
    record = session.record().to_json()
    (clock,) = {id(b.clock): b.clock for b in session.target.backends}.values()  # type: ignore[attr-defined]
    record["finished_utc"] = f"{session.started + timedelta(seconds=clock.now + 1):%Y-%m-%dT%H:%M:%SZ}"
    return to_csv(session.rows()), json.loads(json.dumps(record))


def _seconds(kernel: str, gbs: float) -> float:
    """Return a launch's time on the pretend device."""
    group = make_group(kernel, [])
    moved = group.kernel.bytes_read(group.shape, group.dtype) + group.kernel.bytes_written(group.shape, group.dtype)
    return moved / gbs / 1e9


@dataclass
class Pair:
    """A run's two files, to be damaged."""

    csv: bytes
    json: bytes | None

    @property
    def record(self) -> dict[str, Any]:
        """The run record."""
        assert self.json is not None
        loaded: dict[str, Any] = json.loads(self.json)
        return loaded

    def write(self, folder: Path) -> Path:
        """Write what there is; return the path of the CSV."""
        path = folder / "run.csv"
        path.write_bytes(self.csv)
        if self.json is not None:
            path.with_suffix(".json").write_bytes(self.json)
        return path


def pair(made: tuple[str, dict[str, Any]]) -> Pair:
    """Return a run as its files' contents."""
    text, record = made
    return Pair(text.encode(), json.dumps(record, indent=1).encode())


@dataclass(frozen=True)
class Damage:
    """One kind of damage, and the message that it must give."""

    name: str
    harm: Callable[[Pair], Pair]
    message: str
    """Pattern that one of the violations must match."""
    column: str | None = None
    """The column, or place in the JSON, which that violation must name."""
    line: int | None = None
    """The line which it must name."""


DAMAGES: list[Damage] = []


def _text(name: str, harm: Callable[[str], str | bytes], message: str, **where: Any) -> None:
    """Add a damage of the CSV's text."""

    def apply(pair: Pair) -> Pair:
        harmed = harm(pair.csv.decode())
        return Pair(harmed.encode() if isinstance(harmed, str) else harmed, pair.json)

    DAMAGES.append(Damage(name, apply, message, **where))


def _cell(
    name: str, column: str, value: str | Callable[[str], str], message: str, row: int = 0, at: str | None = None
) -> None:
    """Add a damage of one cell: of this column, in this row; the violation names it, or the column `at`."""

    def harm(text: str) -> str:
        lines = list(csv.reader(io.StringIO(text)))
        place = lines[0].index(column)
        before = lines[1 + row][place]
        lines[1 + row][place] = value if isinstance(value, str) else value(before)
        assert lines[1 + row][place] != before, f"{name} damages nothing"
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(lines)
        return out.getvalue()

    _text(name, harm, message, column=at or column, line=2 + row)


def _json(name: str, harm: Callable[[dict[str, Any]], Any], message: str, **where: Any) -> None:
    """Add a damage of the run record."""

    def apply(pair: Pair) -> Pair:
        record = pair.record
        harm(record)
        return Pair(pair.csv, json.dumps(record, indent=1).encode())

    DAMAGES.append(Damage(name, apply, message, **where))


def _raw_json(name: str, harm: Callable[[bytes], bytes | None], message: str, **where: Any) -> None:
    """Add a damage of the JSON's bytes."""
    DAMAGES.append(Damage(name, lambda p: Pair(p.csv, harm(p.json or b"")), message, **where))


def _scaled(factor: float) -> Callable[[str], str]:
    return lambda text: f"{float(text) * factor:.9g}"


_FIRST_LAYOUT = [column.name for column in columns()].index("copies")
"""Where the last of the columns stands that every published file has."""


def _columns(change: Callable[[list[str]], list[str]]) -> Callable[[str], str]:
    """Return a damage that does the same to the cells of every line."""

    def harm(text: str) -> str:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(change(cells) for cells in csv.reader(io.StringIO(text)))
        return out.getvalue()

    return harm


def _rename(before: str, after: str) -> Callable[[str], str]:
    return lambda text: text.replace(f",{before},", f",{after},", 1)


def _swap_first(cells: list[str]) -> list[str]:
    return [*cells[:7], cells[8], cells[7], *cells[9:]]


# The form of the CSV
_text("empty file", lambda t: "", "the file is empty")
_text("header alone", lambda t: t.splitlines(keepends=True)[0], "a header and no rows")
_text("truncated in a line", lambda t: t[: len(t) // 2], "truncated")
_text("truncated before the last line end", lambda t: t[:-1], "truncated")
_text("truncated in a quoted cell", lambda t: t[: t.index("1 kB") + 1], "a quoted cell that never ends; .*truncated")
_text("a line cut short", lambda t: t.replace("\n1,", "\n1,2\n1,", 1), "2 cells; the header has", line=2)
_text("an empty line", lambda t: t.replace("\n", "\n\n", 1), "an empty line", line=2)
_text("binary", lambda t: bytes(range(256)) * 8, "a byte 0")
_text("a gzip archive", lambda t: b"\x1f\x8b\x08" + t.encode(), "not UTF-8 text")
_text("a spreadsheet's own file", lambda t: b"PK\x03\x04\x14\x00" + t.encode(), "a byte 0 at 5: binary data")
_text(
    "a web page", lambda t: "<!DOCTYPE html>\n<title>results</title>\n", "not a bandmark result; its first line lacks"
)
_text(
    "a Git LFS pointer",
    lambda t: "version https://git-lfs.github.com/spec/v1\noid 1\n",
    "not a bandmark result; its first line lacks",
)
_text("JSON in place of CSV", lambda t: '{"schema": 1}\n', "not a bandmark result; its first line lacks")
_text("another CSV", lambda t: "name,value\na,1\n", "lacks the columns schema, run_id")
_text("UTF-16", lambda t: t.encode("utf-16"), "a byte 0 at 3: binary data, or another encoding")
_text("UTF-16 without a mark", lambda t: t.encode("utf-16-le"), "a byte 0")
_text("UTF-32", lambda t: t.encode("utf-32"), "a byte 0 at 2: binary data, or another encoding")
_text("Latin-1", lambda t: t.replace("Fake CPU", "F\u00e4ke CPU").encode("latin-1"), "not UTF-8", line=2)
_text("a byte order mark", lambda t: codecs.BOM_UTF8 + t.encode(), "byte order mark")
_text("CRLF line ends", lambda t: t.replace("\n", "\r\n"), "CR LF")
_text("one CRLF", lambda t: t.replace("\n1,", "\r\n1,", 1), "CR LF", line=1)
_text("semicolons", lambda t: t.replace(",", ";"), "is not a bandmark result")
_text("tabs", lambda t: t.replace(",", "\t"), "is not a bandmark result")
_text("merge conflict", lambda t: t.replace("\n", "\n<<<<<<< HEAD\n", 1), "1 cells; the header has", line=2)
_text("merge conflict first", lambda t: "<<<<<<< HEAD\n" + t, "'<<<<<<< HEAD' is not a bandmark result")
_text("an unquoted comma", lambda t: t.replace('"Fake CPU, 1 kB"', "Fake CPU, 1 kB", 1), "cells; the header", line=2)
_text("a stray quote", lambda t: t.replace('"Fake CPU, 1 kB"', '"Fake "CPU', 1), "expected after", line=2)


def _without_unmeasured(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if ",unsupported," not in line)


_text("a row without samples cut off", _without_unmeasured, "10, expected 9, which the CSV has", column="rows")
# The columns
_text(
    "columns in another order",
    _columns(_swap_first),
    "another order, or a missing column, expected n_elements",
    column="working_set_bytes",
)
_text("an unknown column", _columns(lambda c: [*c, "colour" if c[0] == "schema" else "red"]), "unknown column")
_text(
    "a misspelt column",
    _rename("bandwidth_gbs", "bandwith_gbs"),
    "an unknown column, expected bandwidth_gbs",
    column="bandwith_gbs",
)
_text("a column with spaces", _rename("samples", " samples"), "an unknown column, expected samples")
_text("a column missing", _columns(lambda c: [*c[:12], *c[13:]]), "a missing column, expected samples")
_text(
    "the last columns missing",
    _columns(lambda c: c[:_FIRST_LAYOUT]),
    "a missing column, expected copies",
    column="copies",
)
_text("a column that every row must have missing", _columns(lambda c: [*c[:5], *c[6:]]), "lacks the columns kernel")
_text("a column twice", _columns(lambda c: [*c, c[19]]), "expected no further column", column="bandwidth_gbs")
# Numbers and words as other programs write them
_cell("a decimal comma", "time_median_s", lambda t: t.replace(".", ","), "a number with a decimal point")
_cell("thousands separators", "working_set_bytes", "48,000", "a whole number")
_cell("thousands dots", "working_set_bytes", "48.000", "digits without separators|whole number")
_cell("a spreadsheet's exponent in bytes", "working_set_bytes", "4.8E+04", "a whole number")
_cell("a spreadsheet's exponent in a time", "time_median_s", "4.01E-03", "0.00401, as bandmark writes it")
_cell("a number as text of another width", "peak_gbs", "0.020", "0.02, as bandmark writes it")
_cell("too many digits", "bandwidth_gbs", lambda t: t + "0001", "as bandmark writes it")
_cell("a whole number with a point", "samples", lambda t: t + ".0", "a whole number")
_cell("a spreadsheet's error", "bandwidth_gbs", "#DIV/0!", "a number with a decimal point")
_cell("a cell too narrow", "bandwidth_gbs", "#####", "a number with a decimal point")
_cell("TRUE", "verified", "TRUE", "true, false or nothing")
_cell("a date in place of a time", "started_utc", "23/11/2026 10:15", "a time in UTC")
_cell("a version made a date", "backend_version", "06/04/2002", "a version")
_cell("a run id made a number", "run_id", "2.02611E+12", "a start in UTC")
_cell("a number made a date", "ci95_rel", "05.Jan", "number")
_cell("a unit in the cell", "bandwidth_gbs", "12 GB/s", "a number with a decimal point")
_cell("a percent sign", "percent_of_peak", "60%", "a number with a decimal point")
_cell("N/A for unknown", "derived_peak_gbs", "N/A", "a number with a decimal point")
_cell("nan for unknown", "temperature_c", "nan", "a number that a measurement can have")
_cell("-1 for unknown", "clock_mhz", "-1", "more than 0|negative")
_cell("0 for unknown", "llc_bytes", "0", "more than 0")
_cell("infinity", "bandwidth_gbs", "inf", "a number")
_cell("a number beyond all", "bandwidth_gbs", "1e+999", "expected inf, as bandmark writes it")
_cell("a whole number beyond all", "n_elements", "9" * 25, "a number that a measurement can have")
_cell("ten thousand digits", "n_elements", "9" * 10_000, "at most 2000 characters")
_cell("digits of another script", "samples", "\u0661\u0662", "12, as bandmark writes it")
_cell("an underscore in a number", "n_elements", "3_000", "3000, as bandmark writes it")
_cell("space around a number", "samples", " 20", "20, as bandmark writes it")
_cell("space around a word", "status", "ok ", "the space around it")
_cell("an empty required cell", "kernel", "", "every row must have it")
_cell("an unknown kernel", "kernel", "traid", "did you mean 'triad'", row=2)
_cell("an unknown dtype", "dtype", "fp64", "float64")
_cell("an unknown status", "status", "fine", "one of ok")
_cell("a system with spaces", "system", "My PC", "lower-case letters, digits and hyphens")
_cell("a schema of no number", "schema", "one", "whole number")
# What is hostile
_cell("formula injection", "reason", "=cmd|' /C calc'!A0", "no spreadsheet takes for a formula")
_cell("a formula with @", "device", "@SUM(1+1)*cmd|' /C calc'!A0", "formula")
_cell("a formula with +", "variant", "+1+1", "formula")
_cell("a formula in a number", "bandwidth_gbs", "=1+1", "a number with a decimal point")
_cell("an escape sequence", "reason", "\x1b[2Jgone", "control characters")
_cell("a line end in a cell", "reason", "one\ntwo", "on one line")
_cell("invisible letters", "device", "Fake\u202e CPU", "invisible")
_cell("a very long cell", "reason", "x" * 5000, "at most 2000")
# Relations within a row
_cell(
    "bandwidth is not bytes / time",
    "bandwidth_gbs",
    _scaled(1.1),
    r"expected 0\.012.* \(\(bytes_read \+ bytes_written\) / time_median_s",
)
_cell("best is not bytes / shortest", "bandwidth_best_gbs", _scaled(1.1), "the same with time_min_s")
_cell("quartiles out of order", "time_q1_s", _scaled(2), "first quartile")
_cell("median below the minimum", "time_min_s", _scaled(1.5), "shortest sample")
_cell("percent of another peak", "percent_of_peak", _scaled(0.9), "bandwidth over peak")
_cell("percent of another system", "percent_of_dgx_spark", _scaled(2), "bandwidth over 273 GB/s")
_cell("no percentage in a dram row", "percent_of_dgx_station", "", "bandwidth over 8000 GB/s")
_cell("bytes that do not fit the kernel", "bytes_read", lambda t: str(2 * int(t)), ": 48000, expected 24000")
_cell("bytes that do not fit the dtype", "dtype", "float32", "0 lists for the row", at="time_median_s")
_cell("a working set of another size", "working_set_bytes", "1000", ": 1000, expected 48000")
_cell("elements of another size", "n", "3001", "0 lists for the row", at="time_median_s")
_cell("a matrix where there is none", "m", "10", ": 3000, expected 30000", at="n_elements")
_cell("another regime", "regime", "cache", ": 'cache', expected 'dram'")
_cell("another suite", "suite", "gemv", ": 'gemv', expected 'stream'")
_cell("ok though not verified", "verified", "", ": nothing, expected true")
_cell("verified though wrong", "max_error", "1.5", ": 1.5, expected 0.25")
_cell("suspect without a reason", "status", "suspect", ": 'suspect', expected 'ok'")
_cell("skipped though measured", "status", "skipped", ": 'skipped', expected 'ok'")
_cell("a peak without a source", "peak_source", "", ": nothing, expected 'user-supplied")
_cell("weights without a matrix", "weights_per_s", "1000000", ": 1000000, expected nothing")
_cell("a ceiling of its own", "percent_of_ceiling", "99", "bandwidth over the best verified read")
# The rows together
_text("a row twice", lambda t: t + t.splitlines(keepends=True)[1], "again", line=12)
_cell("two runs in one file", "run_id", "20261123T101500Z-ffff", "a result file holds one run", row=3)
_cell("two systems in one file", "system", "fake-2", "a result file holds one run", row=3)
# Versions
_text("a newer schema", lambda t: t.replace("\n1,", "\n2,"), ": 2, expected at most 1: .*update bandmark", line=2)
_json("a newer schema in the JSON", lambda r: r.update(schema=2), "update bandmark")


def _newer_kernel(pair: Pair) -> Pair:
    text = pair.csv.decode().replace(",copy,", ",stencil,", 1).replace(f",{__version__},", ",9.0.0,")
    return Pair(text.encode(), pair.json)


DAMAGES.append(Damage("a kernel of a newer version", _newer_kernel, "bandmark 9.0.0.*update bandmark", "kernel", 2))

# The JSON
_raw_json("no JSON", lambda b: None, "missing; a run is a CSV and a JSON")
_raw_json("empty JSON", lambda b: b"", "empty")
_raw_json("truncated JSON", lambda b: b[: len(b) // 2], "truncated")
_raw_json("binary JSON", lambda b: bytes(range(256)), "a byte 0")
_raw_json("JSON in Latin-1", lambda b: '{"notes": "\u00e4"}'.encode("latin-1"), "not UTF-8")
_raw_json("JSON with a byte order mark", lambda b: codecs.BOM_UTF8 + b, "byte order mark")
_raw_json("hostile nesting", lambda b: b"[" * 100_000, "nested too deeply")
_raw_json("hostile nesting of objects", lambda b: b'{"a":' * 100_000, "nested too deeply")
_raw_json("a list in place of a record", lambda b: b"[1, 2]", "a run record is an object")
_raw_json("a key twice", lambda b: b.replace(b'{\n "schema"', b'{\n "schema": 1,\n "schema"', 1), "twice")
_raw_json("NaN in JSON", lambda b: b.replace(b'"complete": true', b'"complete": NaN'), "no JSON number")
_raw_json("a number of many digits", lambda b: b.replace(b'"seed": 1', b'"seed": ' + b"1" * 9000), "digits")
_raw_json("a float beyond all", lambda b: b.replace(b'"gbs": 0.02', b'"gbs": 1e999'), "a number", column="peak.gbs")
_json(
    "deep but parsable", lambda r: r.update(notes=json.loads("[" * 50 + "]" * 50)), "expected text", column="notes[0]"
)
_json("a key missing", lambda r: r.pop("samples"), ": nothing", column="samples")
_json(
    "a value of another type",
    lambda r: r["machine"].update(cpu_count="8"),
    "a whole number",
    column="machine.cpu_count",
)
_json("true for a number", lambda r: r.update(schema=True), "whole number", column="schema")
_json("control characters", lambda r: r["notes"].append("\x1b[2J"), "control characters", column="notes[1]")
_json("a device without a name", lambda r: r["device"].pop("name"), ": nothing", column="device.name")
_json("a backend without a version", lambda r: r["backends"].update(numpy={}), "version", column="backends.numpy")
_json(
    "another run's JSON",
    lambda r: r.update(run_id="20261123T101500Z-0000"),
    "expected '20261123T101500Z-0000'",
    column="run_id",
    line=2,
)
_json("another system", lambda r: r.update(system="fake-2"), "expected 'fake-2'", column="system", line=2)
_json("another device", lambda r: r["device"].update(name="Other"), "expected 'Other'", column="device", line=2)
_json("another peak", lambda r: r["peak"].update(gbs=0.03), ": 0.02, expected 0.03", column="peak_gbs", line=2)
_json(
    "another library",
    lambda r: r["backends"]["numpy"].update(version="1.26.4"),
    "expected '1.26.4'",
    column="backend_version",
    line=2,
)
_json("no such backend", lambda r: r["backends"].pop("torch"), "expected nothing", column="backend_version", line=3)
_json("a time that is none", lambda r: r.update(finished_utc="yesterday"), "a time in UTC", column="finished_utc")
_json("a month that is none", lambda r: r.update(finished_utc="2026-13-01T00:00:00Z"), "days .* that exist")
_json("an end before the start", lambda r: r.update(finished_utc="2026-11-22T10:15:00Z"), "not before started_utc")
_json("another start than the name", lambda r: r.update(started_utc="2026-11-23T10:14:00Z"), "as run_id has it")
_json("more samples than time", lambda r: r.update(finished_utc=r["started_utc"]), "had time for", column="samples")


# The samples
def _entry(record: dict[str, Any], index: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = record["samples"][index]
    return found


def _times(record: dict[str, Any]) -> list[float]:
    found: list[float] = _entry(record)["seconds_per_launch"]
    return found


_json("no samples of a row", lambda r: r["samples"].pop(0), "0 lists for the row", line=2)
_json("samples twice", lambda r: r["samples"].append(_entry(r)), "2 lists for the row", line=2)
_json("samples of no row", lambda r: r["samples"].append({**_entry(r), "variant": "x"}), "a row in the CSV with times")
_json("a sample removed", lambda r: _times(r).pop(), ": 63, expected 62", column="samples", line=2)
_json(
    "other launches",
    lambda r: _entry(r).update(launches_per_sample=7),
    ": 2, expected 7",
    column="launches_per_sample",
    line=2,
)
_json("a sample of 0", lambda r: _times(r).__setitem__(0, 0), "positive numbers", column="samples[0]")
_json("a sample of text", lambda r: _times(r).__setitem__(0, "1"), "positive numbers", column="samples[0]")
_json("an entry that is none", lambda r: r["samples"].append("x"), "expected an object", column="samples[9]")
_json("slowest samples left out", lambda r: _times(r).remove(max(_times(r))), "longest sample", column="time_max_s")
_json(
    "samples made faster",
    lambda r: _entry(r).update(seconds_per_launch=[t * 0.9 for t in _times(r)]),
    "median time of a launch",
)


def remade(seconds: Callable[[list[float]], list[float]], entry: int = 0) -> Callable[[Pair], Pair]:
    """Return a damage that replaces a case's samples, and makes all that follows from them agree, but says ok."""

    def apply(_: Pair) -> Pair:
        session = good_session()
        measurement = session.outcomes[entry].measurement
        assert measurement is not None
        samples = [float(f"{s:.9g}") for s in seconds(measurement.seconds_per_launch)]
        changed = replace(measurement, seconds_per_launch=samples)
        session.outcomes[entry] = replace(session.outcomes[entry], measurement=changed)
        rows = [replace(row, status="ok", reason=None) if row.verified else row for row in session.rows()]
        return Pair(to_csv(rows).encode(), json.dumps(_files(session)[1]).encode())

    return apply


def _remade(name: str, seconds: Callable[[list[float]], list[float]], message: str, **where: Any) -> None:
    DAMAGES.append(Damage(name, remade(seconds), message, line=2, **where))


_remade("zero spread", lambda t: [0.005] * len(t), "63 samples have 1 different times", column="time_median_s")
_remade("two values in turns", lambda t: [0.005, 0.00501] * (len(t) // 2), "2 different times")
_remade("a block of samples repeated", lambda t: t[:12] * 4, "repeat themselves")
_remade("a ramp", lambda t: [0.005 + 1e-6 * i for i in range(len(t))], "by the same time")
_remade(
    "a clock of 0.1 ms", lambda t: [0.005 + 1e-4 * (i * i % 7) for i in range(len(t))], "simulated or much too coarse"
)
_remade("above the peak", lambda t: [s * 0.5 for s in t], "120 % of the peak of 0.02", column="reason")
_remade("two speeds, yet ok", lambda t: [*t[: len(t) // 2], *[s * 1.3 for s in t[len(t) // 2 :]]], "two speeds")


def _copied(pair: Pair) -> Pair:
    """Give torch's copy the samples of NumPy's."""
    times = pair.record["samples"][0]["seconds_per_launch"]
    return remade(lambda _: times, entry=1)(pair)


DAMAGES.append(Damage("samples of another row", _copied, "samples of its own: .* numpy copy float64's", line=3))
