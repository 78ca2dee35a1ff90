"""Bytes and time of one step of AdamW, the part of training that memory bounds.

AdamW (Loshchilov and Hutter, arXiv 1711.05101) visits every parameter once per step, whatever the batch. In one pass it
reads parameter p, gradient g and the moments m and v, and writes p, m and v.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bandmark.decoding.measured import KERNELS_FOR, Bandwidth, MeasuredSystem, fastest, usable_rows
from bandmark.decoding.predict import NamedSystem, System, at_bandwidths, published_system
from bandmark.errors import UsageError
from bandmark.models.model import Model
from bandmark.results.row import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerState:
    """How an optimizer stores its state; bytes per parameter."""

    name: str
    read: int
    written: int
    stored: int
    words: str


FLOAT32 = OptimizerState(
    name="float32",
    read=16,
    written=12,
    stored=16,
    words="reads p, g, m, v and writes p, m, v in float32: 16 + 12 = 28 bytes per parameter",
)
MASTER = OptimizerState(
    name="bf16+master",
    read=14,
    written=14,
    stored=16,
    words="reads a bf16 gradient and float32 master p, m, v (2 + 12), writes master p, m, v and the bf16 weight "
    "(12 + 2): 28 bytes per parameter as well; the gain is in the forward and backward pass, not here",
)
STATES = (FLOAT32, MASTER)
"""Both keep 16 bytes per parameter in memory, before activations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainStep:
    """One optimizer step of a model on a system."""

    system: System
    model: Model
    state: OptimizerState

    @property
    def bytes(self) -> int:
        """Bytes that the step moves: all parameters, of a mixture of experts those of every expert."""
        return (self.state.read + self.state.written) * self.model.parameters

    @property
    def seconds(self) -> float:
        """Seconds at the system's bandwidth: measured, or the least possible at the published peak."""
        return self.bytes / self.system.weight_gbs / 1e9

    @property
    def needed_bytes(self) -> int:
        """Bytes of weights, gradients and state in memory, without activations."""
        return self.state.stored * self.model.parameters

    @property
    def fits(self) -> bool | None:
        """Whether these leave the system a tenth of its memory; None: its size is not known."""
        return self.system.holds(self.needed_bytes)

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
            "needed_bytes": self.needed_bytes,
            "fits": self.fits,
        }


def state_of(row: Row) -> OptimizerState:
    """Return the state of an optimizer's row: with a float32 master copy where its numbers are bf16."""
    return MASTER if {row.dtype, row.weight_format} & {"bfloat16", "bf16"} else FLOAT32


def step_bandwidth(measured: MeasuredSystem, state: OptimizerState) -> Bandwidth:
    """Return the bandwidth of the step with this state, else of a kernel that stands for it, else raise UsageError."""
    optimizers = KERNELS_FOR["optimizer"][0]
    same_state = replace(measured, rows=tuple(row for row in measured.rows if state_of(row) == state))
    if bandwidth := fastest(usable_rows(same_state, optimizers)):
        return bandwidth
    for kernels in KERNELS_FOR["optimizer"]:
        if bandwidth := fastest(usable_rows(measured, kernels), f"no adamw row in {state.name}, so of "):
            return bandwidth
    raise UsageError(
        f"the results of {measured.system} ({measured.device}) have no measured row of adamw, adamw_master, nstream or "
        "triad, which tell how fast an optimizer step is. Measure it: bandmark run --kernel adamw,adamw_master."
    )


def train_steps(models: list[Model], measured: list[MeasuredSystem], named: list[NamedSystem]) -> list[TrainStep]:
    """Return the step of each model and state on each system, in this order; raises UsageError if no row tells."""
    published = [published_system(system) for system in named]
    systems = {state.name: [*(_at_step(m, state) for m in measured), *published] for state in STATES}
    return [
        TrainStep(system=system, model=model, state=state)
        for model in models
        for state in STATES
        for system in systems[state.name]
    ]


def _at_step(measured: MeasuredSystem, state: OptimizerState) -> System:
    """Return a measured system at the bandwidth of an optimizer step."""
    step = step_bandwidth(measured, state)
    return at_bandwidths(measured, step, step, f"{state.name} at {step.gbs:.4g} GB/s, measured: {step.words}")
