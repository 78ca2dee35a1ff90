"""bandmark list: the kernel table, the suites and the state of the libraries."""

from __future__ import annotations

import json
import re
import sys
from types import SimpleNamespace

import numba
import numpy as np
import pytest
import torch

from bandmark.backends.discovery import BACKENDS, Accelerator, Discovery
from bandmark.cli import list as listing
from bandmark.cli.app import main
from bandmark.suites import SUITES, registered
from bandmark_kernels import DTYPES, KERNELS
from fakes import FAKE_GPU
from toy_suite import Chase


def test_every_kernel_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Name, formula, words read and written; the dtypes; and a line per library."""
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for kernel in KERNELS.values():
        assert f"{kernel.name:14}{kernel.formula}" in out
    assert "2+1" in out and "and n read, m written" in out and "in bfloat16: 14 + 14 bytes" in out
    assert "32 query heads over 8 KV heads of 128" in out
    assert "run by name only (--kernel): adamw, adamw_master, kv\n" in out
    assert ", v16-bulk (copy), v8 (write), v16-prefetch (kv)\n" in out
    for dtype in DTYPES.values():
        assert f"{dtype.name} ({dtype.itemsize} bytes)" in out
    for name in BACKENDS:
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
    assert triad["cuda_variants"] == ["v16", "v32", "v16-stream", "v32-stream", "v16-gridstride"]
    assert set(listed["backends"]) == {"numpy", "numba", "torch", "cupy"}
    assert listed["backends"]["numpy"] == {"state": "installed"}


def test_every_suite_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Each suite that --suite takes has its name and what it measures, also one that is added."""
    with registered(Chase()):
        assert main(["list"]) == 0
        out = capsys.readouterr().out
        assert main(["list", "--json"]) == 0
        listed = json.loads(capsys.readouterr().out)
        assert listed["suites"] == {name: suite.title for name, suite in SUITES.items()}
        for name, suite in SUITES.items():
            assert re.search(rf"^suite {name} +{re.escape(suite.title)}$", out, re.MULTILINE)
    assert "toy" in listed["suites"]


def test_a_missing_library_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is not installed comes with its install command."""
    monkeypatch.setattr(listing, "is_installed", lambda name: False)
    assert main(["list"]) == 0
    assert "\ncupy   not installed: `pip install 'cupy-cuda13x[ctk]'`" in capsys.readouterr().out


def probed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], found: Discovery) -> dict[str, str]:
    """What `list --probe` says of each backend where a discovery of any of them finds this."""
    monkeypatch.setattr(listing, "discover", lambda names: found)
    assert main(["list", "--probe", "--json"]) == 0
    return {name: entry["state"] for name, entry in json.loads(capsys.readouterr().out)["backends"].items()}


def test_probe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A probe says the version and the devices, or the problem; torch without an accelerator still has the CPU."""
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(__version__="14.1"))
    found = Discovery(problems={"cupy": "CuPy 14.1 finds no CUDA device"}, modules=dict.fromkeys(BACKENDS))
    assert probed(monkeypatch, capsys, found) == {
        "numpy": f"{np.__version__} on the CPU",
        "numba": f"{numba.__version__} on the CPU",
        "torch": f"{torch.__version__} on the CPU",
        "cupy": "CuPy 14.1 finds no CUDA device",
    }
    found.accelerators = [Accelerator("cuda:0", FAKE_GPU, ("cupy", "torch"))]
    states = probed(monkeypatch, capsys, found)
    assert states["torch"].endswith("on the CPU, cuda:0 Fake GPU, 1 kB")
    assert states["cupy"] == "14.1 on cuda:0 Fake GPU, 1 kB"


def test_probe_of_broken_libraries(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A library that can't be imported has its problem and no place."""
    problem = "torch is installed but can't be imported (OSError: no)"
    assert probed(monkeypatch, capsys, Discovery(problems=dict.fromkeys(BACKENDS, problem))) == dict.fromkeys(
        BACKENDS, problem
    )
