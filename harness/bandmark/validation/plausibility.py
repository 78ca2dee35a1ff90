"""What no honest run shows: figures beyond physics, settings that contradict rows, samples that no clock took."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from bandmark import __version__
from bandmark.device.peaks import find_peak
from bandmark.results.case import CaseId
from bandmark.results.record import Entries, RunRecord
from bandmark.results.row import Row
from bandmark.suites import suite_of
from bandmark.units import quote
from bandmark.validation.cells import Finding, version_numbers
from bandmark.validation.replay import Difference, written
from bandmark_kernels import KERNELS

_MAX_MEMORY_GBS = 50_000.0
"""Above any memory of one device; the fastest announced has 22 000 GB/s."""

_MAX_THREAD_GBS = 100.0
"""Above what one core moves to or from memory: 40 GB/s on current server cores, under 100 on Apple's."""

_MAX_CACHE_GBS = 2000.0
"""Above what one core moves within its caches: two 64-byte loads and a store in each cycle of 6.5 GHz are 1250 GB/s.
All caches of a GPU move less than a hundred times as much."""

_MAX_TICK_NS = 10_000
"""Device event clocks tick in steps of up to 2 us, hosts' in less; a coarser one cannot time windows."""

_MIN_PATTERN = 10
"""Samples from which a pattern among them is no chance."""

_ABOVE_PHYSICS = 1.25
"""Times the published peak of the device: no memory is overclocked so far."""

_DAY = timedelta(days=1)
"""Grace for clocks: a board without a battery corrects its clock while it runs."""


def check_rows(record: RunRecord, rows: Sequence[tuple[int, Row]]) -> Iterator[Difference]:
    """Yield what is implausible about single rows, given the machine and the settings of the run."""
    entries = Entries(record.samples)
    first: dict[tuple[float, ...], str] = {}
    published = find_peak(record.device).gbs
    for line, row in rows:
        by_catalogue = (*_beyond_physics(row, published), *_against_catalogue(row, published))
        for finding in (*by_catalogue, *_against_settings(row, record), *_started(row, record)):
            yield line, row, *finding
        for column, value, wanted in suite_of(row).impossible(row):
            yield line, row, column, written(value), wanted
        seconds = entries.seconds(row)
        if why := _computed(seconds, row.launches_per_sample or 1):
            wanted = f"measured times: {why}, as of a simulated or much too coarse clock"
            yield line, row, "time_median_s", written(row.time_median_s), wanted
        elif len(seconds) >= 3 and (other := first.setdefault(seconds, CaseId.of(row).label)) != CaseId.of(row).label:
            wanted = f"samples of its own: those in the JSON are {other}'s, every one"
            yield line, row, "time_median_s", written(row.time_median_s), wanted


def _beyond_physics(row: Row, published: float | None) -> Iterator[Finding]:
    gbs = row.bandwidth_gbs
    if gbs is None or row.status != "ok":
        return
    if row.regime != "dram":
        if gbs > (limit := _MAX_CACHE_GBS * (row.threads or 100)):
            yield "bandwidth_gbs", written(gbs), f"less: no caches of this many processors move {limit:g} GB/s"
        return
    limit, reason = _MAX_MEMORY_GBS, "no memory moves"
    if row.threads:
        limit, reason = min(limit, _MAX_THREAD_GBS * row.threads), f"{row.threads} threads move at most"
    if published is not None and _ABOVE_PHYSICS * published < limit:
        limit, reason = _ABOVE_PHYSICS * published, f"{published:g} GB/s is published for {row.device}, which allows"
    if gbs > limit:
        yield "bandwidth_gbs", written(gbs), f"less: {reason} {limit:g} GB/s"


def _against_catalogue(row: Row, published: float | None) -> Iterator[Finding]:
    """Yield a peak that is said to be published and is not."""
    claims_it = (row.peak_source or "").startswith("published")
    if claims_it and row.bandmark_version == __version__ and row.peak_gbs != published:
        yield "peak_gbs", written(row.peak_gbs), f"{written(published)}, which is published for {row.device}"


def _against_settings(row: Row, record: RunRecord) -> Iterator[Finding]:
    """Yield where a row contradicts what was asked for, or the machine that is said to have run it."""
    settings, is_curve = record.settings, suite_of(row).is_curve
    beside_gpu = record.device.kind == "gpu" and row.threads  # that CPU has the libraries that are installed
    for column, name, value, applies in (
        ("suite", "suites", suite_of(row).name, True),
        ("kernel", "kernels", row.kernel, not is_curve),
        ("backend", "backends", row.backend, not beside_gpu),
        ("dtype", "dtypes", row.dtype, not is_curve and _offers(row, settings.get("dtypes") or ())),
    ):
        named = settings.get(name)
        if applies and named and not {"all", value} & set(named):
            yield column, quote(value), f"one of settings.{name}: {', '.join(map(str, named))}"
    yield from _against_machine(row, record)


def _against_machine(row: Row, record: RunRecord) -> Iterator[Finding]:
    """Yield where a row has more threads or memory than the machine."""
    machine, memory = record.machine, record.device.memory_bytes
    limit = record.settings.get("threads") or max(machine.cpu_usable, machine.cpu_count)
    if (row.threads or 0) > limit:
        yield "threads", str(row.threads), f"at most {limit}, as settings and machine of the JSON have it"
    if memory and row.bandwidth_gbs and (row.working_set_bytes or 0) > memory:
        yield "working_set_bytes", str(row.working_set_bytes), f"at most the device's memory of {memory} bytes"


def _offers(row: Row, dtypes: Sequence[str]) -> bool:
    """Return whether a row's kernel exists in one of these dtypes; a kernel that does not runs in those it has."""
    kernel = KERNELS.get(row.kernel)
    return kernel is not None and row.weight_format is None and bool(set(kernel.dtypes) & set(dtypes))


def _started(row: Row, record: RunRecord) -> Iterator[Finding]:
    begin, end = _utc(record.started_utc), _utc(record.finished_utc)
    started = _utc(row.started_utc) if row.started_utc else begin
    if begin and end and (started is None or not begin - _DAY <= started <= end + _DAY):
        wanted = f"a time during the run, {record.started_utc} to {record.finished_utc}"
        yield "started_utc", quote(row.started_utc), wanted


def _computed(seconds: Sequence[float], launches: int) -> str | None:
    """Return why samples were computed and not measured: equal, repeated, or by a rule; None if they may be real."""
    if len(seconds) < _MIN_PATTERN:
        return None
    windows = [round(s * launches * 1e9) for s in seconds]
    if len(set(seconds)) <= 2:
        return f"{len(seconds)} samples have {len(set(seconds))} different times"
    if _period(seconds) <= len(seconds) // 2:
        return "the samples repeat themselves"
    if len({b - a for a, b in pairwise(windows)}) == 1:
        return "every sample differs from the one before by the same time"
    tick = math.gcd(*windows)
    return f"all windows are multiples of {tick / 1e3:g} us" if tick >= _MAX_TICK_NS else None


def _period(seconds: Sequence[float]) -> int:
    """Return the smallest distance at which all samples repeat, by the prefix function of Knuth, Morris and Pratt."""
    borders = [0]
    for value in seconds[1:]:
        length = borders[-1]
        while length and value != seconds[length]:
            length = borders[length - 1]
        borders.append(length + (value == seconds[length]))
    return len(seconds) - borders[-1]


def check_record(record: RunRecord, rows: Sequence[Row]) -> Iterator[Finding]:
    """Yield what is implausible about a run as a whole: its times, its length, samples or rows without the other."""
    yield from _against_itself(record)
    if record.rows not in (None, len(rows)):
        yield "rows", str(record.rows), f"{len(rows)}, which the CSV has: it was cut off, or rows were added"
    named, begin, end = _utc(record.run_id[:16], "%Y%m%dT%H%M%SZ"), _utc(record.started_utc), _utc(record.finished_utc)
    for place, time in (("run_id", named), ("started_utc", begin), ("finished_utc", end)):
        if time is None:
            yield place, quote(getattr(record, place)), "days and hours that exist"
    if named and begin and end:
        yield from _order(record, named, begin, end)
    yield from _without_row(record, rows)


def _without_row(record: RunRecord, rows: Sequence[Row]) -> Iterator[Finding]:
    """Yield the entries of samples that no row has."""
    entries = Entries(record.samples)
    owned = {id(entry) for row in rows for entry in entries.of(row)}
    for i, entry in enumerate(record.samples):
        if id(entry) not in owned:
            case = " ".join(str(entry[name]) for name in ("backend", "kernel", "dtype"))
            yield f"samples[{i}]", f"samples of {quote(case)}", "a row in the CSV with times"


def _against_itself(record: RunRecord) -> Iterator[Finding]:
    """Yield where settings, machine and device contradict each other, and what this version always writes."""
    settings, machine, kind = record.settings, record.machine, record.device.kind
    asked, system, peak = (settings.get(name) for name in ("device", "system", "peak"))
    writes_rows = version_numbers(record.bandmark_version) >= (0, 2)
    contradictions = (
        ("settings.device", asked, asked and (asked == "cpu") != (kind == "cpu"), f"a device of kind {kind}"),
        ("settings.system", system, system not in (None, record.system), quote(record.system)),
        ("settings.peak", peak, peak and record.peak.gbs is None, "null, as there is no peak"),
        ("machine.cpu_usable", machine.cpu_usable, machine.cpu_usable > machine.cpu_count, "at most cpu_count"),
        ("machine.cpu_quota", machine.cpu_quota, machine.cpu_quota == 0, "null where there is none"),
        ("rows", record.rows, record.rows is None and writes_rows, "a number, as this version writes it"),
    )
    yield from ((place, quote(value), wanted) for place, value, is_wrong, wanted in contradictions if is_wrong)


def _order(record: RunRecord, named: datetime, begin: datetime, end: datetime) -> Iterator[Finding]:
    if named != begin:
        yield "started_utc", quote(record.started_utc), f"{named:%Y-%m-%dT%H:%M:%SZ}, as run_id has it"
    if end < begin:
        yield "finished_utc", quote(record.finished_utc), "not before started_utc"
        return
    for name, time in (("started_utc", begin), ("finished_utc", end)):
        if time > datetime.now(UTC) + _DAY:
            yield name, quote(getattr(record, name)), "a time that has come"
    took = sum(sum(e["seconds_per_launch"]) * e["launches_per_sample"] for e in record.samples)
    run_s = (end - begin).total_seconds()
    if took > 1.1 * run_s + 2:
        yield "samples", f"{took:.0f} s of samples in a run of {run_s:.0f} s", "samples that the run had time for"


def _utc(text: str, pattern: str = "%Y-%m-%dT%H:%M:%SZ") -> datetime | None:
    try:
        return datetime.strptime(text, pattern).replace(tzinfo=UTC)
    except ValueError:
        return None
