"""What does one step of AdamW move, and how long does it take? The part of training that memory bounds.

AdamW (Loshchilov and Hutter, arXiv 1711.05101) visits every parameter once a step, whatever the batch. In one pass it
reads parameter p, gradient g and the moments m and v, and writes p, m and v.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bandmark.decoding.measured import Bandwidth, MeasuredSystem, fastest, usable_rows
from bandmark.decoding.predict import System
from bandmark.decoding.systems import Named, as_measured, published_system
from bandmark.errors import UsageError
from bandmark.models.model import Model
from bandmark.results.row import Row


@dataclass(frozen=True, slots=True)
class Form:
    """How the state of the optimizer is stored; bytes per parameter."""

    name: str
    read: int
    written: int
    stored: int
    words: str

    @property
    def moved(self) -> int:
        """Bytes that a step moves per parameter."""
        return self.read + self.written


FORMS = (
    Form(
        "float32",
        read=4 + 4 + 4 + 4,
        written=4 + 4 + 4,
        stored=16,
        words="reads p, g, m, v and writes p, m, v in float32: 16 + 12 = 28 bytes per parameter",
    ),
    Form(
        "bf16+master",
        read=2 + 4 + 4 + 4,
        written=2 + 4 + 4 + 4,
        stored=2 + 2 + 4 + 4 + 4,
        words=(
            "reads a bf16 gradient and float32 master p, m, v (2 + 12), writes master p, m, v and the bf16 weight "
            "(12 + 2): 28 bytes per parameter as well; the gain is in the forward and backward pass, not here"
        ),
    ),
)
"""The forms; both keep 16 bytes per parameter in memory, before activations."""

OWN = ("adamw", "adamw_master")
"""The step itself, in its forms."""

SUBSTITUTES = (OWN, ("nstream",), ("triad",))
"""Kernels whose bandwidth stands for the step's: the first that was measured, the nearest in reads and writes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainStep:
    """One optimizer step of a model on a system."""

    system: System
    model: Model
    form: Form

    @property
    def bytes(self) -> int:
        """Bytes that the step moves: all parameters, of a mixture of experts those of every expert."""
        return self.form.moved * self.model.parameters

    @property
    def seconds(self) -> float:
        """Seconds at the system's bandwidth: measured, or the least possible at the published peak."""
        return self.bytes / self.system.weight_gbs / 1e9

    @property
    def needed_bytes(self) -> int:
        """Bytes of weights, gradients and state in memory, without activations."""
        return self.form.stored * self.model.parameters

    @property
    def fits(self) -> bool | None:
        """Whether these leave the system a tenth of its memory; None: its size is not known."""
        return self.system.holds(self.needed_bytes)

    def as_json(self) -> dict[str, Any]:
        """Return the step for programs, with units in the names."""
        return {
            "system": self.system.name,
            "measured": self.system.measured,
            "bandwidth_gbs": self.system.weight_gbs,
            "notes": list(self.system.notes),
            "source": self.system.source,
            "model": self.model.name,
            "parameters": self.model.parameters,
            "form": self.form.name,
            "bytes_read": self.form.read * self.model.parameters,
            "bytes_written": self.form.written * self.model.parameters,
            "seconds": self.seconds,
            "needed_bytes": self.needed_bytes,
            "fits": self.fits,
        }


def form_of(row: Row) -> str:
    """Return the form of an adamw row: bf16+master where its kernel, dtype or format says so, else float32."""
    said = f"{row.kernel} {row.dtype} {row.weight_format}"
    return "bf16+master" if any(word in said for word in ("bf16", "bfloat16", "master")) else "float32"


def step_bandwidth(measured: MeasuredSystem, form: Form) -> Bandwidth:
    """Return the bandwidth of the step as measured: of adamw in its form, else of a kernel that stands for it.

    Raises:
        UsageError: the results have none of these kernels.
    """
    own = [row for row in measured.rows if row.kernel in OWN and form_of(row) == form.name]
    if found := fastest(usable_rows(replace(measured, rows=tuple(own)), *OWN)):
        return found
    for kernels in SUBSTITUTES:
        if found := fastest(usable_rows(measured, *kernels), f"no adamw row in {form.name}, so of "):
            return found
    raise UsageError(
        f"the results of {measured.system} ({measured.device}) have no measured row of adamw, adamw_master, nstream or "
        "triad, which tell how fast an optimizer step is. Measure it: bandmark run --kernel adamw,adamw_master."
    )


def measured_step_system(measured: MeasuredSystem, form: Form) -> System:
    """Return a measured system as it runs the optimizer; raises UsageError if no row tells."""
    found = step_bandwidth(measured, form)
    return as_measured(measured, found, found, f"{form.name} at {found.gbs:.4g} GB/s, measured: {found.words}")


def train_steps(
    models: list[Model], measured: list[MeasuredSystem], named: list[Named], forms: tuple[Form, ...] = FORMS
) -> list[TrainStep]:
    """Return the step of each model and form on each system, in this order; raises UsageError if no row tells."""
    published = [published_system(system) for system in named]
    systems = {form.name: [*(measured_step_system(m, form) for m in measured), *published] for form in forms}
    return [TrainStep(system=s, model=m, form=f) for m in models for f in forms for s in systems[f.name]]
