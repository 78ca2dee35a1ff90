"""Accesses in strides and at random places, by all threads of a team at once, each in an array of its own."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from bandmark.backends.host import HostWatch
from bandmark.backends.routines import new_block
from bandmark.backends.team import Team
from bandmark.device.memory import page_size
from bandmark.measure.measurement import Reading
from bandmark_kernels.core.compiled import compile_body
from bandmark_kernels.memory import passes
from bandmark_kernels.memory.places import Pattern, is_right

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bandmark.backends.team_backend import TeamBackend

_BODIES = {"read": "strided"}
"""The body of a kernel, where it has another name."""


class Accesses:
    """A pattern in arrays of random contents, which the next pattern finds again."""

    variant: str | None = None
    copies = 1
    note = None
    has_all = True

    def __init__(self, backend: TeamBackend, *, pattern: Pattern, size: int, seed: int) -> None:
        """Place arrays of so many bytes together, a power of two for each thread, and compile the body for them."""
        from bandmark_kernels.memory import bodies

        self._team, self._pattern = backend.memory.team, pattern
        self._words = [words.view(f"u{pattern.itemsize}") for words in _arrays(self._team, size, seed)]
        self._progress = [np.zeros(16, np.uint64)[:2] for _ in self._words]  # a cache line or more for each thread
        body = compile_body(getattr(bodies, _BODIES.get(pattern.kernel, pattern.kernel)))
        rest = pattern.arguments(self._words[0].nbytes)
        self._calls = [partial(body, *pair, *rest) for pair in zip(self._words, self._progress, strict=True)]
        self.pages = page_size(self._words[0].ctypes.data)
        self._watch = HostWatch()
        self._calls[0]()  # compiles it

    def start(self, launches: int) -> None:
        """Start the watch."""
        self._watch.start()

    def launch(self) -> None:
        """Go on where the last launch ended, on every thread."""
        self._team.run(self._calls)

    def stop(self) -> Reading:
        """Read the watch."""
        return self._watch.stop()

    def verify(self) -> float:
        """Return 0 if one more launch visits the places that are next, each once, on every thread; else inf."""
        before = [progress.copy() for progress in self._progress]
        self.launch()
        parts = zip(self._words, before, self._progress, strict=True)
        return 0.0 if all(is_right(self._pattern, *part) for part in parts) else float("inf")

    def close(self) -> None:
        """Leave the arrays to the next pattern: `forget_arrays` releases them."""


@lru_cache(maxsize=1)
def _arrays(team: Team, size: int, seed: int) -> list[NDArray[np.uint64]]:
    """Return an array for each thread, which it has touched first; the last ones are kept until they are forgotten."""
    part, arrays = size // len(team), {}

    def fill(index: int) -> None:
        [numbers] = passes.block(passes.PASSES["read"], part // 8, new_block(part, huge=True), seed + index)
        arrays[index] = numbers.view(np.uint64)

    team.run([partial(fill, index) for index in range(len(team))])
    return [arrays[index] for index in sorted(arrays)]


def forget_arrays() -> None:
    """Release the arrays that were kept."""
    _arrays.cache_clear()
