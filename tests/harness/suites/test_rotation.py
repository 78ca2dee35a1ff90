"""Small sets rotate, so that memory is measured and not the cache; what rotates has room and is the same for all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.device.memory import MemoryBudget
from bandmark.judge.warnings import DRAM_FROM
from bandmark.models.matrices import Matrix
from bandmark.suites.rotation import MOST_COPIES, MOST_LAYER_COPIES, ROTATE_OVER, copies_for, group_copies
from bandmark_kernels import KERNELS, Shape
from fakes import FAKE_GPU, FakeBackend, make_group

MIB = 2**20


@pytest.mark.parametrize(
    ("set_bytes", "llc_bytes", "room_bytes", "copies"),
    [
        (4 * MIB, MIB, 2**30, 1),
        (4 * MIB - 1, MIB, 2**30, 3),
        (MIB // 8, MIB, 2**30, 41),
        (1000, MIB, 2**30, MOST_COPIES),
        (MIB // 8, MIB, MIB, 8),
        (MIB // 8, MIB, 0, 1),
        (1000, None, 2**30, 1),
    ],
)
def test_how_many(set_bytes: int, llc_bytes: int | None, room_bytes: int, copies: int) -> None:
    """Five caches and a set, at most 64 sets and what has room; one set where the cache is small or unknown."""
    assert copies_for(set_bytes, llc_bytes, room_bytes) == copies


@given(set_bytes=st.integers(1, 2**36), llc=st.integers(0, 2**28), room=st.integers(0, 2**36))
def test_enough_and_not_too_much(set_bytes: int, llc: int, room: int) -> None:
    """Where neither room nor number bounds it, what lies between two uses of a set fills five caches."""
    copies = copies_for(set_bytes, llc, room)
    assert copies == 1 or copies * set_bytes <= room
    bounded = copies == MOST_COPIES or (copies + 1) * set_bytes > room
    assert set_bytes >= DRAM_FROM * llc or bounded or (copies - 1) * set_bytes >= ROTATE_OVER * llc


def test_a_group_shares_the_room() -> None:
    """Each of two cases takes half of it; a case that can't run takes none."""
    room = MemoryBudget(960_000, 960_000, "pretend")
    device = replace(FAKE_GPU, llc_bytes=10**6)
    one, two = (FakeBackend(name=name, device=device, room=room) for name in ("one", "two"))
    none = FakeBackend(name="none", device=device, room=room, unsupported={"copy": "no"})
    assert group_copies(make_group("copy", [one]).cases) == 20
    assert group_copies(make_group("copy", [one, two]).cases) == 10
    assert group_copies(make_group("copy", [one, none]).cases) == 20
    assert group_copies(make_group("copy", [none]).cases) == 1
    torch = FakeBackend(name="torch", device=device, room=room)
    anew = replace(KERNELS["copy"], torch=replace(KERNELS["copy"].torch, lays_out=True))
    assert group_copies([replace(case, kernel=anew) for case in make_group("copy", [torch]).cases]) == 10


def test_on_a_cpu_a_models_matrices_rotate() -> None:
    """Libraries on a CPU work on one set of what has a size; of a model's matrix they share as many as memory needs."""
    room = MemoryBudget(10**8, 10**8, "pretend")
    one, two = (FakeBackend(name=n, threads=2, device=replace(FAKE_GPU, llc_bytes=10**6), room=room) for n in "ab")
    plain = make_group("gemv", [one, two])
    assert group_copies(plain.cases) == 1
    qkv = Matrix("m", "qkv", 50, 60, 3)
    layer = [replace(case, layer=qkv) for case in plain.cases]
    set_bytes = plain.kernel.working_set(plain.shape, plain.dtype)
    assert group_copies(layer) == -(-ROTATE_OVER * 10**6 // set_bytes) + 1 > MOST_COPIES
    narrow = [replace(case, backend=replace(one, room=MemoryBudget(10 * set_bytes, 0, ""))) for case in layer]
    assert group_copies(narrow) == 10
    tiny = [replace(case, shape=Shape(1, m=1)) for case in layer]
    assert group_copies(tiny) == MOST_LAYER_COPIES
