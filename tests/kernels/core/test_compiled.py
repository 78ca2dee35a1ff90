"""What is compiled: loops over elements in both modes of stores, and where machine code is kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bandmark_kernels import KERNELS
from bandmark_kernels.core import compiled
from bandmark_kernels.core.compiled import MODES, compile_body, mapped
from bandmark_kernels.core.elements import load
from bandmark_kernels.core.intrinsics import LINE_BYTES


def _add(i: Any, operands: Any) -> Any:
    x, number = operands
    return load(x, i) + number


@pytest.mark.parametrize("dtype", ["float64", "float16"])
@pytest.mark.parametrize("mode", MODES)
def test_every_length_at_every_alignment(mode: str, dtype: str) -> None:
    """An output is written to its last element, and nothing beside it, wherever it starts and ends in a cache line."""
    element, bind = np.dtype(dtype), mapped(_add, "y", "x", "s").modes[mode]
    around = LINE_BYTES // element.itemsize
    sizes = [0, 1, around - 1, around, 2 * around - 1, 2 * around + 1, 9 * around + 5]
    for size in sizes:
        for offset in range(0, around, 3):
            room = np.full(size + 3 * around, -1, element)
            y, x = room[around + offset :][:size], np.arange(size).astype(element)
            bind(y=y, x=x, s=np.float64(1) if dtype == "float64" else np.float32(1))()
            assert np.array_equal(y, x + 1), (size, offset)
            assert (room[: around + offset] == -1).all() and (room[around + offset + size :] == -1).all()


def test_stores_go_past_the_cache_in_one_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code of mode nt has non-temporal stores, that of the other mode none; both are vectorized."""
    monkeypatch.setattr(compiled, "_cache_folder", lambda: None)  # code that was kept can't be looked at
    compiled.compile_body.cache_clear()
    compiled._loop.cache_clear()
    kernel, arrays = KERNELS["add"], {name: np.ones(4096) for name in "abc"}
    launches: dict[str, Any] = {m: b(**arrays) for m, b in kernel.implementations["numba"].modes.items()}
    texts = {m: " ".join(launch.func.inspect_llvm().values()) for m, launch in launches.items()}
    assert "!nontemporal" in texts["nt"] and "!nontemporal" not in texts["normal"]
    assert all("x double>" in text for text in texts.values())


@pytest.fixture
def fresh() -> Iterator[None]:
    """Forget where the cache is, before and after."""
    compiled._cache_folder.cache_clear()
    yield
    compiled._cache_folder.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_machine_code_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in the user's cache, in a folder named after the sources, whose path may have spaces."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a b"))
    function = compile_body.__wrapped__(_add)
    function(0, (np.ones(1), 1.0))
    (folder,) = (tmp_path / "a b" / "bandmark").iterdir()
    assert list(folder.rglob("*.nbc"))


@pytest.mark.usefixtures("fresh")
def test_without_a_writable_cache_it_is_compiled_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that can't be made costs time, and nothing else."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert compile_body.__wrapped__(_add)(0, (np.ones(1), 1.0)) == 2
    assert os.listdir(tmp_path) == ["file"]
