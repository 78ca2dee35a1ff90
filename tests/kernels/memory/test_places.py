"""The places that patterns visit, and that no other visits pass for theirs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark_kernels.core.compiled import compile_body
from bandmark_kernels.memory import bodies
from bandmark_kernels.memory.places import (
    INCREMENT,
    MULTIPLIER,
    Pattern,
    first_of_stride,
    follow,
    is_right,
    progress_after,
)

PATTERNS = [Pattern("read", 1), Pattern("read", 64), *(Pattern(k, s) for k in ("gather", "scatter") for s in (4, 128))]


@given(st.integers(1, 14), st.integers(0, 2**14))
def test_a_lap_visits_every_place_once(bits: int, start: int) -> None:
    """From any state; and a lap in two parts is the same lap."""
    start %= 2**bits
    places, end = follow(start, 2**bits, 2**bits)
    assert sorted(places.tolist()) == list(range(2**bits)) and end == start
    first, middle = follow(start, 2 ** (bits - 1), 2**bits)
    assert [*first, *follow(middle, 2 ** (bits - 1), 2**bits)[0]] == [*places]


def test_states_are_the_generator_s() -> None:
    """What leads many visits on at once leads where single steps do."""
    state = 5
    for _ in range(1000):
        state = (state * MULTIPLIER + INCREMENT) % 2**20
    assert follow(5, 1000, 2**20)[1] == state


def test_random_places_are_no_sequence() -> None:
    """Neighbours in the order are hardly ever neighbours in memory, nor on one page of 4 KiB granules of 8 bytes."""
    places, _ = follow(0, 10_000, 2**20)
    assert np.mean(abs(np.diff(places.astype(np.int64))) < 512) < 0.01


@pytest.mark.parametrize(
    ("kernel", "step", "of_line", "of_sector"),
    [
        *(("read", 1, 1.0, 1.0), ("read", 2, 0.5, 0.5), ("read", 8, 0.125, 0.25), ("read", 64, 0.125, 0.25)),
        *(("gather", 4, 0.0625, 0.125), ("gather", 32, 0.5, 1.0), ("gather", 64, 1.0, 1.0), ("gather", 128, 1.0, 1.0)),
    ],
)
def test_the_share_of_a_line_or_sector_that_is_used(kernel: str, step: int, of_line: float, of_sector: float) -> None:
    """Elements of 8 bytes in a line of 64 bytes or a sector of 32, and granules that lie in one or fill several."""
    pattern = Pattern(kernel, step)
    assert (pattern.utilization(64), pattern.utilization(32)) == (of_line, of_sector)


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_the_progress_after_many_launches_is_that_of_each(pattern: Pattern) -> None:
    """Where launches one by one lead, by the compiled bodies, but for the sum of what was read."""
    words, after = np.zeros(2**14 // pattern.itemsize, f"u{pattern.itemsize}"), np.zeros(2, np.uint64)
    own = compile_body(bodies.strided if pattern.kernel == "read" else getattr(bodies, pattern.kernel))
    for launches in range(1, 6):
        own(words, after, *pattern.arguments(words.nbytes))
        assert progress_after(pattern, words.nbytes, np.zeros(2, np.uint64), launches).tolist() == after.tolist()


@pytest.mark.parametrize("step", [1, 2, 4, 8, 16, 64])
def test_launches_of_a_stride_begin_at_other_lines(step: int) -> None:
    """A stride beyond a line has touched all lines before it comes back to one, and then to another element of it."""
    firsts = [first_of_stride(launch, step) for launch in range(step)]
    lines = max(1, step // 8)
    assert len({first // 8 for first in firsts[:lines]}) == lines and max(firsts) < step
    assert step < 8 or sorted(firsts) == list(range(step))


def launched(pattern: Pattern, body: Any = None) -> tuple[Any, Any, Any]:
    """Return the array, and the progress before and after the second launch of a body, or of the pattern's own."""
    words = np.random.default_rng(1).integers(2**32, size=2**12, dtype=np.uint64).view(f"u{pattern.itemsize}")
    progress = np.zeros(2, np.uint64)
    own = compile_body(bodies.strided if pattern.kernel == "read" else getattr(bodies, pattern.kernel))
    own(words, progress, *pattern.arguments(words.nbytes))
    before = progress.copy()
    (body(own) if body else own)(words, progress, *pattern.arguments(words.nbytes))
    return words, before, progress


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_the_compiled_bodies_are_right(pattern: Pattern) -> None:
    """They visit the places that are next, all of them and in this order."""
    assert is_right(pattern, *launched(pattern))


def skips(own: Any) -> Any:
    """Leave half of the places out, or half of the array."""

    def body(words: Any, progress: Any, *rest: Any) -> None:
        if len(rest) == 1:
            own(words[: len(words) // 2], progress, *rest)
        else:
            own(words, progress, rest[0] // 2, *rest[1:])

    return body


def repeats(own: Any) -> Any:
    """Visit the places of the first launch again, and say that it went on."""

    def body(words: Any, progress: Any, *rest: Any) -> None:
        state = np.array([0, progress[1]], np.uint64)
        own(words.copy(), progress, *rest)
        own(words, state, *rest)
        progress[1] = state[1]

    return body


def leaves_out_one(own: Any) -> Any:
    """Miss a single visit, and count it."""

    def body(words: Any, progress: Any, *rest: Any) -> None:
        before = words.copy()
        own(words, progress, *rest)
        changed = np.flatnonzero(words != before)
        words[changed[:1]] = before[changed[:1]]
        progress[1] -= np.uint64(0 if len(changed) else 1)

    return body


def in_sequence(own: Any) -> Any:
    """Visit as many places, one beside the other."""

    def body(words: Any, progress: Any, visits: Any, shift: Any, width: Any) -> None:
        state = progress.copy()
        own(words.copy(), progress, visits, shift, width)
        granules = words.reshape(-1, len(width))[:visits]
        if progress[1] == state[1] + np.uint64(visits):
            granules[:] = (state[1] + np.arange(1, visits + 1, dtype=np.uint64))[:, None]
        else:
            progress[1] = state[1] + granules.sum(dtype=np.uint64)

    return body


CHEATS = {
    skips: PATTERNS,
    repeats: [pattern for pattern in PATTERNS if pattern.name != "stride-1"],  # all of its launches are alike
    leaves_out_one: PATTERNS,
    in_sequence: [pattern for pattern in PATTERNS if pattern.is_random],
}


@pytest.mark.parametrize(("cheat", "pattern"), [(cheat, pattern) for cheat in CHEATS for pattern in CHEATS[cheat]])
def test_other_visits_are_seen(cheat: Any, pattern: Pattern) -> None:
    """Places that are left out, visited again or in an order that prefetchers foresee fail the verification."""
    assert not is_right(pattern, *launched(pattern, cheat))
