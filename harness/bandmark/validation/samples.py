"""Do the raw samples give the statistics of the rows, and can a clock have shown them?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from bandmark import __version__
from bandmark.device.device import Device
from bandmark.device.peaks import find_peak
from bandmark.judge import warnings as judge
from bandmark.measure.measurement import Measurement
from bandmark.measure.stats import summarize
from bandmark.results.case import CaseId
from bandmark.results.faults import Fault, quote
from bandmark.results.row import MEASURED, Row
from bandmark.results.samples import Entries, is_entry
from bandmark.validation.rows import Found, near, said

CI_PRECISION = 1e-8
"""Absolute difference in ci95_rel that nine figures of each sample can make."""

COARSEST_TICK_NS = 10_000
"""Device event clocks tick in steps of up to 2 us, hosts' in less; a coarser one is none, or cannot time windows."""

MANY = 10
"""Samples from which a pattern among them is no chance."""

ABOVE_PHYSICS = 1.25
"""Times the published peak of the device: no memory is overclocked so far."""

_STATISTICS = {
    "time_median_s": "median_s",
    "time_min_s": "min_s",
    "time_q1_s": "q1_s",
    "time_q3_s": "q3_s",
    "time_max_s": "max_s",
}


def check_samples(file: Path, record: dict[str, Any], rows: Sequence[tuple[int, Row]], csv: Path) -> list[Fault]:
    """Return where samples and rows disagree, and which samples no clock has shown.

    Args:
        file: the JSON.
        record: what it holds, in the right shape.
        rows: the rows of the CSV, with their lines.
        csv: the CSV.
    """
    faults: list[Fault] = []
    seen: dict[tuple[float, ...], str] = {}
    entries = [(i, e) for i, e in enumerate(record["samples"]) if is_entry(e)]
    for i, entry in enumerate(record["samples"]):
        if not is_entry(entry):
            wanted = "backend, kernel, dtype, launches_per_sample and seconds_per_launch (positive numbers) of a case"
            faults.append(Fault(file=file, column=f"samples[{i}]", found=quote(entry), wanted=wanted))
    timed = [(line, row) for line, row in rows if row.time_median_s is not None]
    known = Entries(entry for _, entry in entries)
    owned = {id(entry) for _, row in timed for entry in known.of(row)}
    for i, entry in entries:
        if id(entry) not in owned:
            what = " ".join(str(entry[name]) for name in ("backend", "kernel", "dtype"))
            wanted = "a row in the CSV with times"
            faults.append(Fault(file=file, column=f"samples[{i}]", found=f"samples of {quote(what)}", wanted=wanted))
    for line, row in timed:
        found = list(_row(row, known.of(row), record, seen))
        faults += [
            Fault(file=csv, line=line, column=column, case=CaseId.of(row).label, found=said(value), wanted=wanted)
            for column, value, wanted in found
        ]
    return faults + list(_times(file, record, [e for _, e in entries], csv, rows))


def _row(
    row: Row, entries: list[dict[str, Any]], record: dict[str, Any], seen: dict[tuple[float, ...], str]
) -> Iterator[Found]:
    """Yield what disagrees between a row and its samples."""
    if len(entries) != 1:
        yield "time_median_s", row.time_median_s, f"samples in the JSON: it has {len(entries)} lists for the row, not 1"
        return
    entry = entries[0]
    seconds = [float(s) for s in entry["seconds_per_launch"]]
    if row.samples != len(seconds):
        yield "samples", row.samples, f"{len(seconds)}, as the JSON has"
    if row.launches_per_sample != entry["launches_per_sample"]:
        yield "launches_per_sample", row.launches_per_sample, f"{entry['launches_per_sample']}, as the JSON has"
    yield from _statistics(row, seconds)
    simulated = list(_clock(row, seconds))
    yield from simulated
    before = seen.get(tuple(seconds)) if len(seconds) >= 3 else None
    if before and not simulated:
        yield "time_median_s", row.time_median_s, f"samples of its own: those in the JSON are {before}'s, every one"
    seen.setdefault(tuple(seconds), CaseId.of(row).label)
    if row.status in MEASURED:
        yield from _doubts(row, seconds, entry.get("clocks_mhz") or entry.get("sensor_clocks_mhz", []), record)


def _statistics(row: Row, seconds: Sequence[float]) -> Iterator[Found]:
    summary = summarize(seconds)
    for column, name in _STATISTICS.items():
        right, value = getattr(summary, name), getattr(row, column)
        if value is None or not near(value, right):
            yield column, value, f"{right:.9g}, by the samples in the JSON"
    if (row.ci95_rel is None) != (summary.ci95_rel is None) or (
        row.ci95_rel is not None
        and summary.ci95_rel is not None
        and not math.isclose(row.ci95_rel, summary.ci95_rel, rel_tol=CI_PRECISION, abs_tol=CI_PRECISION)
    ):
        right_ci = "nothing" if summary.ci95_rel is None else f"{summary.ci95_rel:.9g}"
        yield "ci95_rel", row.ci95_rel, f"{right_ci}, by the samples in the JSON"


def _clock(row: Row, seconds: Sequence[float]) -> Iterator[Found]:
    """Samples that are equal, repeat, or follow a rule were computed and not measured."""
    if len(seconds) < MANY:
        return
    windows = [round(s * (row.launches_per_sample or 1) * 1e9) for s in seconds]
    tick = math.gcd(*windows)
    why = None
    if len(set(seconds)) <= 2:
        why = f"{len(seconds)} samples have {len(set(seconds))} different times"
    elif _repeats(seconds):
        why = "the samples repeat themselves"
    elif len({b - a for a, b in pairwise(windows)}) == 1:
        why = "every sample differs from the one before by the same time"
    elif tick >= COARSEST_TICK_NS:
        why = f"all windows are multiples of {tick / 1e3:g} us"
    if why:
        yield "time_median_s", row.time_median_s, f"measured times: {why}, as of a simulated or much too coarse clock"


def _repeats(seconds: Sequence[float]) -> bool:
    """Return whether the samples are one block of times over and over, at least twice."""
    # Knuth, Morris and Pratt's prefix function: matched[i] is how much of the start ends at i.
    matched = [0] * len(seconds)
    for i in range(1, len(seconds)):
        k = matched[i - 1]
        while k and seconds[i] != seconds[k]:
            k = matched[k - 1]
        matched[i] = k + (seconds[i] == seconds[k])
    return len(seconds) - matched[-1] <= len(seconds) // 2


def _doubts(row: Row, seconds: Sequence[float], clocks: Sequence[float], record: dict[str, Any]) -> Iterator[Found]:
    """Yield what should have made a row suspect."""
    if row.status != "ok" or row.bandwidth_gbs is None:
        return
    # What the peaks of the CSV say of the row, bandmark.validation.rows has said.
    measurement = Measurement(
        seconds_per_launch=list(seconds), launches_per_sample=1, max_error=0.0, clocks_mhz=list(clocks)
    )
    found = judge.sample_warnings(measurement) if len(seconds) >= judge.MIN_SAMPLES else []
    if found:
        yield "status", row.status, f"suspect: {'; '.join(found)}"
    if row.regime != "dram":
        return
    peak = find_peak(Device(**{k: v for k, v in record["device"].items() if k in Device.__slots__}))
    if peak.gbs is not None and row.bandwidth_gbs > ABOVE_PHYSICS * peak.gbs:
        yield "bandwidth_gbs", row.bandwidth_gbs, f"less: {peak.gbs:g} GB/s is published for {row.device}"
    published = (row.peak_source or "").startswith("published")
    if published and row.bandmark_version == __version__ and row.peak_gbs != peak.gbs:
        yield "peak_gbs", row.peak_gbs, f"{said(peak.gbs)}, which is published for {row.device}"


def _times(
    file: Path,
    record: dict[str, Any],
    entries: Sequence[dict[str, Any]],
    csv: Path,
    rows: Sequence[tuple[int, Row]],
) -> Iterator[Fault]:
    """Yield times that contradict each other: starts, ends, and how long all samples took."""
    named = _utc(record["run_id"][:16], "%Y%m%dT%H%M%SZ")
    begin, end = _utc(record["started_utc"]), _utc(record["finished_utc"])
    for place, time in (("run_id", named), ("started_utc", begin), ("finished_utc", end)):
        if time is None:
            yield Fault(file=file, column=place, found=quote(record[place]), wanted="days and hours that exist")
    if begin is None or end is None or named is None:
        return
    if named != begin:
        found, wanted = quote(record["started_utc"]), f"{named:%Y-%m-%dT%H:%M:%SZ}, as run_id has it"
        yield Fault(file=file, column="started_utc", found=found, wanted=wanted)
    if end < begin:
        found, wanted = quote(record["finished_utc"]), "not before started_utc"
        yield Fault(file=file, column="finished_utc", found=found, wanted=wanted)
        return
    if begin > datetime.now(UTC) + timedelta(days=1):
        yield Fault(file=file, column="started_utc", found=quote(record["started_utc"]), wanted="a time that has come")
    took = sum(sum(e["seconds_per_launch"]) * e["launches_per_sample"] for e in entries)
    if took > 1.1 * (end - begin).total_seconds() + 2:
        found = f"{took:.0f} s of samples in a run of {(end - begin).total_seconds():.0f} s"
        yield Fault(file=file, column="samples", found=found, wanted="samples that the run had time for")
    for line, row in rows:
        started = _utc(row.started_utc) if row.started_utc else begin
        # A day of grace: a board without a battery corrects its clock while it runs.
        if started is None or not begin - timedelta(days=1) <= started <= end + timedelta(days=1):
            wanted = f"a time during the run, {record['started_utc']} to {record['finished_utc']}"
            name = CaseId.of(row).label
            yield Fault(
                file=csv, line=line, column="started_utc", case=name, found=quote(row.started_utc), wanted=wanted
            )


def _utc(text: str, form: str = "%Y-%m-%dT%H:%M:%SZ") -> datetime | None:
    try:
        return datetime.strptime(text, form).replace(tzinfo=UTC)
    except ValueError:
        return None
