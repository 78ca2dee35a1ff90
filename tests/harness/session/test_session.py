"""From options to a run: defaults for the machine, refusals with what is accepted, and the run record."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bandmark.backends.select import Selection
from bandmark.device.dimms import DimmReading
from bandmark.device.memory import MemoryBudget
from bandmark.errors import UsageError
from bandmark.models.matrices import Matrix
from bandmark.results.row import SCHEMA
from bandmark.session import session as request_module
from bandmark.session.rows import Outcome, assemble
from bandmark.session.runner import Measured
from bandmark.session.session import (
    QUICK_MATRIX_S,
    QUICK_RULE,
    QUICK_TIME_LIMIT_S,
    TIME_LIMIT_S,
    Request,
    Session,
    open_session,
    system_name,
)
from bandmark_kernels import CACHES, KERNELS, PACKED
from bandmark_kernels.core.kernel import Attention
from fakes import FAKE_GPU, PLENTY, FakeBackend, VirtualClock, make_context, make_machine

MISSING = Matrix("none", "none", 1, 1, 1)

SMALL = MemoryBudget(60_000, 600_000, "a little is free")


class Here:
    """A pretend machine that open_session finds: its backends, its address and its notes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = VirtualClock()
        self.backend = FakeBackend(clock=self.clock, room=SMALL, gbs=0.02)
        self.address = "cuda:0"
        self.machine = make_machine()
        self.asked: dict[str, Any] = {}
        monkeypatch.setattr(request_module, "read_machine", lambda: self.machine)
        monkeypatch.setattr(request_module, "read_dimms", lambda: self.firmware)
        monkeypatch.setattr(request_module, "select", self.select)

    firmware = DimmReading(
        peak_gbs=None, arithmetic="", memory_type=None, modules=(), explanation="The firmware does not tell."
    )

    def select(self, machine: Any, **asked: Any) -> Selection:
        """Stand in for bandmark.backends.select."""
        self.asked = asked
        return Selection(self.address, self.backend.device, [self.backend], ["a note of the choice"])


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Here:
    """A pretend GPU without a published peak."""
    return Here(monkeypatch)


def groups(session: Session) -> list[tuple[str, str]]:
    """Kernel and dtype of each group."""
    return [(g.kernel.name, g.dtype.name) for g in session.groups]


ALL = ["copy", "scale", "add", "triad", "nstream", "dot", "read", "write", "gemv", "gemv_t"]


@pytest.mark.parametrize(
    ("address", "quick", "dtypes"),
    [
        ("cpu", False, ["float64", "float32"]),
        ("cuda:0", False, ["float32", "float16"]),
        ("cpu", True, ["float64"]),
        ("cuda:0", True, ["float32"]),
    ],
)
def test_defaults(here: Here, address: str, quick: bool, dtypes: list[str]) -> None:
    """All kernels but those to be named, and the dtypes people use on such a device; --quick takes the first alone."""
    here.address = address
    session = open_session(Request(quick=quick))
    assert groups(session) == [(k, d) for k in ALL for d in dtypes]


def test_all_kernels_are_run_where_all_is_asked_for(here: Here) -> None:
    """With "all" come the kernels that a plain run leaves out, each in its own dtype where it has but one."""
    found = groups(open_session(Request(kernels=("all",), dtypes=("float16",))))
    assert [kernel for kernel, _ in found] == [*KERNELS, *("kv" for _ in CACHES)]
    assert dict(found)["adamw"] == "float32" and dict(found)["adamw_master"] == "bfloat16"


@pytest.mark.parametrize(
    ("kernel", "dtypes", "told"),
    [
        ("adamw", None, False),
        ("adamw", ("float32", "float64"), False),
        ("adamw", ("float64",), True),
        ("adamw_master", ("float32",), True),
        ("kv", None, False),
        ("kv", ("float64",), True),
        ("copy", ("float64",), False),
    ],
)
def test_a_dtype_that_does_not_apply_is_told(
    here: Here, kernel: str, dtypes: tuple[str, ...] | None, told: bool
) -> None:
    """Where no dtype asked for is one of the kernel's, a note says in which it runs."""
    notes = open_session(Request(kernels=(kernel,), dtypes=dtypes)).notes
    assert any(note.startswith(f"{kernel} runs in ") for note in notes) == told


def test_attention_runs_in_every_format_of_a_cache(here: Here) -> None:
    """Kv comes with a cache in the dtypes asked for that it has, and in fp8; --heads are for both."""
    session = open_session(Request(kernels=("kv",), dtypes=("bfloat16",), heads=(14, 2, 64)))
    forms = [(g.kernel.weight_format, g.dtype.name, g.kernel.attention) for g in session.groups]
    assert forms == [
        (None, "bfloat16", Attention(14, 2, 64)),
        ("fp8", "float16", Attention(14, 2, 64, "fp8")),
    ]
    assert {g.shape.n for g in session.groups} == {128}
    assert session.groups[1].cases[0].identity == {"weight_format": "fp8", "n": 128, "heads": 14, "head_dim": 64}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernels": ("copy",), "heads": (32, 8, 128)}, "--heads is for kv"),
        ({"heads": (32, 8, 128)}, "--heads is for kv"),
        ({"kernels": ("kv",), "heads": (32, 8, 100)}, "--heads 32,8,100: heads of 100 elements: there are kernels for"),
        ({"kernels": ("kv",), "heads": (3, 2, 64)}, "3 query heads over 2 KV heads"),
    ],
)
def test_heads_that_are_refused(here: Here, options: dict[str, Any], message: str) -> None:
    """Heads without attention, or for which there is no kernel, are bad usage, and the message says what there is."""
    with pytest.raises(UsageError, match=message):
        open_session(Request(**options))


def test_names_are_run_in_the_tables_order(here: Here) -> None:
    """The order of the options, and repetition, do not matter."""
    session = open_session(Request(kernels=("triad", "copy", "triad"), dtypes=("bfloat16", "float64")))
    assert groups(session) == [("copy", "float64"), ("copy", "bfloat16"), ("triad", "float64"), ("triad", "bfloat16")]


def test_options_reach_the_choice_of_backends(here: Here) -> None:
    """Backend names, the device and the threads are passed on as given."""
    open_session(Request(backends=("torch",), device="cuda:1", threads=3))
    assert here.asked == {"names": ("torch",), "address": "cuda:1", "threads": 3}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernels": ("tirad",)}, "unknown kernel 'tirad'. Did you mean 'triad'? Choose from copy, scale"),
        ({"dtypes": ("float46",)}, "unknown dtype 'float46'. Did you mean 'float64'?"),
        ({"data": "ones"}, "unknown data 'ones'"),
        ({"peak": "fast"}, "--peak 'fast' is not a peak"),
        ({"seed": -1}, "--seed -1 is not a seed"),
        ({"time_limit_s": 0.0}, "--time-limit 0 must be a positive number"),
        ({"time_limit_s": -3.0}, "--time-limit -3 must be a positive number"),
        ({"time_limit_s": float("inf")}, "--time-limit inf must be a positive number"),
        ({"time_limit_s": float("nan")}, "--time-limit nan must be a positive number"),
        ({"system": "My Laptop"}, "--system 'My Laptop': take lower-case letters, digits and hyphens"),
        ({"system": "-x"}, "--system '-x'"),
        ({"system": "../x"}, "--system '../x'"),
        ({"system": ""}, "--system ''"),
        ({"weights": ("nvfp",)}, "unknown weight format 'nvfp'. Did you mean 'nvfp4'? Choose from fp16"),
        ({"weights": ("int4",), "kernels": ("copy",)}, "--weights is for gemv"),
    ],
)
def test_what_is_refused(here: Here, options: dict[str, Any], message: str) -> None:
    """Each wrong option is named with what it takes, before any library is loaded."""
    with pytest.raises(UsageError) as refused:
        open_session(Request(**options))
    assert str(refused.value).startswith(message)
    assert here.asked == {}


def test_a_size_that_does_not_fit_lets_the_backends_go(here: Here) -> None:
    """A refusal after the backends were opened closes them."""
    with pytest.raises(UsageError, match="a little is free"):
        open_session(Request(size_bytes=10**9))
    assert here.backend.closed


def test_a_size_asked_for_is_the_size_run(here: Here) -> None:
    """--size is rounded to whole elements."""
    session = open_session(Request(kernels=("copy",), dtypes=("float64",), size_bytes=1001))
    assert session.groups[0].shape.n == 125


def test_notes_say_what_spoils_the_figures(here: Here) -> None:
    """The choice of the device, the machine's troubles, an unknown peak and what --quick gives up, in this order."""
    here.machine = make_machine(governor="powersave")
    notes = open_session(Request(quick=True)).notes
    assert notes[0] == "a note of the choice"
    assert "powersave" in notes[1]
    assert "not in the catalogue" in notes[2] and "--peak GBS" in notes[2]
    assert notes[3].startswith("--quick")
    assert len(open_session(Request(peak="100")).notes) == 2


def test_a_cpus_peak_comes_from_its_firmware(here: Here) -> None:
    """On a CPU the memory modules are asked, on a GPU they are not."""
    known = DimmReading(
        peak_gbs=76.8, arithmetic="2 x 4800 x 8", memory_type="DDR5", modules=(), explanation="Two modules."
    )
    here.firmware = known
    here.backend.device = here.machine.as_device()
    here.address = "cpu"
    assert open_session(Request()).peak.gbs == 76.8
    here.backend.device, here.address = FAKE_GPU, "cuda:0"
    assert open_session(Request()).peak.gbs is None


@pytest.mark.parametrize(
    ("name", "system"),
    [
        ("NVIDIA GB10", "nvidia-gb10"),
        ("Intel(R) Xeon(R) Platinum 8480+", "intel-xeon-platinum-8480"),
        ("AMD EPYC 9654: 96-Core Processor", "amd-epyc-9654-96-core-processor"),
        ("Intel(R) Core(TM) i9-13900K", "intel-core-i9-13900k"),
        ("®", "unknown"),
    ],
)
def test_system_names(name: str, system: str) -> None:
    """A device's name becomes lower-case letters, digits and hyphens."""
    assert system_name(name) == system


def test_the_system_is_named_by_hand_or_by_its_row(here: Here) -> None:
    """--system goes first, then the catalogue's name for the device, then the device's own."""
    assert open_session(Request(system="my-box")).system == "my-box"
    assert open_session(Request()).system == "fake-gpu-1-kb"
    here.backend.device = replace(FAKE_GPU, name="NVIDIA GB10", memory_bytes=128 * 10**9, integrated=True)
    assert open_session(Request()).system == "dgx-spark-gb10"


def test_a_session_measures_within_the_time_asked_for(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule, the limit, the seed and the data are those of the request; the backends are closed at the end."""
    seen: list[Any] = []

    def fake_run(groups: Any, context: Any, procedure: Any, **calls: Any) -> Measured:
        seen.append(procedure)
        return Measured()

    monkeypatch.setattr(request_module, "run_groups", fake_run)
    for options in ({}, {"quick": True}, {"time_limit_s": 5.0, "seed": 7, "data": "zeros"}):
        session = open_session(Request(**options))
        here.backend.closed = False
        session.measure(progress=lambda done, total, group: None, save=lambda measured: None)
        assert here.backend.closed
    assert [p.time_limit_s for p in seen] == [90.0, 12.0, 5.0]
    assert seen[1].rule == QUICK_RULE and seen[0].rule.min_time_s == 0.5
    assert (seen[2].seed, seen[2].data) == (7, "zeros")


def test_the_run_record(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings, versions, machine, device, peak, notes and every raw sample; complete when every group has rows."""
    real = request_module.run_groups

    def on_virtual_clock(groups: Any, context: Any, procedure: Any, **calls: Any) -> Measured:
        return real(groups, context, replace(procedure, clock=here.clock), **calls)

    monkeypatch.setattr(request_module, "run_groups", on_virtual_clock)
    session = open_session(Request(kernels=("copy", "dot"), dtypes=("float32",), size_bytes=4000, peak="0.03"))
    measured = session.measure(progress=lambda done, total, group: None, save=lambda measured: None)
    record = json.loads(json.dumps(session.record(measured), allow_nan=False))
    assert (record["schema"], record["run_id"], record["system"]) == (SCHEMA, session.run_id, "fake-gpu-1-kb")
    for name in ("started_utc", "finished_utc"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record[name])
    assert record["settings"]["kernels"] == ["copy", "dot"] and record["settings"]["size_bytes"] == 4000
    assert record["machine"]["cpu_model_name"] == "Fake CPU @ 3 GHz"
    assert record["device"]["name"] == "Fake GPU, 1 kB"
    assert record["backends"] == {"fake": {"version": "1.2.3", "driver": "999.1", "git": "pretend"}}
    assert record["peak"]["gbs"] == 0.03
    assert record["notes"] == session.notes
    assert [len(s["seconds_per_launch"]) for s in record["samples"]] == [row.samples for row in measured.rows]
    assert record["complete"] is True
    assert session.record(Measured(rows=measured.rows[:1]))["complete"] is False


def test_packed_weights_take_the_place_of_the_plain_matrix(here: Here) -> None:
    """With --weights gemv runs once per format, with float32 vectors, and no other kernel changes."""
    some = open_session(Request(kernels=("copy", "gemv"), dtypes=("float64",), weights=("mxfp4", "int8")))
    assert [(g.kernel.label, g.dtype.name) for g in some.groups] == [
        ("copy", "float64"),
        ("gemv int8", "float32"),
        ("gemv mxfp4", "float32"),
    ]
    every = open_session(Request(kernels=("gemv",), weights=("all",)))
    assert [g.kernel.label for g in every.groups] == [f"gemv {name}" for name in PACKED]


def config(folder: Path) -> str:
    """The config.json of a tiny model in a folder called secret-name."""
    own = folder / "secret-name"
    own.mkdir()
    shape = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    (own / "config.json").write_text(json.dumps({**shape, "vocab_size": 1000}))
    return str(own / "config.json")


def test_a_models_matrices(here: Here, tmp_path: Path) -> None:
    """--layer runs gemv alone on them, in one dtype or in the formats asked for; other kernels where they are named."""
    session = open_session(Request(layer=config(tmp_path)))
    assert [(g.cases[0].layer or MISSING).name for g in session.groups] == ["qkv", "o", "gate_up", "down", "lm_head"]
    assert groups(session) == [("gemv", "float16")] * 5
    here.address = "cpu"
    assert set(groups(open_session(Request(layer="llama-3.1-8b")))) == {("gemv", "float32")}
    packed = open_session(Request(layer="llama-3.1-8b", weights=("int8", "fp8"), quick=True))
    assert [g.kernel.label for g in packed.groups] == ["gemv fp8"] * 5 + ["gemv int8"] * 5
    both = open_session(Request(layer="llama-3.1-8b", kernels=("read", "gemv")))
    assert [g.kernel.name for g in both.groups] == ["read", *["gemv"] * 5]


def test_the_record_names_the_model_and_not_its_path(here: Here, tmp_path: Path) -> None:
    """A config.json lies in somebody's folder: settings and rows hold the model's name alone."""
    session = open_session(Request(layer=config(tmp_path)))
    record = session.record(Measured())
    assert record["settings"]["layer"] == "secret-name" and str(tmp_path) not in json.dumps(record)


def test_a_run_of_layers_is_complete_when_every_matrix_has_its_rows(here: Here) -> None:
    """A run cut short between two matrices is not complete."""
    here.backend.room = PLENTY
    session = open_session(Request(layer="llama-3.2-1b", quick=True))
    rows = [assemble(g.cases[0], Outcome(skipped="no time"), make_context()) for g in session.groups]
    assert session.record(Measured(rows=rows))["complete"] is True
    assert session.record(Measured(rows=rows[:-1]))["complete"] is False


def test_each_matrix_has_its_time(here: Here) -> None:
    """The limit that is not asked for grows with the matrices that run; one that is asked for is kept."""
    here.backend.room = PLENTY
    assert open_session(Request()).time_limit_s == TIME_LIMIT_S
    assert open_session(Request(quick=True)).time_limit_s == QUICK_TIME_LIMIT_S
    many = Request(layer="llama-3.2-1b", weights=tuple(PACKED), quick=True)
    runnable = sum(bool(group.runnable) for group in open_session(many).groups)
    assert runnable > QUICK_TIME_LIMIT_S / QUICK_MATRIX_S
    assert open_session(many).time_limit_s == QUICK_MATRIX_S * runnable
    here.backend.unsupported = {"gemv": "no"}
    assert open_session(many).time_limit_s == QUICK_TIME_LIMIT_S


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "llama-3.1-8"}, "Did you mean 'llama-3.1-8b'"),
        ({"layer": "llama-3.1-8b", "size_bytes": 100}, "leave --size out"),
        ({"layer": "llama-3.1-8b", "kernels": ("triad",)}, "--layer is for gemv"),
    ],
)
def test_layers_that_are_refused(here: Here, options: dict[str, Any], message: str) -> None:
    """An unknown model, a size beside the model's, and kernels that no model's matrix is for."""
    with pytest.raises(UsageError, match=re.escape(message)):
        open_session(Request(**options))
