"""From options to files: defaults for the machine, refusals with what is accepted, and the run record."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bandmark.backends.select import Target
from bandmark.device.memory import MemoryBudget
from bandmark.device.peaks import find_peak
from bandmark.errors import FileError, UsageError
from bandmark.measure.sampling import Schedule
from bandmark.options import RunOptions
from bandmark.results import files as store
from bandmark.results.case import identity_columns
from bandmark.results.files import read_rows
from bandmark.results.row import SCHEMA
from bandmark.session import session as session_module
from bandmark.session.session import (
    _QUICK_RULE,
    Session,
    _system_name,
    new_run_id,
    open_session,
    run_session,
    select_suites,
)
from bandmark.suites import SUITES
from bandmark.suites.model_layers import _QUICK_MATRIX_TIME_S
from bandmark_kernels import CACHES, KERNELS, QUANTIZED
from fakes import FAKE_GPU, PLENTY, FakeBackend, VirtualClock, make_machine, make_target

SMALL = MemoryBudget(60_000, 600_000, "a little is free")


class Here:
    """A pretend machine that open_session finds: its backend, its address and its notes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = VirtualClock()
        self.backend = FakeBackend(clock=self.clock, room=SMALL, gbs=0.02)
        self.address = "cuda:0"
        self.machine = make_machine()
        self.asked: dict[str, Any] = {}
        monkeypatch.setattr(session_module, "read_machine", lambda: self.machine)
        monkeypatch.setattr(session_module, "open_target", self.open_target)
        monkeypatch.setattr(session_module, "Schedule", partial(Schedule, clock=self.clock))

    def open_target(self, machine: Any, **asked: Any) -> Target:
        """Stand in for bandmark.backends.select."""
        self.asked = asked
        peak = find_peak(self.backend.device, asked["peak"])
        notes = ["a note of the choice"]
        return make_target([self.backend], peak=peak, address=self.address, machine=machine, notes=notes)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Here:
    """A pretend GPU without a published peak, and an empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return Here(monkeypatch)


def groups(session: Session) -> list[tuple[str, str]]:
    """Kernel and dtype of each group."""
    return [(g.cases[0].columns["kernel"], g.cases[0].columns["dtype"]) for g in session.groups]


def of_groups(session: Session, name: str) -> list[Any]:
    """A column of the first case of each group."""
    return [group.cases[0].columns[name] for group in session.groups]


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
    session = open_session(RunOptions(quick=quick))
    assert groups(session) == [(k, d) for k in ALL for d in dtypes]


def test_all_kernels_are_run_where_all_is_asked_for(here: Here) -> None:
    """With "all" come the kernels that a plain run leaves out, each in its own dtype where it has but one."""
    found = groups(open_session(RunOptions(kernels=("all",), dtypes=("float16",))))
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
    notes = open_session(RunOptions(kernels=(kernel,), dtypes=dtypes)).notes
    assert any(note.startswith(f"{kernel} runs in ") for note in notes) == told


def test_attention_runs_in_every_format_of_a_cache(here: Here) -> None:
    """Kv comes with a cache in the dtypes asked for that it has, and in fp8; --heads are for both."""
    session = open_session(RunOptions(kernels=("kv",), dtypes=("bfloat16",), heads=(14, 2, 64)))
    formats = [(g.kernel.weight_format, g.dtype.name, g.kernel.identity) for g in session.groups]  # type: ignore[attr-defined]
    assert formats == [
        (None, "bfloat16", {"heads": 14, "head_dim": 64}),
        ("fp8", "float16", {"heads": 14, "head_dim": 64}),
    ]
    assert {(c["n"], c["heads"], c["head_dim"]) for c in (g.cases[0].columns for g in session.groups)} == {
        (128, 14, 64)
    }


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
        open_session(RunOptions(**options))


def test_names_are_run_in_the_tables_order(here: Here) -> None:
    """The order of the options, and repetition, do not matter."""
    session = open_session(RunOptions(kernels=("triad", "copy", "triad"), dtypes=("bfloat16", "float64")))
    assert groups(session) == [("copy", "float64"), ("copy", "bfloat16"), ("triad", "float64"), ("triad", "bfloat16")]


def test_options_reach_the_choice_of_backends(here: Here) -> None:
    """Backend names, the device, the threads and the peak are passed on as given."""
    open_session(RunOptions(backends=("torch",), device="cuda:1", threads=3, cpus=(4, 5, 6)))
    placement = {"threads": 3, "cpus": (4, 5, 6)}
    assert here.asked == {"names": ("torch",), "address": "cuda:1", **placement, "peak": None}


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
        open_session(RunOptions(**options))
    assert str(refused.value).startswith(message)
    assert here.asked == {}


def test_a_size_that_does_not_fit_closes_the_backends(here: Here) -> None:
    """A refusal after the backends were opened closes them."""
    with pytest.raises(UsageError, match="a little is free"):
        open_session(RunOptions(size_bytes=10**9))
    assert here.backend.closed


def test_a_size_asked_for_is_the_size_run(here: Here) -> None:
    """--size is rounded to whole elements."""
    session = open_session(RunOptions(kernels=("copy",), dtypes=("float64",), size_bytes=1001))
    assert of_groups(session, "n") == [125]


def test_notes_say_what_spoils_the_figures(here: Here) -> None:
    """The choice of the device, the machine's troubles, an unknown peak and what --quick gives up, in this order."""
    here.machine = make_machine(governor="powersave")
    notes = open_session(RunOptions(quick=True)).notes
    assert notes[0] == "a note of the choice"
    assert "powersave" in notes[1]
    assert "not in the catalogue" in notes[2] and "--peak GBS" in notes[2]
    assert notes[3].startswith("--quick")
    assert len(open_session(RunOptions(peak="100")).notes) == 2


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
    assert _system_name(name) == system


def test_the_system_is_named_by_hand_or_by_its_row(here: Here) -> None:
    """--system goes first, then the catalogue's name for the device, then the device's own."""
    assert open_session(RunOptions(system="my-box")).system == "my-box"
    assert open_session(RunOptions()).system == "fake-gpu-1-kb"
    here.backend.device = replace(FAKE_GPU, name="NVIDIA GB10", memory_bytes=128 * 10**9, integrated=True)
    assert open_session(RunOptions()).system == "dgx-spark-gb10"


@pytest.mark.parametrize(
    ("options", "limit_s", "quick"),
    [({}, 90.0, False), ({"quick": True}, 12.0, True), ({"time_limit_s": 5.0, "seed": 7, "data": "zeros"}, 5.0, False)],
)
def test_a_run_measures_within_the_time_asked_for(
    here: Here, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], limit_s: float, quick: bool
) -> None:
    """The rule, the limit, the seed and the data are those of the options; the backends are closed at the end."""
    calls: list[Any] = []

    def record_call(groups: Any, options: RunOptions, rule: Any, schedule: Schedule) -> Any:
        calls.append((options, rule, schedule))
        return iter([[]] * len(groups))

    monkeypatch.setattr(session_module, "measure_groups", record_call)
    run_session(RunOptions(**options))
    ((given, rule, schedule),) = calls
    assert given == RunOptions(**options) and (rule == _QUICK_RULE) is quick
    assert schedule.limit_s == limit_s
    assert quick or rule.min_time_s == 0.5
    assert here.backend.closed


COPY_DOT = RunOptions(kernels=("dot", "copy"), dtypes=("float32",), size_bytes=4000, peak="0.03")


def test_the_run_record(here: Here) -> None:
    """Settings, versions, machine, device, peak, notes and every raw sample; complete when every group was measured."""
    session = run_session(COPY_DOT)
    record = json.loads(json.dumps(session.record().to_json(), allow_nan=False))
    assert (record["schema"], record["run_id"], record["system"]) == (SCHEMA, session.run_id, "fake-gpu-1-kb")
    for name in ("started_utc", "finished_utc"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record[name])
    assert record["machine"]["cpu_model_name"] == "Fake CPU @ 3 GHz"
    assert record["device"]["name"] == "Fake GPU, 1 kB"
    assert record["backends"] == {"fake": {"version": "1.2.3", "driver": "999.1", "threads": None, "git": "pretend"}}
    assert record["peak"]["gbs"] == 0.03
    assert record["notes"] == session.notes
    assert [len(s["seconds_per_launch"]) for s in record["samples"]] == [row.samples for row in session.rows()]
    assert record["complete"] is True
    assert replace(session, measured_groups=1).record().complete is False


def test_the_settings_are_the_options(here: Here) -> None:
    """The record has every option by its keyword, as it was given."""
    record = open_session(COPY_DOT).record().to_json()
    assert record["settings"] == asdict(COPY_DOT)
    assert json.loads(json.dumps(record))["settings"]["kernels"] == ["dot", "copy"]


def test_progress_is_told_before_each_group(here: Here) -> None:
    """How many groups are done, how many there are, and which comes next; at the start the session is handed over."""
    calls: list[Any] = []
    run_session(COPY_DOT, on_start=lambda s: calls.append(len(s.groups)), progress=lambda *call: calls.append(call))
    assert calls == [2, (0, 2, "copy float32"), (1, 2, "dot float32")]


def test_files_are_written_as_the_run_goes(here: Here) -> None:
    """After each group the files hold all rows so far, in the order of the kernel table, and their samples."""
    seen: list[Any] = []

    def look(done: int, total: int, label: str) -> None:
        rows = read_rows(Path("run.csv")) if done else []
        seen.append(([row.kernel for row in rows], [row.percent_of_ceiling is not None for row in rows]))

    options = RunOptions(kernels=("read", "copy"), dtypes=("float32",), size_bytes=4000)
    session = run_session(options, output=Path("run.csv"), to_files=True, progress=look)
    look(2, 2, "")
    assert seen == [([], []), (["copy"], [False]), (["copy", "read"], [True, True])]
    assert session.csv == Path("run.csv")
    record = json.loads(Path("run.json").read_text())
    assert [entry["kernel"] for entry in record["samples"]] == ["copy", "read"] and record["complete"] is True


def test_without_an_output_the_file_is_named_after_the_run(here: Here) -> None:
    """Files get the run's name where none is given, and none is written where none is wanted."""
    assert run_session(COPY_DOT).csv is None and list(Path().iterdir()) == []
    session = run_session(COPY_DOT, to_files=True)
    assert sorted(map(str, Path().iterdir())) == [f"{session.run_id}.csv", f"{session.run_id}.json"]


def test_an_output_that_is_wrong_without_bound_is_stored(here: Here) -> None:
    """JSON has no number for such an error: the run goes on, and its files can be read."""
    here.backend.errors = {"copy": float("inf")}
    session = run_session(COPY_DOT, output=Path("run.csv"), to_files=True)
    assert [row.status for row in session.rows()] == ["failed_verification", "ok"]
    assert json.loads(Path("run.json").read_text())["samples"][0]["max_error"] == "inf"


def test_an_interrupt_keeps_what_was_measured(here: Here) -> None:
    """Ctrl-C ends the run; the finished groups are rows of valid files, and the record says that it is not complete."""
    here.backend.raises = {("dot", "timed"): KeyboardInterrupt()}
    session = run_session(COPY_DOT, output=Path("run.csv"), to_files=True)
    assert session.interrupted and here.backend.closed and here.backend.open_now == 0
    assert [row.kernel for row in read_rows(Path("run.csv"))] == ["copy"]
    assert json.loads(Path("run.json").read_text())["complete"] is False


@pytest.mark.parametrize("after", [False, True])
def test_an_interrupt_while_saving_keeps_the_group(here: Here, monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
    """Ctrl-C before or after the files were written leaves both files with the group, and the run knows of them."""
    save, calls = store.RunFiles.save, iter([KeyboardInterrupt()])

    def interrupted(files: store.RunFiles, *content: Any) -> None:
        interrupt = next(calls, None)
        if interrupt is None or after:
            save(files, *content)
        if interrupt is not None:
            raise interrupt

    monkeypatch.setattr(store.RunFiles, "save", interrupted)
    session = run_session(COPY_DOT, output=Path("run.csv"), to_files=True)
    assert session.interrupted and session.csv == Path("run.csv")
    assert [row.kernel for row in read_rows(Path("run.csv"))] == ["copy"]


def test_an_interrupt_before_the_first_group_leaves_no_file(here: Here) -> None:
    """A run that measured nothing writes nothing."""
    here.backend.raises = {("copy", "prepare"): KeyboardInterrupt()}
    session = run_session(COPY_DOT, output=Path("run.csv"), to_files=True)
    assert session.interrupted and session.csv is None and list(Path().iterdir()) == []


def test_an_existing_file_is_refused_before_anything_is_opened(here: Here) -> None:
    """Nothing is measured for a file that may not be written; force replaces it."""
    Path("run.csv").write_text("precious")
    with pytest.raises(FileError, match="exists"):
        run_session(COPY_DOT, output=Path("run.csv"), to_files=True)
    assert here.asked == {} and Path("run.csv").read_text() == "precious"
    run_session(COPY_DOT, output=Path("run.csv"), to_files=True, force=True)
    assert len(read_rows(Path("run.csv"))) == 2


class Disk:
    """A disk that is full for some of the writes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, is_full: Callable[[int], bool]) -> None:
        self.writes, self.is_full = 0, is_full
        monkeypatch.setattr(store.os, "fsync", self.fsync)

    def fsync(self, descriptor: int) -> None:
        """Stand in for os.fsync."""
        self.writes += 1
        if self.is_full(self.writes):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_that_fills_up_keeps_what_was_saved(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a save fails the run goes on, the session says why, and the files keep the rows that were saved before."""
    Disk(monkeypatch, lambda writes: writes > 3)  # the trial, and both files of the first group
    session = run_session(COPY_DOT, output=Path("run.csv"), to_files=True)
    assert "No space left on device. Free some space" in str(session.save_error)
    assert [row.kernel for row in read_rows(Path("run.csv"))] == ["copy"] and here.backend.closed
    assert [row.kernel for row in session.rows()] == ["copy", "dot"]


def test_a_disk_that_has_room_again(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """The save after the next group writes what the failed one could not."""
    Disk(monkeypatch, lambda writes: writes == 2)
    session = run_session(COPY_DOT, output=Path("run.csv"), to_files=True)
    assert session.save_error is None
    assert [row.kernel for row in read_rows(Path("run.csv"))] == ["copy", "dot"]


def test_a_full_disk_ends_the_run_before_it_begins(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be written nothing is measured."""
    Disk(monkeypatch, lambda writes: True)
    with pytest.raises(FileError, match="No space left on device"):
        run_session(COPY_DOT, output=Path("run.csv"), to_files=True)
    assert here.asked == {}


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["bandwidth"]),
        ({"suites": ("bandwidth",)}, ["bandwidth"]),
        ({"suites": ("all",)}, [name for name, suite in SUITES.items() if suite.in_all]),
        ({"suites": ("model-layers",), "layer": "llama-3.1-8b"}, ["model-layers"]),
        ({"layer": "llama-3.1-8b"}, ["model-layers"]),
        ({"layer": "llama-3.1-8b", "kernels": ("read", "gemv")}, ["bandwidth", "model-layers"]),
        ({"suites": ("bandwidth", "model-layers"), "layer": "llama-3.1-8b"}, ["bandwidth", "model-layers"]),
    ],
)
def test_which_suites_run(options: dict[str, Any], names: list[str]) -> None:
    """Bandwidth unless others are named; a model asks for its layers; all leaves them out."""
    assert [suite.name for suite in select_suites(RunOptions(**options))] == names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"suites": ("bandwidth",), "layer": "llama-3.1-8b"},
            "--layer goes with --suite model-layers: add that, or leave --layer out.",
        ),
        ({"suites": ("bandwith",)}, "unknown suite 'bandwith'. Did you mean 'bandwidth'? Choose from bandwidth, "),
        ({"suites": ("all", "x")}, "unknown suite 'x'. Choose from bandwidth, model-layers, latency"),
        ({"suites": ("model-layers",)}, "--suite model-layers needs a model: add --layer llama-3.1-8b"),
    ],
)
def test_suites_that_are_refused(here: Here, options: dict[str, Any], message: str) -> None:
    """An unknown suite is named with the nearest one, and model-layers without a model says what it needs."""
    with pytest.raises(UsageError) as refused:
        open_session(RunOptions(**options))
    assert str(refused.value).startswith(message) and here.asked == {}


def test_run_ids() -> None:
    """A run is named by its start in UTC and eight random digits."""
    now = datetime(2026, 11, 23, 10, 15, 0, tzinfo=UTC)
    names = {new_run_id(now) for _ in range(50)}
    assert len(names) == 50
    assert all(re.fullmatch(r"20261123T101500Z-[0-9a-f]{8}", name) for name in names)


def test_packed_weights_take_the_place_of_the_plain_matrix(here: Here) -> None:
    """With --weights gemv runs once per format, with float32 vectors, and no other kernel changes."""
    some = open_session(RunOptions(kernels=("copy", "gemv"), dtypes=("float64",), weights=("mxfp4", "int8")))
    assert [group.label for group in some.groups] == ["copy float64", "gemv int8 float32", "gemv mxfp4 float32"]
    every = open_session(RunOptions(kernels=("gemv",), weights=("all",)))
    assert of_groups(every, "weight_format") == list(QUANTIZED)


def config(folder: Path) -> str:
    """The config.json of a tiny model in a folder called secret-name."""
    own = folder / "secret-name"
    own.mkdir()
    shape = {
        "model_type": "llama",
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 128,
    }
    (own / "config.json").write_text(json.dumps({**shape, "vocab_size": 1000}))
    return str(own / "config.json")


def test_a_models_matrices(here: Here, tmp_path: Path) -> None:
    """--layer runs gemv alone on them, in one dtype or in the formats asked for; other kernels where they are named."""
    session = open_session(RunOptions(layer=config(tmp_path)))
    names = [f"secret-name {name}" for name in ("qkv", "o", "gate_up", "down", "lm_head")]
    assert of_groups(session, "layer") == names
    assert groups(session) == [("gemv", "float16")] * 5
    here.address = "cpu"
    assert set(groups(open_session(RunOptions(layer="llama-3.1-8b")))) == {("gemv", "float32")}
    packed = open_session(RunOptions(layer="llama-3.1-8b", weights=("int8", "fp8"), quick=True))
    assert of_groups(packed, "weight_format") == ["fp8"] * 5 + ["int8"] * 5
    both = open_session(RunOptions(layer="llama-3.1-8b", kernels=("read", "gemv"), dtypes=("float32",)))
    assert of_groups(both, "kernel") == ["read", *["gemv"] * 5]
    assert [group.suite.name for group in both.groups] == ["bandwidth", *["model-layers"] * 5]


def test_the_record_names_the_model_and_not_its_path(here: Here, tmp_path: Path) -> None:
    """A config.json lies in somebody's folder: settings and rows hold the model's name alone."""
    session = open_session(RunOptions(layer=config(tmp_path)))
    record = session.record().to_json()
    assert record["settings"]["layer"] == "secret-name" and str(tmp_path) not in json.dumps(record)


def test_each_matrix_has_its_time(here: Here) -> None:
    """The limit that is not asked for grows with the matrices that run; one that is asked for is kept."""
    here.backend.room = PLENTY
    assert open_session(RunOptions()).time_limit_s == 90.0
    assert open_session(RunOptions(quick=True)).time_limit_s == 12.0
    many = RunOptions(layer="llama-3.2-1b", weights=tuple(QUANTIZED), quick=True)
    running = sum(bool(group.runnable) for group in open_session(many).groups)
    assert running > 12.0 / _QUICK_MATRIX_TIME_S
    assert open_session(many).time_limit_s == _QUICK_MATRIX_TIME_S * running
    assert open_session(replace(many, time_limit_s=5.0)).time_limit_s == 5.0
    here.backend.unsupported = {"gemv": "no"}
    assert open_session(many).time_limit_s == 12.0


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
        open_session(RunOptions(**options))


def test_no_two_suites_have_the_same_case() -> None:
    """In a run of all suites a case tells the suite, also where it has no figure."""
    session = open_session(RunOptions(suites=("all",), quick=True, device="cpu"))
    session.target.close()
    suites: dict[tuple[Any, ...], set[str]] = {}
    for group in session.groups:
        for case in group.cases:
            key = tuple(case.columns.get(name) for name in identity_columns())
            suites.setdefault(key, set()).add(group.suite.name)
    assert len(suites) > 100 and [key for key, names in suites.items() if len(names) > 1] == []
