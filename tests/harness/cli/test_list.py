"""bandmark list: the kernel table and the state of the libraries."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from bandmark.backends import select as backends
from bandmark.backends.select import Accelerator, Discovery
from bandmark.cli import list as listing
from bandmark.cli.main import main
from bandmark_kernels import DTYPES, KERNELS
from fakes import FAKE_GPU


def test_every_kernel_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Name, formula, words read and written; the dtypes; and a line per library."""
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for kernel in KERNELS.values():
        assert f"{kernel.name:14}{kernel.formula}" in out
    assert "2+1" in out and "and n read, m written" in out and "in bfloat16: 14 + 14 bytes" in out
    assert "32 query heads over 8 KV heads of 128" in out
    assert "run by name only (--kernel): adamw, adamw_master, kv\n" in out
    for dtype in DTYPES.values():
        assert f"{dtype.name} ({dtype.itemsize} bytes)" in out
    for name in backends.BACKENDS:
        assert f"\n{name:7}" in out
    assert max(map(len, out.splitlines())) <= 120


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """The same for programs."""
    assert main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [k["name"] for k in listed["kernels"]] == list(KERNELS)
    triad = listed["kernels"][list(KERNELS).index("triad")]
    assert (triad["words_read"], triad["words_written"], triad["flops"]) == (2, 1, 2)
    assert (triad["suite"], triad["dtypes"]) == ("stream", list(DTYPES))
    assert set(listed["backends"]) == {"numpy", "torch", "cupy"}
    assert listed["backends"]["numpy"] == {"state": "installed"}


def test_a_missing_library_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not installed comes with its install command."""
    monkeypatch.setattr(listing, "is_installed", lambda name: False)
    assert listing._installed("cupy")["state"].startswith("not installed: `pip install 'bandmark[cuda13]'`")


def test_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe says the version and the devices, or the problem; torch without an accelerator still has the CPU."""
    import torch

    found = Discovery(problems={"torch": "torch sees no accelerator"})
    monkeypatch.setattr(backends, "discover", lambda names: found)
    assert listing._probe("numpy") == {"state": f"{np.__version__} on the CPU"}
    assert listing._probe("torch") == {"state": f"{torch.__version__} on the CPU"}
    found.problems = {}
    found.accelerators = [Accelerator("cuda:0", FAKE_GPU, ("torch",))]
    assert listing._probe("torch")["state"].endswith("on the CPU, cuda:0 Fake GPU, 1 kB")
    found.problems = {"torch": "torch is installed but can't be imported (OSError: no)"}
    assert listing._probe("torch") == {"state": "torch is installed but can't be imported (OSError: no)"}


def test_probe_of_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    """CuPy runs on its devices alone."""
    found = Discovery(accelerators=[Accelerator("cuda:0", FAKE_GPU, ("cupy",))])
    monkeypatch.setattr(backends, "discover", lambda names: found)
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(__version__="14.1"))
    assert listing._probe("cupy") == {"state": "14.1 on cuda:0 Fake GPU, 1 kB"}
