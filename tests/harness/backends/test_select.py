"""Which device and which libraries a run uses, on pretend installations: none, broken, and several GPUs."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from bandmark.backends import select as backends
from bandmark.backends.select import Target, open_target
from bandmark.backends.team import Team
from bandmark.device.cpu import usable_cpus
from bandmark.device.device import Device
from bandmark.device.peaks import Peak
from bandmark.errors import BackendUnavailable, UsageError
from fakes import FakeBackend, make_machine, make_target
from installation import Installation

SPARK = Device(kind="gpu", name="NVIDIA GB10", index=0, memory_bytes=128 * 10**9, integrated=True, sm_count=48)
DISPLAY = Device(kind="gpu", name="NVIDIA RTX 0000 Display", index=0)
PRO = Device(
    kind="gpu", name="NVIDIA RTX PRO 5000 Blackwell", index=1, memory_bytes=int(47.5 * 2**30), bus_width_bits=384
)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Installation:
    """A machine with NumPy alone."""
    return Installation(monkeypatch)


def chosen(**asked: Any) -> Target:
    """Open a target on a pretend machine, and close it again."""
    target = open_target(make_machine(), **asked)
    target.close()
    return target


def used(target: Target) -> list[str]:
    """The names of the backends."""
    return [backend.name for backend in target.backends]


def test_numpy_alone_without_a_gpu(here: Installation) -> None:
    """A machine with nothing but NumPy measures its CPU, and is not nagged about libraries that it has not."""
    target = chosen()
    assert (target.address, used(target), target.notes) == ("cpu", ["numpy"], [])
    assert target.device.name == "Fake CPU @ 3 GHz"


def test_torch_is_used_if_it_is_there(here: Installation) -> None:
    """Without a GPU, torch joins NumPy on the CPU."""
    here.add("torch", [], "torch sees no accelerator")
    assert used(chosen()) == ["numpy", "torch"]
    assert used(chosen(address="cpu")) == ["numpy", "torch"]


@pytest.mark.parametrize("first", [True, False])
def test_the_gpu_with_the_highest_published_peak(here: Installation, first: bool) -> None:
    """A workstation's first device may be a display card: the fastest by published peak is measured, and named."""
    pro, display = ("cuda:0", "cuda:1") if first else ("cuda:1", "cuda:0")
    both = sorted([(pro, replace(PRO, index=int(pro[-1]))), (display, replace(DISPLAY, index=int(display[-1])))])
    here.add("cupy", both)
    here.add("torch", both)
    target = chosen()
    assert (target.address, target.device.name, used(target)) == (pro, PRO.name, ["cupy", "torch"])
    assert target.notes == [
        f"Measuring {pro} NVIDIA RTX PRO 5000 Blackwell; --device chooses another: {display} NVIDIA RTX 0000 Display."
    ]


@pytest.mark.parametrize(
    ("address", "expected"), [("cuda", "cuda:0"), ("cuda:0", "cuda:0"), ("cuda:1", "cuda:1"), ("cpu", "cpu")]
)
def test_the_device_asked_for(here: Installation, address: str, expected: str) -> None:
    """`cuda` is the first CUDA device; `cpu` leaves the GPUs alone."""
    here.add("cupy", [("cuda:0", DISPLAY), ("cuda:1", PRO)])
    assert chosen(address=address).address == expected


def test_a_device_that_is_not_there(here: Installation) -> None:
    """The message lists what there is, and why a library sees no more."""
    here.add("torch", [], "torch sees no accelerator")
    with pytest.raises(UsageError) as refused:
        chosen(address="cuda:3")
    message = str(refused.value)
    assert message.startswith("there is no device 'cuda:3'; there are cpu.")
    assert "torch sees no accelerator" in message and "cupy is not installed" in message


def test_devices_that_one_library_alone_sees(here: Installation) -> None:
    """A CPU build of torch beside CuPy leaves CuPy measuring, with a note."""
    here.add("cupy", [("cuda:0", SPARK)])
    here.add("torch", [], "torch sees no accelerator")
    target = chosen()
    assert used(target) == ["cupy"]
    assert target.notes == ["Without torch: torch sees no accelerator."]
    with pytest.raises(BackendUnavailable, match="torch can't use cuda:0: torch sees no accelerator"):
        chosen(names=["torch", "cupy"])


@pytest.mark.parametrize("installed", [True, False])
def test_missing_sensors_are_told(here: Installation, installed: bool) -> None:
    """On an NVIDIA GPU a note says what is not known without NVML, and what brings it; other makers have none."""
    here.add("torch", [("cuda:0", replace(SPARK, compute_capability=(12, 1)))])
    if installed:
        here.add("pynvml", [])
    assert chosen(names=["torch"]).notes == ([] if installed else [backends._NO_SENSORS])
    assert "`pip install nvidia-ml-py`" in backends._NO_SENSORS
    here.add("torch", [("xpu:0", Device(kind="gpu", name="Intel Arc B580", index=0))])
    assert chosen(names=["torch"]).notes == []


@pytest.mark.parametrize("names", [["all"], ["all", "numpy"], None])
def test_all_means_all_that_the_device_has(here: Installation, names: list[str] | None) -> None:
    """`all` is the default, spelt out."""
    here.add("cupy", [("cuda:0", SPARK)])
    here.add("torch", [("cuda:0", SPARK)])
    assert used(chosen(names=names)) == ["cupy", "torch"]


def test_a_backend_named_twice_is_used_once(here: Installation) -> None:
    """Repetition makes no second row of the same case."""
    assert used(chosen(names=["numpy", "numpy"])) == ["numpy"]


def test_numpy_alone_asks_no_library(here: Installation) -> None:
    """A run with --backend numpy imports neither torch nor CuPy, even on a GPU machine."""
    here.add("cupy", [("cuda:0", SPARK)])
    here.add("torch", [("cuda:0", SPARK)])
    target = chosen(names=["numpy"])
    assert (target.address, here.asked) == ("cpu", [])


def test_numpy_on_a_gpu_is_refused(here: Installation) -> None:
    """NumPy together with a GPU is a contradiction, with the way out."""
    here.add("torch", [("cuda:0", SPARK)])
    for names, address in ((["numpy"], "cuda"), (["numpy", "torch"], None)):
        with pytest.raises(UsageError, match="NumPy runs on the CPU; add --device cpu"):
            chosen(names=names, address=address)


@pytest.mark.parametrize(("name", "near"), [("torhc", "torch"), ("cuppy", "cupy"), ("NumPy", "numpy")])
def test_an_unknown_backend(here: Installation, name: str, near: str) -> None:
    """The nearest name is offered, also beside `all`."""
    for names in ([name], ["all", name]):
        with pytest.raises(UsageError, match=f"unknown backend '{name}'. Did you mean '{near}'"):
            chosen(names=names)


def test_torch_that_is_not_installed(here: Installation) -> None:
    """Asked for by name, a missing library is an error that says how to get it."""
    for address in (None, "cpu"):
        with pytest.raises(BackendUnavailable, match="torch is not installed; `pip install torch`"):
            chosen(names=["torch"], address=address)


def test_torch_that_is_broken(here: Installation) -> None:
    """Asked for by name, a broken library is an error with what it raised; unasked, a note, and the run goes on."""
    here.libraries["torch"] = OSError("libcudart.so.13: cannot open shared object file\nmore")
    with pytest.raises(BackendUnavailable, match=r"can't be imported \(OSError: libcudart.so.13: cannot open"):
        chosen(names=["torch"])
    for address in (None, "cpu"):
        here.asked.clear()
        target = chosen(address=address)
        assert (used(target), len(here.asked)) == (["numpy"], 1), "a second import may fail in another way"
        assert len(target.notes) == 1
        assert "can't be imported (OSError: libcudart.so.13" in target.notes[0]
        assert target.notes[0].endswith(". Going on without it.") and "more" not in target.notes[0]


def test_cupy_without_a_gpu(here: Installation) -> None:
    """Asked for by name it is an error with the reason; installed and unasked, a note says why no GPU is measured."""
    with pytest.raises(BackendUnavailable, match="needs an NVIDIA GPU: cupy is not installed"):
        chosen(names=["cupy"])
    here.add("cupy", [], "CuPy 14 finds no usable NVIDIA driver")
    with pytest.raises(BackendUnavailable, match="needs an NVIDIA GPU: CuPy 14 finds no usable NVIDIA driver"):
        chosen(names=["cupy"])
    assert chosen().notes == ["No GPU is measured: CuPy 14 finds no usable NVIDIA driver."]


def test_threads_are_the_processors_asked_for(here: Installation) -> None:
    """--threads takes the first so many usable processors; the team ends with the target."""
    before = threading.active_count()
    usable = len(usable_cpus())
    target = open_target(make_machine(), names=["numpy"], threads=usable)
    assert target.backends[0].threads == usable
    target.close()
    assert threading.active_count() == before
    assert chosen(threads=1).backends[0].threads == 1


@pytest.mark.parametrize("threads", [0, -1, 100_000])
def test_impossible_threads(here: Installation, threads: int) -> None:
    """More threads than processors, or none, are refused with the range."""
    with pytest.raises(
        UsageError, match=rf"--threads {threads} is not possible: .* 1 to {len(usable_cpus())} processors"
    ):
        chosen(threads=threads)


def test_a_refused_backend_leaves_no_threads(here: Installation) -> None:
    """An error while backends are opened ends the threads that were started for them."""
    before = threading.active_count()
    with pytest.raises(BackendUnavailable):
        open_target(make_machine(), names=["cupy"], address="cpu")
    assert threading.active_count() == before


@pytest.mark.parametrize("error", [RuntimeError("device is busy"), SystemExit("torch wants out"), MemoryError()])
def test_a_library_that_fails_while_it_opens(
    here: Installation, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """Whatever opening a backend raises, the others go on with a note; if it was asked for, it is an error."""

    def fail(*opened: object) -> FakeBackend:
        raise error

    here.add("torch", [])
    monkeypatch.setattr(here, "open", fail)
    target = chosen(address="cpu")
    assert used(target) == ["numpy"]
    assert f"The torch backend can't be opened ({type(error).__name__}" in target.notes[0]
    with pytest.raises(BackendUnavailable, match=type(error).__name__):
        chosen(address="cpu", names=["torch"])


def test_a_gpu_that_is_taken(here: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that its library can't open is an error with what to look at, and not a measurement of the CPU."""

    def fail(*opened: object) -> FakeBackend:
        raise RuntimeError("all CUDA-capable devices are busy or unavailable")

    here.add("cupy", [("cuda:0", SPARK)])
    monkeypatch.setattr(here, "open", fail)
    with pytest.raises(BackendUnavailable, match=r"busy or unavailable\). `nvidia-smi` shows .* --device cpu"):
        chosen()


def test_a_gpu_that_is_hidden_by_an_error(here: Installation) -> None:
    """A library that fails when it is asked for its devices measures the CPU, and a note says why no GPU is."""
    here.failing["torch"] = RuntimeError("CUDA-capable device(s) is/are busy or unavailable")
    here.add("torch", [])
    target = chosen()
    assert used(target) == ["numpy", "torch"]
    assert "No GPU is measured: torch can't list its devices (RuntimeError: CUDA-capable device(s)" in target.notes[0]


def test_closing_closes_every_backend() -> None:
    """A target closes all of its backends and ends its threads."""
    backends_made = [FakeBackend(), FakeBackend()]
    target = make_target(backends_made, address="cpu")
    target.team = Team([0, 0])
    target.close()
    assert all(backend.closed for backend in backends_made)
    with pytest.raises(RuntimeError):
        target.team.run([int, int])


def test_a_cpus_peak_comes_from_its_firmware(here: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU the memory modules are asked, on a GPU they are not; a peak by the user goes before both."""
    known = Peak(gbs=76.8, source="firmware: 2 x 4800 x 8", memory_type="DDR5", explanation="Two modules.")
    asked = []
    monkeypatch.setattr(backends, "read_dimms", lambda: asked.append(1) or known)
    assert (chosen().peak.gbs, len(asked)) == (76.8, 1)
    assert chosen(peak="100").peak.gbs == 100.0
    here.add("cupy", [("cuda:0", replace(SPARK, name="NVIDIA Unknown"))])
    asked.clear()
    assert (chosen().peak.gbs, asked) == (None, [])
    assert chosen(peak="2x5600").peak.gbs == pytest.approx(89.6)


def test_whether_the_cpu_itself_is_measured(here: Installation) -> None:
    """A target on the CPU has threads and the arrays that its backends share; one on a GPU has neither."""
    on_cpu = chosen()
    assert on_cpu.on_cpu and on_cpu.memory is not None
    here.add("cupy", [("cuda:0", SPARK)])
    on_gpu = chosen()
    assert not on_gpu.on_cpu and on_gpu.memory is None


def test_the_cpu_beside_a_gpu_is_opened_once_and_closed_with_it(here: Installation) -> None:
    """It has the libraries that reach no accelerator, which the record names too, and the threads asked for."""
    here.add("cupy", [("cuda:0", SPARK)])
    target = open_target(make_machine())
    beside = target.open_beside(1, None)
    assert used(beside) == ["numpy"] and beside.backends[0].threads == 1 and beside.on_cpu
    assert target.open_beside(1, None) is beside and set(target.libraries()) == {"cupy", "numpy"}
    target.close()
    assert all(backend.closed for backend in (*target.backends, *beside.backends) if isinstance(backend, FakeBackend))
    with pytest.raises(RuntimeError, match="closed"):
        beside.team.run([print])  # type: ignore[union-attr]


def test_what_the_record_says_of_libraries() -> None:
    """Version, driver, threads and what the backend adds, by name."""
    one, two = FakeBackend(name="one"), FakeBackend(name="two", threads=2, driver=None)
    assert make_target([one, two]).libraries() == {
        "one": {"version": "1.2.3", "driver": "999.1", "threads": None, "git": "pretend"},
        "two": {"version": "1.2.3", "driver": None, "threads": 2, "git": "pretend"},
    }


@pytest.mark.parametrize(
    ("address", "peak", "meant"),
    [
        ("cpu", "76800", "76.8"),
        ("cpu", "2x560000", "8.96"),
        ("cpu", "2000", None),
        ("cuda", "273000", "273"),
        ("cuda", "25000", None),
    ],
)
def test_a_peak_in_another_unit_is_noted(here: Installation, address: str, peak: str, meant: str | None) -> None:
    """A user-supplied peak that no memory of this kind has is noted, with the peak that is meant if it is in MB/s."""
    here.add("cupy", [("cuda:0", SPARK)])
    notes = chosen(address=address, peak=peak).notes
    assert [note for note in notes if "MB/s" in note] == ([] if meant is None else notes[-1:])
    assert meant is None or notes[-1].endswith(f"give --peak {meant}.")
