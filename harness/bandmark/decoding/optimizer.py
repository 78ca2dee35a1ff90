"""Bytes and time of one step of AdamW, the part of training that memory bounds.

AdamW (Loshchilov and Hutter, arXiv 1711.05101) visits every parameter once per step, whatever the batch. In one pass it
reads parameter p, gradient g and the moments m and v, and writes p, m and v.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from bandmark.decoding.measured import KERNELS_FOR, Bandwidth, MeasuredSystem, fastest
from bandmark.decoding.predict import System, at_bandwidths
from bandmark.errors import UsageError
from bandmark.models.model import Model
from bandmark.results.row import Row
from bandmark.show.console import print_parts, text_table
from bandmark.units import format_seconds

_STORED = 16
"""Bytes per parameter of weights, gradients and state in memory, without activations."""

_LEGEND = (
    "Time of one AdamW step, of all parameters, once per batch of training; the forward and backward passes come on "
    "top. First the time at the measured bandwidth, then > the least possible: at the fastest verified bandwidth of "
    "mixed reads and writes (else of reads), or at the published peak. GB: bytes that a step moves. *: weights, "
    "gradients and state (16 bytes per parameter) do not leave a tenth of the memory free, so the system can't train "
    "the whole model alone.\n"
    "float32: reads p, g, m, v and writes p, m, v in float32: 16 + 12 = 28 bytes per parameter.\n"
    "bf16+master: reads a bf16 gradient and float32 master p, m, v (2 + 12), writes master p, m, v and the bf16 weight "
    "(12 + 2): 28 bytes per parameter as well; the gain is in the forward and backward pass, not here."
)


@dataclass(frozen=True, slots=True)
class _State:
    """How an optimizer stores its state; bytes per parameter."""

    name: str
    read: int
    written: int


_STATES = (_State("float32", read=16, written=12), _State("bf16+master", read=14, written=14))


@dataclass(frozen=True, slots=True)
class TrainStep:
    """One optimizer step of a model on a system."""

    system: System
    model: Model
    state: _State

    @property
    def bytes(self) -> int:
        """Bytes that the step moves: all parameters, of a mixture of experts those of every expert."""
        return (self.state.read + self.state.written) * self.model.parameters

    @property
    def bound_s(self) -> float | None:
        """The least possible seconds; None: nothing measured tells."""
        return None if self.system.bound_gbs is None else self.bytes / self.system.bound_gbs / 1e9

    @property
    def seconds(self) -> float:
        """Seconds at the system's bandwidth, measured or published."""
        return max(self.bytes / self.system.weight_gbs / 1e9, self.bound_s or 0.0)

    @property
    def fits(self) -> bool | None:
        """Whether weights, gradients and state leave a tenth of the memory; None: its size is not known."""
        return self.system.holds(_STORED * self.model.parameters)

    def as_json(self) -> dict[str, object]:
        """Return the step for programs, with units in the names."""
        return {
            **self.system.as_json(),
            "bandwidth_gbs": self.system.weight_gbs,
            "model": self.model.name,
            "parameters": self.model.parameters,
            "form": self.state.name,
            "bytes_read": self.state.read * self.model.parameters,
            "bytes_written": self.state.written * self.model.parameters,
            "seconds": self.seconds,
            "bound_seconds": self.bound_s,
            "needed_bytes": _STORED * self.model.parameters,
            "fits": self.fits,
        }


def train_steps(models: Sequence[Model], measured: Sequence[MeasuredSystem], named: list[System]) -> list[TrainStep]:
    """Return the step of each model and state on each system, in this order; raises UsageError if no row tells."""
    systems = {state: [*(_system(m, state) for m in measured), *named] for state in _STATES}
    return [TrainStep(system, model, state) for model in models for state in _STATES for system in systems[state]]


def _system(measured: MeasuredSystem, state: _State) -> System:
    step = _bandwidth(measured, state)
    return at_bandwidths(measured, step, step, measured.bound("mixed", "read"), f"{state.name} at {step}")


def _bandwidth(measured: MeasuredSystem, state: _State) -> Bandwidth:
    """Return the bandwidth of the step with this state, else of a kernel that stands for it, else raise UsageError."""
    optimizers = KERNELS_FOR["optimizer"][0]
    same_state = replace(measured, rows=tuple(row for row in measured.rows if _state_of(row) == state))
    if bandwidth := fastest(same_state.usable_rows(optimizers)):
        return bandwidth
    for kernels in KERNELS_FOR["optimizer"]:
        if bandwidth := fastest(measured.usable_rows(kernels), f"no adamw row in {state.name}, so of "):
            return bandwidth
    raise UsageError(
        f"the results of {measured.system} ({measured.device}) have no measured row of adamw, adamw_master, nstream or "
        "triad, which tell how fast an optimizer step is. Measure it: bandmark run --kernel adamw,adamw_master."
    )


def _state_of(row: Row) -> _State:
    # A row whose numbers are bf16 has a float32 master copy.
    return _STATES[bool({row.dtype, row.weight_format} & {"bfloat16", "bf16"})]


def show_steps(steps: Sequence[TrainStep]) -> None:
    """Print a line per model and optimizer state, a column per system."""
    systems = dict.fromkeys(step.system.name for step in steps)
    rows = []
    for (model, state, size), group in groupby(steps, key=lambda s: (s.model, s.state, s.bytes)):
        labels = [model.name, f"{model.parameters / 1e9:.3g} B", state.name, f"{size / 1e9:.4g}"]
        rows.append([*labels, *map(_cell, group)])
    table = text_table(("model", "parameters", "state", "GB", *systems), rows, left=3)
    notes = dict.fromkeys(f"{step.system.name}: {note}." for step in steps for note in step.system.notes)
    print_parts([table, "", _LEGEND, *notes])


def _cell(step: TrainStep) -> str:
    times = [format_seconds(step.seconds)] if step.system.measured else []
    times += [] if step.bound_s is None else [f">{format_seconds(step.bound_s)}"]
    return " ".join(times) + ("*" if step.fits is False else "")
