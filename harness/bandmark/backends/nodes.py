"""Copies between the NUMA nodes of a CPU: from memory that one node's threads touched first, by those of another."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from bandmark.backends.host import HostWatch, bounds
from bandmark.backends.routines import new_block
from bandmark.backends.team import Team
from bandmark.device.placement import by_kind, read_processors
from bandmark.measure.measurement import Reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bandmark.backends.team_backend import TeamBackend

_POISON = 0xFF


class NodeCopy:
    """Copies of so many bytes by all threads of the node at their end, each of its part, into memory of that node."""

    variant: str | None = None
    copies = 1
    note = None
    has_all = True

    def __init__(self, backend: TeamBackend, *, size: int, pattern: str, seed: int) -> None:
        """Let each node's threads touch its array first; the pattern names the nodes, as in node-0-to-node-1."""
        nodes = by_kind(read_processors(backend.memory.team.cpus))
        source, target = (nodes[name] for name in pattern.split("-to-"))
        self._watch, self._team = HostWatch(), Team(target, min_started=1)
        self._data = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
        self._source, self._target = new_block(size, huge=True), new_block(size, huge=True)
        with Team(source, min_started=1) as team:
            _copy(team, self._source, self._data)
        self._poison()

    def start(self, launches: int) -> None:
        """Start the watch."""
        self._watch.start()

    def launch(self) -> None:
        """Copy once."""
        _copy(self._team, self._target, self._source)

    def stop(self) -> Reading:
        """Read the watch."""
        return self._watch.stop()

    def verify(self) -> float:
        """Return 0 if a copy fills the poisoned destination with the bytes of the source, else inf."""
        self._poison()
        self.launch()
        return 0.0 if np.array_equal(self._target, self._data) else float("inf")

    def close(self) -> None:
        """End the threads and release the arrays."""
        self._team.close()
        del self._source, self._target, self._data

    def _poison(self) -> None:
        parts = bounds(len(self._target), len(self._team))
        self._team.run([partial(self._target[lo:hi].fill, _POISON) for lo, hi in parts])


def _copy(team: Team, target: NDArray[np.uint8], source: NDArray[np.uint8]) -> None:
    parts = bounds(len(target), len(team))
    team.run([partial(np.copyto, target[lo:hi], source[lo:hi]) for lo, hi in parts])
