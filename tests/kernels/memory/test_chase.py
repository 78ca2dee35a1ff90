"""The ring of a chase visits every line once, in the order that its pattern promises."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bandmark_kernels.memory.chase import LINE_BYTES, PATTERNS, WINDOW_BYTES, is_ring, link, order

LINES = st.integers(1, 6000)


def linked(lines: int, pattern: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the words of a linked ring, and its order."""
    words = np.zeros(lines * LINE_BYTES // 8, np.uint64)
    ring = order(lines, pattern, seed)
    link(words, ring)
    return words, ring


@given(LINES, st.sampled_from(PATTERNS), st.integers(0, 9))
def test_a_ring_is_one_cycle_through_every_line(lines: int, pattern: str, seed: int) -> None:
    """From any line, as many hops as there are lines visit each once and lead back, followed in memory."""
    words, ring = linked(lines, pattern, seed)
    assert is_ring(words, ring)
    following = (words[:: LINE_BYTES // 8] - np.uint64(words.ctypes.data)) // np.uint64(LINE_BYTES)
    place, visited = 0, set()
    for _ in range(lines):
        place = int(following[place])
        visited.add(place)
    assert place == 0 and len(visited) == lines


@given(st.integers(2, 5000), st.data())
def test_a_damaged_ring_is_none(lines: int, data: st.DataObject) -> None:
    """A line that is skipped, or leads anywhere else, is seen."""
    words, ring = linked(lines, "random-4k", 1)
    place = data.draw(st.integers(0, lines - 1))
    follower = words[int(ring[place]) * 8]
    words[int(ring[place]) * 8] = words[int(ring[(place + 1) % lines]) * 8]
    assert not is_ring(words, ring) or words[int(ring[place]) * 8] == follower


def test_a_window_is_left_when_all_its_lines_were_visited() -> None:
    """The pattern window stays within 64 pages at a time; random orders do not."""
    window = WINDOW_BYTES // LINE_BYTES
    lines = 5 * window + 7
    assert len(np.unique(order(lines, "window", 1) // window)) == 6
    changes = [int(np.count_nonzero(np.diff(order(lines, p, 1) // window))) for p in ("window", "random-4k")]
    assert changes[0] == 5 and changes[1] > 1000


def test_the_seed_decides() -> None:
    """The same seed gives the same ring, another seed another."""
    assert np.array_equal(order(100, "random-2m", 1), order(100, "random-2m", 1))
    assert not np.array_equal(order(100, "random-2m", 1), order(100, "random-2m", 2))
