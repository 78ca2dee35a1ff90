"""What was asked for, and the run that follows from it: the one path from options to result files."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from bandmark import __version__
from bandmark.backends.select import Selection, select
from bandmark.device.dimms import read_dimms
from bandmark.device.machine import Machine, read_machine
from bandmark.device.peaks import Peak, find_peak, parse_peak
from bandmark.device.preflight import preflight
from bandmark.errors import UsageError, unknown_name
from bandmark.measure.sampling import StopRule
from bandmark.models.matrices import Matrix, find_matrices
from bandmark.results.files import in_order
from bandmark.results.row import SCHEMA
from bandmark.session.rows import Context
from bandmark.session.runner import Measured, Procedure, Progress, new_run_id, run_groups, utc_now
from bandmark.suites.plan import Group, Sizing, plan
from bandmark_kernels import CACHES, DEFAULT_KERNELS, DTYPES, KERNELS, PACKED, DType, Kernel, find_kernel
from bandmark_kernels.core.inputs import PATTERNS, Pattern

TIME_LIMIT_S = 90.0
QUICK_TIME_LIMIT_S = 12.0
MATRIX_S = 9.0
QUICK_MATRIX_S = 3.0
QUICK_RULE = StopRule(min_time_s=0.1, warmup_s=0.05, max_warmup_s=0.3)
QUICK_GIVES_UP = "--quick takes the smallest arrays that still count as memory, one dtype and few samples: a first look"
QUICK_LAYER_GIVES_UP = "--quick takes few samples: a first look"

SYSTEM_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

Named = TypeVar("Named")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of a run, as names; None is the default for the machine."""

    kernels: tuple[str, ...] | None = None
    """Names of the table, or "all"; None for those that need not be asked for."""
    backends: tuple[str, ...] | None = None
    dtypes: tuple[str, ...] | None = None
    size_bytes: int | None = None
    device: str | None = None
    quick: bool = False
    seed: int = 1
    data: Pattern = "random"
    threads: int | None = None
    peak: str | None = None
    time_limit_s: float | None = None
    system: str | None = None
    variants: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    """Packed formats, or "all": gemv then runs with these instead of a matrix of the operands' dtype."""
    layer: str | None = None
    """A model of the table or its config.json: gemv then runs on the matrices of its decode step."""
    heads: tuple[int, int, int] | None = None
    """Query heads, KV heads and elements of a head for kv; None for those of Llama 3.1 8B."""


@dataclass(slots=True)
class Session:
    """A run that is ready to start: what will be measured, and all that is known beforehand."""

    request: Request
    run_id: str
    started: datetime
    system: str
    machine: Machine
    selection: Selection
    peak: Peak
    groups: list[Group]
    libraries: dict[str, dict[str, Any]]
    """Version, driver and build of each backend, by name."""
    notes: list[str] = field(default_factory=list)
    """What the user should know before trusting the figures."""

    @property
    def time_limit_s(self) -> float:
        """The limit where none is asked for: a model has as many matrices as it has, and each its time."""
        usual, each = (QUICK_TIME_LIMIT_S, QUICK_MATRIX_S) if self.request.quick else (TIME_LIMIT_S, MATRIX_S)
        return max(usual, each * sum(group.is_layer and bool(group.runnable) for group in self.groups))

    def measure(self, *, progress: Progress, save: Callable[[Measured], None]) -> Measured:
        """Measure all groups; save is called after each with everything so far."""
        request = self.request
        context = Context(run_id=self.run_id, system=self.system, peak=self.peak, data=request.data)
        procedure = Procedure(
            rule=QUICK_RULE if request.quick else StopRule(),
            time_limit_s=request.time_limit_s or self.time_limit_s,
            seed=request.seed,
            data=request.data,
        )
        try:
            return run_groups(self.groups, context, procedure, progress=progress, save=save)
        finally:
            self.selection.close()

    def record(self, measured: Measured) -> dict[str, Any]:
        """Return the run record: everything about the run that a row has no room for."""
        return {
            "schema": SCHEMA,
            "run_id": self.run_id,
            "bandmark_version": __version__,
            "started_utc": f"{self.started:%Y-%m-%dT%H:%M:%SZ}",
            "finished_utc": f"{utc_now():%Y-%m-%dT%H:%M:%SZ}",
            "system": self.system,
            "complete": len({(r.kernel, r.weight_format, r.dtype, r.layer) for r in measured.rows}) == len(self.groups),
            "settings": asdict(self.request),
            "machine": self.machine.as_json(),
            "device": asdict(self.selection.device),
            "backends": self.libraries,
            "peak": asdict(self.peak),
            "notes": self.notes,
            "samples": measured.samples,
        }


def open_session(request: Request) -> Session:
    """Resolve a request against this machine.

    Raises:
        UsageError: an unknown name, a size that does not fit, or an option that does not go with the device.
        BackendUnavailable: a backend that was asked for can't be used.
    """
    kernels = _kernels(request)
    matrices = find_matrices(request.layer) if request.layer else []
    if matrices:  # a path says more of the machine than a record should
        request = replace(request, layer=matrices[0].model)
    dtypes = None if request.dtypes is None else pick("dtype", request.dtypes, DTYPES)
    if request.data not in PATTERNS:
        raise unknown_name("data", request.data, PATTERNS)
    if request.peak is not None:
        parse_peak(request.peak)
    if request.seed < 0:
        raise UsageError(f"--seed {request.seed} is not a seed: take 0 or a positive number.")
    if request.time_limit_s is not None and not 0 < request.time_limit_s < math.inf:
        raise UsageError(f"--time-limit {request.time_limit_s:g} must be a positive number of seconds.")
    if request.system is not None and not SYSTEM_NAME.fullmatch(request.system):
        raise UsageError(f"--system {request.system!r}: take lower-case letters, digits and hyphens, as in dgx-spark.")
    machine = read_machine()
    selection = select(machine, names=request.backends, address=request.device, threads=request.threads)
    try:
        return _resolve(request, kernels, dtypes, machine, selection, matrices=matrices)
    except BaseException:
        selection.close()
        raise


def _resolve(
    request: Request,
    kernels: list[Kernel],
    dtypes: list[DType] | None,
    machine: Machine,
    selection: Selection,
    *,
    matrices: list[Matrix],
) -> Session:
    device, on_cpu = selection.device, selection.address == "cpu"
    peak = find_peak(device, request.peak, read_dimms() if on_cpu else None)
    sizing = Sizing(
        llc_bytes=device.llc_bytes,
        peak_gbs=peak.gbs,
        budget=selection.backends[0].budget(),
        asked_bytes=request.size_bytes,
        quick=request.quick,
        matrices=matrices,
    )
    groups = plan(kernels, dtypes or _default_dtypes(on_cpu, request), selection.backends, sizing, request.variants)
    now = utc_now()
    notes = [*selection.notes, *preflight(machine, on_cpu=on_cpu, threads=selection.backends[0].threads)]
    notes += [note for kernel in kernels if (note := _own_dtype(kernel, dtypes))]
    if peak.gbs is None:
        notes.append(peak.explanation)
    if request.quick:
        notes.append(QUICK_LAYER_GIVES_UP if request.layer else QUICK_GIVES_UP)
    return Session(
        request=request,
        run_id=new_run_id(now),
        started=now,
        system=request.system or system_name(peak.device_id or device.name),
        machine=machine,
        selection=selection,
        peak=peak,
        groups=groups,
        libraries={b.name: {"version": b.version, "driver": b.driver, **b.facts()} for b in selection.backends},
        notes=notes,
    )


def _default_dtypes(on_cpu: bool, request: Request) -> list[DType]:
    """Return the dtypes to run in; a model's matrices are as narrow as libraries multiply them at memory speed."""
    names = ("float64", "float32") if on_cpu else ("float32", "float16")
    return [DTYPES[name] for name in (names[1:] if request.layer else names[:1] if request.quick else names)]


def _own_dtype(kernel: Kernel, asked: Sequence[DType] | None) -> str | None:
    """Return what to say where none of the dtypes asked for goes with a kernel."""
    if asked is None or any(d.name in kernel.dtypes for d in asked):
        return None
    has = f"the only dtype{'s' * (len(kernel.dtypes) > 1)} it has"
    return f"{kernel.label} runs in {' and '.join(kernel.dtypes)}, {has}; --dtype is for the others"


def pick(kind: str, names: Sequence[str] | None, table: Mapping[str, Named]) -> list[Named]:
    """Return the entries of these names in the table's order, all without names; raises UsageError for others."""
    for name in names or ():
        if name not in table:
            raise unknown_name(kind, name, table)
    return [entry for name, entry in table.items() if names is None or name in names]


def pick_kernels(names: Sequence[str]) -> list[Kernel]:
    """Return the kernels of these names in the table's order, or every one for "all"; kv in all formats of a cache.

    Raises:
        UsageError: there is no kernel of some name.
    """
    for name in names:
        if name not in (*KERNELS, "all"):
            raise unknown_name("kernel", name, (*KERNELS, "all"))
    picked = [kernel for name, kernel in KERNELS.items() if name in names or "all" in names]
    return [form for kernel in picked for form in (kernel, *(CACHES.values() if kernel.name == "kv" else ()))]


def _kernels(request: Request) -> list[Kernel]:
    """Return the kernels to run; where weight formats are asked for, gemv is in these and not in the dtypes."""
    weights = request.weights
    default = ("gemv",) if request.layer else DEFAULT_KERNELS
    wanted = pick_kernels(default if request.kernels is None else request.kernels)
    if request.layer and request.size_bytes is not None:
        raise UsageError("--layer takes the sizes of the model's matrices: leave --size out.")
    if request.layer and KERNELS["gemv"] not in wanted:
        raise UsageError("--layer is for gemv: add it to --kernel, or leave --kernel out.")
    for name in weights:
        if name not in (*PACKED, "all"):
            raise unknown_name("weight format", name, (*PACKED, "all"))
    if weights and KERNELS["gemv"] not in wanted:
        raise UsageError("--weights is for gemv: add it to --kernel, or leave --weights out.")
    packed = [kernel for name, kernel in PACKED.items() if name in weights or "all" in weights]
    wanted = [found for kernel in wanted for found in (packed if packed and kernel.name == "gemv" else [kernel])]
    return wanted if request.heads is None else _with_heads(wanted, request.heads)


def _with_heads(kernels: Sequence[Kernel], heads: tuple[int, int, int]) -> list[Kernel]:
    """Return the kernels, attention for these heads; raises UsageError if none is attention or has no such heads."""
    if not any(kernel.attention for kernel in kernels):
        raise UsageError("--heads is for kv: add it to --kernel, or leave --heads out.")
    try:
        return [find_kernel(k.name, k.weight_format, heads) if k.attention else k for k in kernels]
    except ValueError as problem:
        raise UsageError(f"--heads {','.join(map(str, heads))}: {problem}.") from None


def system_name(name: str) -> str:
    """Return a device's name as the name of a system: 'NVIDIA GB10' -> 'nvidia-gb10'."""
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"\((r|tm|c)\)", " ", name.lower())).strip("-") or "unknown"


def sorted_rows(measured: Measured) -> list[Any]:
    """Return the rows of a finished run in the order of result files."""
    return in_order(measured.rows)
