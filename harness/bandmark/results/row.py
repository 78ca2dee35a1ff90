"""The table of columns, and the row type that it defines.

The fields of Row, in order, are the columns of the CSV; their metadata drive the header, the validator, the
documentation and the Frictionless Table Schema. Columns are only ever appended. None is unknown and is an empty cell.

A suite that is not part of this distribution appends columns of its own with `add_columns`; their values are in
`Row.extra`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, Literal, get_args, get_type_hints

SCHEMA = 1
"""Version of the row layout. History: 1, November 2026: first version."""

Status = Literal["ok", "suspect", "failed_verification", "unsupported", "skipped", "error"]
STATUSES: tuple[Status, ...] = get_args(Status)
STATUS_MEANINGS: Mapping[Status, str] = {
    "ok": "measured and verified, without a warning",
    "suspect": "measured, but the figure may be wrong, for the reason given",
    "failed_verification": "the output was wrong: times stay, bandwidth is empty",
    "unsupported": "the backend has no implementation that runs this case at memory speed",
    "skipped": "left out, for the reason given",
    "error": "the backend raised an error",
}
MEASURED: tuple[Status, ...] = ("ok", "suspect")
"""The statuses of rows whose bandwidth counts as a result."""

Regime = Literal["dram", "mixed", "cache"]
_REGIMES: tuple[Regime, ...] = get_args(Regime)

LEVELS = ("L1", "L2", "L3", "dram")

StopReason = Literal["converged", "noise_settled", "time_limit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: its name, type, unit and meaning."""

    name: str
    type: Literal["str", "int", "float", "bool"]
    doc: str
    unit: str = ""
    required: bool = False
    identity: bool = False
    """Whether it is part of what identifies a case within a run."""
    values: tuple[str, ...] = ()
    """The accepted values, where they are a closed set."""


def _column(
    doc: str, unit: str = "", *, required: bool = False, identity: bool = False, values: tuple[str, ...] = ()
) -> Any:
    meta = {"doc": doc, "unit": unit, "required": required, "identity": identity, "values": values}
    return field(metadata=meta) if required else field(default=None, metadata=meta)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One case and what was measured of it: one row."""

    schema: int = _column("version of this table's layout", required=True)
    run_id: str = _column(
        "start of the run in UTC and eight random digits (four before 0.2.0); the name of its files", required=True
    )
    system: str = _column("the machine, in lower-case letters, digits and hyphens", required=True)
    device: str = _column("whole name of the device as reported", required=True, identity=True)
    backend: str = _column("library that ran the kernel: numpy, numba, torch or cupy", required=True, identity=True)
    kernel: str = _column("row of the kernel table", required=True, identity=True)
    dtype: str = _column("number format of the operands", required=True, identity=True)
    n_elements: int | None = _column("elements of each vector, or m x n of the matrix", "elements")
    working_set_bytes: int | None = _column("bytes of all arrays of the case", "bytes")
    regime: str | None = _column(
        "working_set_bytes x copies over llc_bytes: below 1 cache, below 4 mixed, else dram", values=_REGIMES
    )
    bytes_read: int | None = _column("bytes that one launch must read, each element once", "bytes")
    bytes_written: int | None = _column("bytes that one launch must write, each element once", "bytes")
    samples: int | None = _column("timed windows")
    launches_per_sample: int | None = _column("back-to-back launches in a window")
    time_median_s: float | None = _column("median time of a launch", "s")
    time_min_s: float | None = _column("shortest sample", "s")
    time_q1_s: float | None = _column("first quartile", "s")
    time_q3_s: float | None = _column("third quartile", "s")
    time_max_s: float | None = _column("longest sample", "s")
    bandwidth_gbs: float | None = _column("(bytes_read + bytes_written) / time_median_s / 1e9", "GB/s")
    bandwidth_best_gbs: float | None = _column("the same with time_min_s, as STREAM prints", "GB/s")
    ci95_rel: float | None = _column("half-width of the median's 95 % confidence interval over the median", "1")
    stop_reason: str | None = _column(
        "why sampling ended: converged, noise_settled or time_limit", values=get_args(StopReason)
    )
    peak_gbs: float | None = _column("peak bandwidth that percent_of_peak divides by", "GB/s")
    peak_source: str | None = _column("where peak_gbs comes from")
    percent_of_peak: float | None = _column("bandwidth over peak; verified dram rows only", "%")
    percent_of_dgx_spark: float | None = _column("bandwidth over 273 GB/s; verified dram rows only", "%")
    percent_of_rtx_pro_5000: float | None = _column("bandwidth over 1344 GB/s; verified dram rows only", "%")
    percent_of_dgx_station: float | None = _column("bandwidth over 8000 GB/s; verified dram rows only", "%")
    verified: bool | None = _column("whether the output agreed with the float64 reference; empty: not checked")
    max_error: float | None = _column("largest error in units of the tolerance; above 1 has failed", "tolerances")
    status: str = _column(
        "ok, suspect, failed_verification, unsupported, skipped or error", required=True, values=STATUSES
    )
    reason: str | None = _column("one sentence; never empty unless the status is ok")
    suite: str = _column(
        "set of cases that the row belongs to: stream (vectors), gemv (matrices), training (the optimizer) or "
        "attention (a KV cache)",
        required=True,
        identity=True,
    )
    m: int | None = _column("rows of the matrix; of a KV cache the tokens", "elements", identity=True)
    n: int | None = _column("columns of the matrix, or elements of each vector", "elements", identity=True)
    weight_format: str | None = _column(
        "format of packed GEMV weights, or of a KV cache that is not in the dtype", identity=True
    )
    weights_per_s: float | None = _column("matrix elements used per second; GEMV only", "1/s")
    variant: str | None = _column("which of a backend's implementations of the kernel ran", identity=True)
    started_utc: str | None = _column("when sampling of the case's group began")
    bandmark_version: str = _column("version of bandmark", required=True)
    backend_version: str | None = _column("version of the library")
    driver: str | None = _column("version of the device's driver")
    percent_of_ceiling: float | None = _column("bandwidth over the best verified read of this run", "%")
    derived_peak_gbs: float | None = _column("2 x memory clock x bus width / 8; discrete devices only", "GB/s")
    verdict: str | None = _column("the percentage beside published measurements of such memory")
    data: str | None = _column("contents of the inputs: random, ramp or zeros; points of curves are random always")
    threads: int | None = _column("host threads that ran the kernel; empty on a GPU")
    llc_bytes: int | None = _column("size of the last-level cache", "bytes")
    clock_mhz: float | None = _column("median clock of the device's processors while sampling", "MHz")
    temperature_c: float | None = _column("temperature of the device after sampling", "degC")
    power_w: float | None = _column("power drawn by the device after sampling", "W")
    copies: int | None = _column("sets of the arrays that launches rotate over, so that the cache holds none")
    layer: str | None = _column(
        "model and weight matrix that a GEMV multiplied by, where it was a model's (--layer)", identity=True
    )
    layer_uses: int | None = _column("matrices of this shape that one decode step of the model multiplies by")
    heads: int | None = _column("query heads of an attention; its KV heads are n / head_dim", identity=True)
    head_dim: int | None = _column("elements of a head of an attention", "elements", identity=True)
    cpus: str | None = _column('processors on which the threads ran, as in "cpu 0-9,12"; empty on a GPU')
    latency_ns: float | None = _column("median time of a load that depends on the one before", "ns")
    latency_cycles: float | None = _column("the same in cycles of clock_mhz, where the clock can be read", "cycles")
    level: str | None = _column("level of the memory hierarchy by the plateaus of the run", values=LEVELS)
    level_bytes: int | None = _column("size of that level for one core as the system reports it", "bytes")
    pattern: str | None = _column(
        "order of the accesses, or what tells the points of a curve apart: random-4k, stride-8, threads-2",
        identity=True,
    )
    pages: str | None = _column("size of the pages of memory that the arrays lie in: 4k, 2m, or mixed")
    load_gbs: float | None = _column("mean bandwidth of the concurrent load: other threads, or the GPU", "GB/s")
    read_fraction: float | None = _column("share of the bytes that are read, 0 to 1", "1", identity=True)
    preempted_samples: int | None = _column("samples that lacked a processor for over 1 % of their time")
    preempted_time_frac: float | None = _column(
        "share of the sampling time during which a working thread lacked a processor", "1"
    )
    percent_of_derived_peak: float | None = _column(
        "bandwidth over derived_peak_gbs, where that is more than 1 % off peak_gbs; verified dram rows only", "%"
    )
    line_utilization: float | None = _column("share of each 64-byte line (GPU: 32-byte sector) that is used", "1")
    direction: str | None = _column(
        "way of a transfer: h2d (host to device), d2h, d2p (device to peer), p2d, or both at once",
        values=("h2d", "d2h", "d2p", "p2d", "both"),
    )
    host_memory: str | None = _column(
        "host memory of a transfer: pageable, pinned, registered, write-combined, managed or managed-prefetch"
    )
    copy_engine: str | None = _column(
        "what moves the bytes of a transfer: ce (copy engines, or the driver) or sm (multiprocessors)",
        values=("ce", "sm"),
    )
    link: str | None = _column('link to the host as trained at work and, if less, of what: "PCIe 4 x8 of PCIe 5 x16"')
    link_peak_gbs: float | None = _column("one way over that link; half the peak where both ends are one DRAM", "GB/s")
    energy_j: float | None = _column("energy of one launch by the device's counter, idle power included", "J")
    energy_pj_per_byte: float | None = _column("energy_j over bytes_read and bytes_written", "pJ/byte")
    idle_power_w: float | None = _column("power by the same counter with the arrays in place and nothing running", "W")
    elapsed_s: float | None = _column("planned end of an interval of a soak, in sampling time", "s", identity=True)
    peer: int | None = _column("index of the GPU at the other end of a transfer between two", identity=True)

    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Values of the columns that `add_columns` appended."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Row:
        """Return a row with these values by column name; columns that are not named are unknown.

        Raises:
            KeyError: there is no such column.
        """
        extra = {c.name: values[c.name] for c in _extra_columns if values.get(c.name) is not None}
        named = {name: value for name, value in values.items() if name in _own_columns()}
        if unknown := values.keys() - named.keys() - {c.name for c in _extra_columns}:
            raise KeyError(f"no column {min(unknown)!r}")
        return cls(**named, extra=extra)

    def get(self, name: str) -> Any:
        """Return the value of a column by its name, None if it is unknown."""
        return getattr(self, name) if name in _own_columns() else self.extra.get(name)

    def values(self) -> dict[str, Any]:
        """Return the values of all columns by name."""
        return {column.name: self.get(column.name) for column in columns()}

    @property
    def number_format(self) -> str:
        """What the case's numbers are, in a word: the format of packed weights, or else the operands' dtype."""
        return self.weight_format or self.dtype

    @property
    def bytes_moved(self) -> int | None:
        """Bytes read and written by one launch."""
        if self.bytes_read is None or self.bytes_written is None:
            return None
        return self.bytes_read + self.bytes_written

    @property
    def iqr_rel(self) -> float | None:
        """Distance of the quartiles over the median: the spread that tables show."""
        if self.time_q1_s is None or self.time_q3_s is None or not self.time_median_s:
            return None
        return (self.time_q3_s - self.time_q1_s) / self.time_median_s


_extra_columns: list[Column] = []


def columns() -> tuple[Column, ...]:
    """Return the columns of a result file, in order."""
    return (*_own_columns().values(), *_extra_columns)


def add_columns(added: Iterable[Column]) -> None:
    """Append columns of a suite that is not part of this distribution; raises ValueError for a name in use."""
    new, known = list(added), {c.name for c in columns()}
    for column in new:
        if column.name in known:
            raise ValueError(f"there is a column {column.name!r} already")
    _extra_columns.extend(new)


def remove_columns(names: Iterable[str]) -> None:
    """Take appended columns out again."""
    removed = set(names)
    _extra_columns[:] = [c for c in _extra_columns if c.name not in removed]


@cache
def _own_columns() -> dict[str, Column]:
    """Return the columns that are fields of Row, by name."""
    hints = get_type_hints(Row)
    named = {f.name: f.metadata for f in fields(Row) if f.metadata}
    return {name: Column(name=name, type=_plain(hints[name]), **meta) for name, meta in named.items()}


def _plain(hint: Any) -> Literal["str", "int", "float", "bool"]:
    """Return the name of a type, without its None."""
    types = [t for t in get_args(hint) if t is not type(None)] or [hint]
    name: Literal["str", "int", "float", "bool"] = types[0].__name__
    return name


def to_cells(result: Row) -> dict[str, str]:
    """Write a row as text: nine significant figures, true and false, empty for unknown."""
    return {name: write_cell(value) for name, value in result.values().items()}


def write_cell(value: Any) -> str:
    """Write a value as text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def from_cells(cells: Mapping[str, str]) -> Row:
    """Read a row from text; columns that it does not know are left out.

    Raises ValueError that names the column, the text and what is accepted.
    """
    return Row.of({c.name: parse_cell(c, cells.get(c.name, "")) for c in columns()})


def parse_cell(column: Column, text: str) -> Any:
    """Read a value from text; raises ValueError that names the column, the text and what is accepted."""
    if text == "":
        if column.required:
            raise ValueError(f"column {column.name!r} is empty, but every row must have it")
        return None
    if column.type == "bool":
        if text not in ("true", "false"):
            raise ValueError(f"column {column.name!r} holds {text!r}; it takes true, false or nothing")
        return text == "true"
    if column.type == "str":
        return text
    try:
        return int(text) if column.type == "int" else float(text)
    except ValueError:
        wanted = "a whole number" if column.type == "int" else "a number with a decimal point"
        raise ValueError(f"column {column.name!r} holds {text!r}; it takes {wanted}") from None
