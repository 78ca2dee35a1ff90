"""What libraries whose calls use one thread share: every thread of a team works on its own part of the arrays."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from bandmark.backends.base import Backend
from bandmark.backends.host import HostMemory, HostWatch, bounds, part_slices
from bandmark.backends.team import Team
from bandmark.device.device import Device
from bandmark.device.memory import MemoryBudget
from bandmark.measure.measurement import Reading
from bandmark_kernels import DTYPES, Kernel, Launch, Operand
from bandmark_kernels.core.checks import max_error
from bandmark_kernels.core.kernel import Bind, Inputs

if TYPE_CHECKING:
    from numpy.typing import NDArray


_TRIALS = 2  # launches of each variant that decide which one is timed


class TeamBackend(Backend):
    """A library on the CPU, called by each thread of a team."""

    memory_name = HostMemory.name
    verifies_first = False

    def __init__(self, device: Device, memory: HostMemory) -> None:
        self.device = device
        self.memory = memory
        self.threads = len(memory.team)

    def variants(self, kernel: Kernel) -> tuple[str, ...]:
        """Return a kernel's variants; where none is named the fastest here runs."""
        implementation = kernel.implementations[self.name]
        named = () if implementation.variant is None else (implementation.variant, *implementation.variants)
        return (*named, *implementation.modes)

    def default_variants(self, kernel: Kernel) -> tuple[str | None, ...]:
        """Return the modes of a kernel that has some, else None for the fastest variant."""
        return tuple(kernel.implementations[self.name].modes) or (None,)

    def prepare(self, inputs: Inputs, variant: str | None = None, copies: int = 1) -> TeamWorkload:
        """Place the operands and bind the kernel to each thread's part of them."""
        return TeamWorkload(self, inputs, variant, copies)

    def single_threaded(self) -> AbstractContextManager[object]:
        """Keep the library's calls from starting threads of their own beside the team's."""
        return nullcontext()

    def budget(self) -> MemoryBudget:
        """Return the budget of the system's memory."""
        return self.memory.budget()

    def on(self, cpus: Sequence[int]) -> TeamBackend:
        """Return the backend on these processors alone, with a team and memory of its own, which they touch first."""
        own = copy(self)
        own.memory = HostMemory(Team(cpus, min_started=1))
        own.threads = len(cpus)
        return own

    def close(self) -> None:
        """Release the arena; the team belongs to the caller."""
        self.memory.close()


class TeamWorkload:
    """A kernel bound to the parts of its operands, one part per thread, or to several sets of them in turn."""

    has_all = True

    note = None

    def __init__(
        self,
        backend: TeamBackend,
        inputs: Inputs,
        variant: str | None = None,
        copies: int = 1,
        *,
        threads: int | None = None,
        cpus: Sequence[int] | None = None,
    ) -> None:
        """Bind a kernel to the first so many threads of the team, or to all, or to a team of its own on some CPUs."""
        kernel, self._own_team = inputs.kernel, None
        if cpus is not None:
            backend = backend.on(cpus)
            self._own_team = backend.memory.team
        self._threads = threads or len(backend.memory.team)
        self.inputs = inputs
        self.copies = copies
        self._backend = backend
        self._sets = backend.memory.sets(inputs, copies)
        self._next, self._watch = 0, HostWatch()
        self._partials: NDArray[Any] | None = None
        if kernel.is_reduction:
            self._partials = np.full(self._parts, np.nan, inputs.dtype.accumulator)
        self._implementation = kernel.implementations[backend.name]
        with backend.single_threaded():
            bound = self._bind_variants(variant, kernel.scalars)
            if not bound:
                raise NotImplementedError(f"the {variant} variant does not support operands so short, or so laid out")
            self.variant = self._fastest(bound)
            rest = (self._bind_chosen(operands, kernel.scalars) for operands in self._sets[1:])
            self._timed = [bound[self.variant], *rest]

    def start(self, launches: int) -> None:
        """Start the watch."""
        self._limit = self._backend.single_threaded()
        self._limit.__enter__()
        self._watch.start()

    def launch(self) -> None:
        """Run every thread's part on the next set of operands, and add up the parts' results."""
        self._backend.memory.team.run(self._timed[self._next])
        if self._partials is not None:
            np.add.reduce(self._partials, axis=0, out=self._sets[self._next][self.inputs.kernel.output.name])
        self._next = (self._next + 1) % self.copies

    def stop(self) -> Reading:
        """Read the watch."""
        reading = self._watch.stop()
        self._limit.__exit__(None, None, None)
        return reading

    def verify(self) -> float:
        """Launch once into poisoned outputs of the next set in turn and compare them with the reference."""
        kernel, memory = self.inputs.kernel, self._backend.memory
        index, operands = self._next, self._sets[self._next]
        timed = self._timed[index]
        self._reset_outputs(index)
        with self._backend.single_threaded():
            if kernel.check.scalars:
                self._timed[index] = self._bind_chosen(operands, kernel.check.scalars)
            self.launch()
        self._timed[index] = timed
        error = max_error(
            self.inputs,
            lambda name, start, stop: operands[name].reshape(-1)[start:stop],
            result=DTYPES[self.inputs.dtype.accumulator] if kernel.is_reduction else None,
            workers=len(memory.team),
        )
        if kernel.check.scalars:
            self._reset_outputs(index)
        return error

    def close(self) -> None:
        """Release the operands."""
        self._timed, self._sets = [], []
        if self._own_team is not None:
            self._own_team.close()
            self._backend.memory.close()

    @property
    def _parts(self) -> int:
        return len(bounds(self.inputs.shape.count(self.inputs.kernel.split), self._threads))

    def _reset_outputs(self, index: int) -> None:
        """Poison what a set's launches only write, and give what they work on in place its contents again."""
        for operand in self.inputs.kernel.outputs:
            self._backend.memory.reset(operand, index)

    def _bind_variants(self, wanted: str | None, scalars: Any) -> dict[str | None, list[Launch]]:
        """Return the calls of the variant wanted, or of all to choose from, of those that support the first set."""
        implementation = self._implementation
        names: tuple[str | None, ...] = (wanted,)
        if wanted is None:
            names = tuple(implementation.modes)[:1] or (implementation.variant, *implementation.variants)
        bound = {name: self._bind(name, self._sets[0], scalars) for name in names}
        return {name: calls for name, calls in bound.items() if calls is not None}

    def _bind(self, variant: str | None, operands: dict[str, NDArray[Any]], scalars: Any) -> list[Launch] | None:
        """Return a call per thread of one variant on one set; None if it does not support such operands."""
        implementation = self._implementation
        encoded = implementation.encoded_constants(self.inputs.dtype, scalars)
        if variant in implementation.modes:
            return self._bind_parts(implementation.modes[str(variant)], operands, encoded)
        if variant == implementation.variant:
            return self._bind_parts(implementation.bind, operands, encoded)
        bind = implementation.variants.get(str(variant))
        calls = bind and bind(self._threads, **operands, **encoded)
        return None if calls is None else list(calls)

    def _bind_chosen(self, operands: dict[str, NDArray[Any]], scalars: Any) -> list[Launch]:
        calls = self._bind(self.variant, operands, scalars)
        assert calls is not None
        return calls

    def _fastest(self, bound: dict[str | None, list[Launch]]) -> str | None:
        """Return the fastest variant here, by its better of two launches taken in turns after one to warm up."""
        if len(bound) == 1:
            return next(iter(bound))
        times: dict[str | None, list[float]] = {name: [] for name in bound}
        for _ in range(1 + _TRIALS):
            for name, calls in bound.items():
                begin = perf_counter()
                self._backend.memory.team.run(calls)
                times[name].append(perf_counter() - begin)
        return min(times, key=lambda name: min(times[name][1:]))

    def _bind_parts(self, bind: Bind, operands: dict[str, NDArray[Any]], scalars: Any) -> list[Launch]:
        """Bind an implementation to each thread's part; results of a reduction go to one partial per thread."""
        kernel, calls = self.inputs.kernel, []
        for part in range(self._parts):
            views = {operand.name: self._view(operand, operands[operand.name], part) for operand in kernel.operands}
            calls.append(bind(**views, **scalars))
        return calls

    def _view(self, operand: Operand, array: NDArray[Any], part: int) -> NDArray[Any]:
        """Return a thread's view of an operand: its part, its partial, or the whole of it."""
        if operand.role == "result":
            assert self._partials is not None
            return self._partials[part : part + 1].reshape(())
        if self.inputs.kernel.split not in operand.extent:
            return array
        view: NDArray[Any] = array[part_slices(operand, self.inputs, self._parts)[part]]
        return view
