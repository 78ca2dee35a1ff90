"""nvbandwidth's and NVBench's JSON, read by our byte count; damage is named."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandmark.comparison import Run
from bandmark.comparison.foreign import read_foreign
from bandmark.errors import FileError
from foreign_files import NVBANDWIDTH, nvbench, nvbench_state

N = 2**25
PLAIN = {"triad": [nvbench_state(N, "F32", 3, 2e-4)]}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go to a folder for the files that are read."""
    monkeypatch.chdir(tmp_path)


def read_json(text: str) -> Run:
    """Read a text as a file other.json."""
    file = Path("other.json")
    file.write_text(text, encoding="utf-8")
    (run,) = read_foreign(file)
    return run


def edited(**changes: Any) -> str:
    """Return nvbandwidth's JSON with another device_local_copy."""
    root = copy.deepcopy(NVBANDWIDTH)
    root["nvbandwidth"]["testcases"][1].update(changes)  # type: ignore[index]
    return json.dumps(root)


def test_nvbandwidth_counts_a_copy_once() -> None:
    """The local copy of nvbandwidth is doubled, of the first GPU, for any dtype, and all of that is said."""
    run = read_json(json.dumps(NVBANDWIDTH))
    (figure,) = run.figures
    assert figure.value == 2 * 1405.5 and figure.best is None
    assert (figure.get("kernel"), figure.get("dtype"), figure.get("n")) == ("copy", None, None)
    assert (run.tool, run.device, run.name) == ("nvbandwidth", "Fake GPU", "other.json")
    assert len(run.notes) == 1 and "the first GPU's figure is doubled" in run.notes[0]


def test_nvbandwidth_without_a_figure() -> None:
    """A test that was waived is in doubt; one that passed without a figure, or is not there, is refused."""
    (waived,) = read_json(edited(status="Waived", bandwidth_matrix=[])).figures
    assert waived.value is None and "Waived" in waived.doubts[0]
    with pytest.raises(FileError, match="passed, but has no figure"):
        read_json(edited(bandwidth_matrix=[["N/A"]]))
    with pytest.raises(FileError, match="-t device_local_copy"):
        read_json(edited(name="host_to_device_memcpy_sm"))


def test_nvbandwidth_cells_may_be_numbers() -> None:
    """Cells are text in version 0.8; numbers are read as well, and "N/A" is skipped."""
    (figure,) = read_json(edited(bandwidth_matrix=[["N/A", 1000.0]])).figures
    assert figure.value == 2000.0


def test_nvbench_by_the_median() -> None:
    """NVBench's bytes over the median time are our figure, with its size, dtype, device and error."""
    run = read_json(nvbench(PLAIN))
    (figure,) = run.figures
    assert figure.value == pytest.approx(3 * 4 * N / (0.99 * 2e-4) / 1e9)
    assert figure.best == pytest.approx(3 * 4 * N / (0.98 * 2e-4) / 1e9)
    assert (figure.get("kernel"), figure.get("dtype"), figure.get("n"), figure.doubts) == ("triad", "float32", N, ())
    assert figure.error == pytest.approx(0.01 * (3.14159 / 2 / 500) ** 0.5, rel=1e-4)
    assert (run.tool, run.device) == ("NVBench", "Fake GPU")


def test_nvbench_without_a_median() -> None:
    """Older files have only the mean: it is taken and said."""
    run = read_json(nvbench({"triad": [nvbench_state(N, "F64", 3, 4e-4, median=False)]}))
    assert run.figures[0].value == pytest.approx(3 * 8 * N / 4e-4 / 1e9)
    assert any("no median" in note for note in run.notes)


@pytest.mark.parametrize(
    ("name", "kernel", "words"), [("mul", "scale", 2), ("tile_add_ts128", "add", 3), ("babel.nstream", "nstream", 4)]
)
def test_names_of_benchmarks(name: str, kernel: str, words: int) -> None:
    """A benchmark is the kernel whose name is a word of its own."""
    run = read_json(nvbench({name: [nvbench_state(N, "F32", words, 2e-4)]}))
    assert run.figures[0].get("kernel") == kernel and not run.figures[0].doubts


def test_what_nvbench_has_besides() -> None:
    """Benchmarks and states that are none of ours are left out, with a note each; skipped states without."""
    skipped = nvbench_state(N, "F32", 3, 2e-4) | {"is_skipped": True, "summaries": []}
    states = [skipped, nvbench_state(N, "I8", 3, 2e-4), nvbench_state(N, "F32", 3, 1e-4, device=1)]
    run = read_json(nvbench({**PLAIN, "radix_sort": [nvbench_state(N, "F32", 3, 2e-4)], "copy_add": [], "add": states}))
    assert [f.get("kernel") for f in run.figures] == ["triad"]
    said = "\n".join(run.notes)
    assert "'radix_sort' is left out" in said and "'copy_add' is left out" in said
    assert "add [Device=0 T=I8" in said and "only number 0" in said


def test_several_states_of_one_case() -> None:
    """Of states that differ in nothing of ours the fastest counts; other sizes are figures of their own."""
    states = [nvbench_state(N, "F32", 3, t) for t in (2e-4, 1e-4, 3e-4)]
    run = read_json(nvbench({"triad": [*states, nvbench_state(2 * N, "F32", 3, 4e-4)]}))
    assert [f.get("n") for f in run.figures] == [N, 2 * N]
    assert run.figures[0].value == pytest.approx(3 * 4 * N / 0.99e-4 / 1e9)
    assert any("the fastest counts" in note for note in run.notes)


def test_bytes_that_are_not_the_kernels() -> None:
    """A state that declares other bytes than the kernel of its name moves is in doubt."""
    run = read_json(nvbench({"triad": [nvbench_state(N, "F32", 4, 2e-4)]}))
    assert "declares" in run.figures[0].doubts[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"nvbandwidth": {"testcases": [', "Expecting value; the JSON is truncated"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"nvbandwidth": []}', "the output of nvbandwidth can't be read: it lacks a part"),
        ('{"nvbandwidth": {"testcases": [{}]}}', "the output of nvbandwidth can't be read: it lacks a part"),
        ('{"meta": {}, "benchmarks": [{"name": "triad"}]}', "the output of NVBench can't be read: it lacks a part"),
        ('{"meta": {}, "benchmarks": []}', "it holds no result of our kernels"),
        ('{"run_id": "x", "settings": {}}', r"name its table, other\.csv"),
        ('{"hello": 1}', "neither nvbandwidth's nor NVBench's"),
        (edited(bandwidth_matrix=[["fast"]]), "'fast' where a number above zero should be"),
    ],
)
def test_damaged_json(text: str, message: str) -> None:
    """JSON that is truncated, nested without end, of another kind or lacks a part is refused in words."""
    with pytest.raises(FileError, match=message):
        read_json(text)


def test_no_declared_bytes() -> None:
    """An NVBench file whose benchmarks declare no bytes says what is missing."""
    state = nvbench_state(N, "F32", 3, 2e-4)
    state["summaries"] = [s for s in state["summaries"] if "bytes_per_second" not in s["tag"]]
    with pytest.raises(FileError, match="no byte count"):
        read_json(nvbench({"triad": [state]}))


def test_text_before_nvbandwidths_json(tmp_path: Path) -> None:
    """Nvbandwidth may print its version before the JSON, also to a file: the JSON is read all the same."""
    file = tmp_path / "prefixed.json"
    file.write_text("nvbandwidth Version: v0.8\nBuilt from Git version: v0.8\n\n" + json.dumps(NVBANDWIDTH))
    (run,) = read_foreign(file)
    assert run.figures[0].value == 2 * 1405.5


def nvbench_with(changes: dict[str, Any]) -> str:
    """Return NVBench's JSON of a triad with these values of its summaries, or of its elements."""
    state = nvbench_state(N, "F32", 3, 2e-4)
    for summary in state["summaries"]:
        for datum in summary.get("data", []):
            datum["value"] = changes.get(summary["tag"], datum["value"])
    state["axis_values"][1]["value"] = changes.get("Elements", str(N))
    return nvbench({"triad": [state]})


HOSTILE = ("1.2.3.4", 10**400, -1, "nan", "-inf", [1], {"a": 1}, True)


@pytest.mark.parametrize("value", HOSTILE)
def test_values_that_are_no_figures(value: Any) -> None:
    """What can't be a size, a time or a bandwidth is an error with the file, never a traceback."""
    texts = [edited(bandwidth_matrix=[[value]])]
    texts += [nvbench_with({tag: value}) for tag in ("nv/cold/time/gpu/mean", "nv/cold/time/gpu/median", "Elements")]
    for text in texts:
        with pytest.raises(FileError, match=r"other\.json: (the output of|a whole number of 401 digits)"):
            read_json(text)


@pytest.mark.parametrize("elements", ["0", 0, "2.5", "1e30"])
def test_sizes_that_are_no_sizes(elements: Any) -> None:
    """Zero elements, half an element and more than any memory has are refused with what stands there."""
    with pytest.raises(FileError, match="should be"):
        read_json(nvbench_with({"Elements": elements}))


@settings(deadline=None, max_examples=60)
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=8), lambda v: st.lists(v, max_size=3)))
def test_any_type_in_any_place_is_read_or_refused(value: Any) -> None:
    """Foreign types anywhere in the JSON are read over or refused in words."""
    for place in ("testcases", "GPU Device list"):
        with suppress(FileError):
            read_json(json.dumps({"nvbandwidth": NVBANDWIDTH["nvbandwidth"] | {place: value}}))
    state = nvbench_state(N, "F32", 3, 2e-4)
    for place in state:
        with suppress(FileError):
            read_json(nvbench({"triad": [state | {place: value}]}))
