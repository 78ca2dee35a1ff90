"""Chases, passes and accesses of a CUDA device, executed on the CPU and compiled for devices."""

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
from listing import load_runs

from bandmark_kernels.core.compiled import compile_body
from bandmark_kernels.memory import bodies, chase, device
from bandmark_kernels.memory.device import TILE, _step, blocks, expected_sum, expected_sums
from bandmark_kernels.memory.passes import PASSES, block
from bandmark_kernels.memory.places import Pattern, is_right, progress_after

ARCHITECTURES = (80, 86, 89, 90, 100, 103, 120, 121)


@pytest.fixture(scope="module")
def host() -> Host:
    """What runs the kernels."""
    return Host()


def ring_of_64(**more: tuple[int, str]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the arrays of a chase through 64 lines, others beside them, and the order of the ring."""
    arrays = allocate({"words": (64 * 8, "uint64"), "state": (3, "uint64"), **more})
    ring = chase.order(64, "random-2m", seed=1)
    chase.link(arrays["words"], ring)
    arrays["state"][0] = arrays["words"].ctypes.data + 64 * ring[0]
    return arrays, ring


def test_a_chase_goes_round(host: Host) -> None:
    """It ends where as many loads lead as it is given, and goes on from there; each line is read once a lap."""
    arrays, ring = ring_of_64()
    words, state = arrays["words"], arrays["state"]
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


GRID, TILES = 3, 8


def loaded(host: Host, changes: tuple[tuple[str, str], ...] = ()) -> tuple[list[str], list[int], dict[str, int]]:
    """Run a chase of 80 hops beside two blocks that read, with a text that was changed.

    Return what is wrong, the tiles that each block counts, and the bytes that were read of each array.
    """
    sizes = {"a": (TILES * TILE, "float64"), "partials": (GRID, "float64")}
    arrays, ring = ring_of_64(**sizes, counts=(GRID, "uint64"), control=(2, "uint64"))
    for name in ("partials", "counts", "control"):
        arrays[name][:] = 0
    [arrays["a"][:]] = block(PASSES["read"], TILES * TILE, np.zeros(TILES * TILE * 8, np.uint8), seed=1)
    text, step = device.loaded_chase(80, TILES, pause=0, grid=GRID)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    error, traffic = host.run(Source(text, ("-w",) if changes else (), (step.entry,)), [step], arrays)
    expected = expected_sums(arrays["a"].reshape(TILES, -1).sum(axis=1), arrays["counts"])
    checks = {
        "chase": arrays["state"][0] == arrays["words"].ctypes.data + 64 * ring[80 % 64],
        "sums": np.allclose(arrays["partials"], expected, rtol=1e-12),
        "bytes": traffic["a"].read == arrays["counts"].sum() * TILE * 8,
        "end": arrays["control"].tolist() == [1, 1],
    }
    wrong = ([error] if error else []) + [name for name, right in checks.items() if not right]
    return wrong, arrays["counts"].tolist(), {name: t.read for name, t in traffic.items()}


FIVE = ("!stop[count % 2]", "count < 5")
"""Blocks run one after the other here, so that the chase has ended when the load begins: it reads five tiles then."""


def test_a_load_ends_with_the_chase(host: Host) -> None:
    """The chase makes its hops; a block that finds it ended has read a tile, and none on the chase's multiprocessor."""
    of_control = 2 * 2 * 8  # two blocks look at two words
    moved = {"words": 640, "state": 8, "a": 2 * TILE * 8, "partials": 0, "counts": 0, "control": of_control}
    assert loaded(host) == ([], [0, 1, 1], moved)
    shared = (("1ull + blockIdx.x", "1ull + blockIdx.x / 2"),)
    assert loaded(host, shared)[:2] == ([], [0, 0, 1])


def test_a_load_counts_what_it_reads(host: Host) -> None:
    """Tile after tile, each block from another one on, in the order that the host expects."""
    assert loaded(host, (FIVE,))[:2] == ([], [0, 5, 5])


@pytest.mark.parametrize(
    ("change", "finds"),
    [
        (("k += 16", "k += 32"), "chase"),
        (("i < 16; ++i", "i < 15; ++i"), "chase"),
        (("++count;", "count += 2;"), "sums"),
        (("tile += step;", ""), "sums"),
        (("u < PASS_UNROLL; ++u) x[u] = ", "u < PASS_UNROLL; ++u) x[u] = u ? x[0] : "), "bytes"),
        (("tile(blockIdx.x % tiles)", "tile(blockIdx.x % tiles + tiles - 1)"), "out of bounds"),
        (("stop[count % 2] = has_ended", "stop[0] = has_ended"), "race"),
        (("tell(control, 1);", ""), "end"),
    ],
)
def test_a_broken_chase_or_load_is_found(host: Host, change: tuple[str, str], finds: str) -> None:
    """Hops that are left out, tiles that are counted and not read, and flags without a barrier are each named."""
    wrong, _, _ = loaded(host, (change,) if finds == "race" else (FIVE, change))
    assert any(finds in text for text in wrong), wrong


PATTERNS = (
    *(Pattern("read", step) for step in (1, 2, 8, 64)),
    *(Pattern(kernel, granule) for kernel in ("gather", "scatter") for granule in (4, 8, 16, 128)),
)


def accessed(host: Host, pattern: Pattern, launches: int = 1, change: tuple[str, str] = ("", "")) -> tuple[str, int]:
    """Run accesses to 64 KiB behind three launches, with a text that was changed.

    Return what is wrong, or an empty string, and the sum of all that was read.
    """
    size = 2**16
    arrays = allocate({"words": (size // pattern.itemsize, f"uint{8 * pattern.itemsize}"), "partials": (4, "uint64")})
    words = arrays["words"]
    words[:] = np.random.default_rng(1).integers(2**32, size=len(words))
    before = progress_after(pattern, size, np.zeros(2, np.uint64), 3)
    text, step = device.accesses(pattern, size, before, launches, sm_count=1)
    assert change[0] in text
    options = ("-w",) if change[0] else ()
    values = arrays if not pattern.writes else {"words": words}
    error, traffic = host.run(Source(text.replace(*change), options, (step.entry,)), [step], values)
    after = progress_after(pattern, size, before, launches)
    total = np.uint64(0) if pattern.writes else arrays["partials"].sum()
    moved = traffic["words"].written if pattern.writes else traffic["words"].read
    if not error and moved != pattern.accesses(size) * pattern.granule * launches:
        error = f"bytes: {moved}"
    if not error and launches == 1 and not is_right(pattern, words, before, after + np.array([0, total], np.uint64)):
        error = "wrong"
    return error, int(total)


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_accesses_visit_their_places(host: Host, pattern: Pattern) -> None:
    """They move exactly the bytes that they use, at the places that are next, whatever the threads' number."""
    assert accessed(host, pattern)[0] == ""


@pytest.mark.parametrize("pattern", [pattern for pattern in PATTERNS if not pattern.writes], ids=str)
def test_a_launch_does_the_work_of_many(host: Host, pattern: Pattern) -> None:
    """A launch of two reads what the next launch reads, and then what the one behind it reads."""
    error, total = accessed(host, pattern, launches=2)
    words = np.random.default_rng(1).integers(2**32, size=2**16 // pattern.itemsize).astype(f"u{pattern.itemsize}")
    assert (error, total) == ("", expected_total(pattern, words, launches=2))


def expected_total(pattern: Pattern, words: np.ndarray, launches: int) -> int:
    """Return the sum of what launches behind the third read, one by one, by the compiled loop of a CPU."""
    body = compile_body(bodies.strided if pattern.kernel == "read" else bodies.gather)
    progress = np.zeros(2, np.uint64)
    for launch in range(3 + launches):
        if launch == 3:
            progress[1] = 0
        body(words, progress, *pattern.arguments(words.nbytes))
    return int(progress[1])


@pytest.mark.parametrize(
    ("kernel", "step", "change"),
    [
        ("read", 8, ("i < end; i += step", "i + 1 < end; i += step")),
        ("gather", 4, ("(PLACES_UNROLL - 1) * step < end", "0 * step < end")),
        ("read", 1, ("sum += x[u];", "sum += x[0];")),
        ("read", 8, ("8 * (launch +", "8 * (1 + launch +")),
        ("read", 64, ("first + ((i", "0 * first + ((i")),
        ("gather", 8, ("i < end; i += step", "i + 1 < end; i += step")),
        ("gather", 16, (" + lane;", ";")),
        ("gather", 8, ("low ^ low >> shift", "low")),
        ("gather", 8, ("const u64 low = state & mask", "const u64 low = state & (2 * mask + 1)")),
        ("gather", 8, ("visit + 1)", "visit)")),
        ("scatter", 8, ("i < visits; i +=", "i + 1 < visits; i +=")),
        ("scatter", 128, ("i < visits; i +=", "i + 1 < visits; i +=")),
        ("scatter", 8, ("number + i + 1", "number + i")),
        ("scatter", 128, (" + lane;", " + lane % 8;")),
        ("scatter", 8, ("threads() >> log_width)), visit", "(threads() >> log_width) + 1)), visit")),
        ("read", 1, ("sum += all[t];", "sum += all[t - 1];")),
    ],
)
def test_a_broken_access_is_found(host: Host, kernel: str, step: int, change: tuple[str, str]) -> None:
    """A tail that is missed, places in another order, halves of granules and sums that lack a thread are found."""
    assert accessed(host, Pattern(kernel, step), change=change)[0] != ""


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


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_load_looks_for_the_end_while_its_tile_is_under_way(arch: int) -> None:
    """Four loads of 16 bytes stand before the look at the flag, which is behind all caches; nothing spills."""
    text, step = device.loaded_chase(16, 4, 0, 2)
    function = cubin.disassembled(text, (), arch)[step.entry]
    wide = [k for k, i in enumerate(function.instructions) if re.search(r"\bLDG\.E\.128", i)]
    looks = [k for k, i in enumerate(function.instructions) if re.search(r"\bLDG\S*STRONG\.GPU", i)]
    sums = [k for k, i in enumerate(function.instructions) if "DADD" in i]
    assert len(wide) == 4 and function.stack == function.local == 0
    assert min(k for k in looks if k > min(wide)) > max(wide)
    assert max(wide) < min(k for k in sums if k > min(wide))


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("pattern", [Pattern("read", 8), Pattern("gather", 4), Pattern("gather", 8)], ids=str)
def test_accesses_have_eight_loads_under_way(arch: int, pattern: Pattern) -> None:
    """Eight loads of an element stand before the first sum, and nothing spills; nor does the scatter."""
    text, step = device.accesses(pattern, 2**16, np.zeros(2, np.uint64), 1, sm_count=1)
    functions = cubin.disassembled(text, (), arch)
    assert all(function.stack == function.local == 0 for function in functions.values())
    listing = functions[step.entry].instructions
    runs = [len(run) for run in load_runs(listing, r"CONSTANT\b")]
    assert max(runs) == 8
