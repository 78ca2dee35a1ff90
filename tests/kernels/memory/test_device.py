"""The chase and the passes of a CUDA device, executed on the CPU and compiled for devices."""

from __future__ import annotations

import re
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2] / "cuda"))

import cubin
from cuda_host import Host, Source, allocate

from bandmark_kernels.memory import chase, device
from bandmark_kernels.memory.device import TILE, _step, blocks, expected_sum

ARCHITECTURES = (80, 86, 89, 90, 100, 103, 120, 121)


@pytest.fixture(scope="module")
def host() -> Host:
    """What runs the kernels."""
    return Host()


def test_a_chase_goes_round(host: Host) -> None:
    """It ends where as many loads lead as it is given, and goes on from there; each line is read once a lap."""
    arrays = allocate({"words": (64 * 8, "uint64"), "state": (3, "uint64")})
    words, state = arrays["words"], arrays["state"]
    ring = chase.order(64, "random-2m", seed=1)
    chase.link(words, ring)
    state[0] = words.ctypes.data + 64 * ring[0]
    text, step = device.chase(80)
    for laps in (1, 2, 3):
        error, traffic = host.run(Source(text, (), (step.entry,)), [step], arrays)
        assert error == ""
        assert state.tolist() == [words.ctypes.data + 64 * ring[80 * laps % 64], 0, 0]
        assert (traffic["words"].read, traffic["words"].read_once, traffic["words"].written) == (80 * 8, 64 * 8, 0)


@pytest.mark.parametrize(("tiles", "passes"), [(1, 5), (3, 4), (8, 3), (9, 1)])
def test_passes_read_every_tile(host: Host, tiles: int, passes: int) -> None:
    """They read as many bytes as they count, from all of the array, and their sums are what the host expects."""
    arrays = allocate({"a": (tiles * TILE, "float64"), "partials": (blocks(1), "float64")})
    arrays["a"][:] = np.random.default_rng(1).random(tiles * TILE)
    text, step = device.passes(tiles, passes, sm_count=1)
    error, traffic = host.run(Source(text, (), (step.entry,)), [step], arrays)
    assert error == ""
    assert traffic["a"].read == passes * arrays["a"].nbytes
    expected = expected_sum(arrays["a"].reshape(tiles, -1).sum(axis=1), passes, 1)
    assert arrays["partials"].sum() == pytest.approx(expected, rel=1e-12)
    assert traffic["a"].read_once == arrays["a"].nbytes or passes == 1


@given(st.integers(1, 5000), st.integers(1, 200))
def test_a_block_comes_past_every_tile(tiles: int, sm_count: int) -> None:
    """So that no multiprocessor keeps a part of the array in a cache of its own; neighbours read other tiles."""
    step, grid = _step(tiles, blocks(sm_count)), blocks(sm_count)
    assert tiles == 1 or len({k * step % tiles for k in range(tiles)}) == tiles
    first = {b % tiles for b in range(grid)}
    second = {(b + step) % tiles for b in range(grid)}
    assert tiles < 4 * grid or not first & second


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_chase_is_dependent_loads_alone(arch: int) -> None:
    """Sixteen loads of 8 bytes in the loop, each at the address that the one before brought, served by any cache.

    A load that is STRONG may pass by L1.
    """
    text, step = device.chase(16)
    function = cubin.disassembled(text, (), arch)[step.entry]
    loads = [i for i in function.instructions if re.search(r"\bLDG\.E\.64", i)]
    pairs = [re.search(r"LDG\S* R(\d+), .*\[R(\d+)", i) for i in loads]
    dependent = sum(a is not None and b is not None and a[1] == b[2] for a, b in pairwise(pairs))
    assert len(loads) >= 16 and dependent >= 15 and function.stack == function.local == 0
    assert not any(re.search(r"\bLDG\S*(STRONG|\.NA|\.EF)", i) for i in loads[-16:])
    assert sum("SR_CLOCKLO" in i for i in function.instructions) == 2


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_passes_load_wide_and_early(arch: int) -> None:
    """Four loads of 16 bytes stand before the first sum, in a loop that is not unrolled, and nothing spills."""
    text, step = device.passes(4, 1, sm_count=1)
    function = cubin.disassembled(text, (), arch)[step.entry]
    loads = [k for k, i in enumerate(function.instructions) if re.search(r"\bLDG\.E\.128", i)]
    sums = [k for k, i in enumerate(function.instructions) if "DADD" in i]
    assert len(loads) == 4 and function.stack == function.local == 0
    assert max(loads) < min(k for k in sums if k > min(loads))
