"""Does the stand-in for CuPy answer as CuPy does? Each rule is checked on both; without a CUDA device, on the stand-in.

On a machine with CuPy and a device, `python -m pytest tests/test_cupy_contract.py` checks the stand-in's likeness.
"""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bandmark_kernels import DTYPES, KERNELS, Shape
from bandmark_kernels.core.cuda import exact_scalars, launches, program
from bandmark_kernels.core.launch import clock_probe, delay
from cupy_standin import StandIn
from kernel_cases import shape_of

F32 = DTYPES["float32"]


def real() -> Any:
    """Return the module cupy, or skip and say why there is nothing to compare the stand-in with."""
    if importlib.util.find_spec("cupy") is None:
        pytest.skip("CuPy is not installed, so there is nothing to compare the stand-in with")
    import cupy

    try:
        cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        pytest.skip(f"CuPy finds no CUDA device to compare the stand-in with ({error})")
    return cupy


@pytest.fixture(params=["stand-in", "CuPy"])
def cp(request: pytest.FixtureRequest) -> Any:
    """The stand-in, and CuPy itself."""
    return StandIn().module() if request.param == "stand-in" else real()


def capability(cp: Any) -> tuple[int, int]:
    """The compute capability of the device."""
    properties = cp.cuda.runtime.getDeviceProperties(0)
    return properties["major"], properties["minor"]


def bound(cp: Any, name: str, shape: Shape, variant: str = "v16") -> SimpleNamespace:
    """A kernel with its arrays, as the backend would launch it."""
    kernel = KERNELS[name]
    (dtype, *_) = kernel.dtypes_among([F32])
    made = program(kernel, dtype, variant, capability=capability(cp))
    module = cp.RawModule(code=made.source, options=made.options)
    plan = launches(made, shape, sm_count=4)
    arrays = {}
    for k, o in enumerate(kernel.operands):
        arrays[o.name] = cp.empty(o.count(shape), F32.accumulator if o.role == "result" else o.stored_as(dtype))
        arrays[o.name].set(o.number(dtype).encode(np.random.default_rng(k).uniform(0.1, 1, o.count(shape))))
    workspace = cp.empty(max(1, plan.workspace_elements), plan.workspace_dtype)
    values = {**arrays, "workspace": workspace, **exact_scalars(kernel, dtype, kernel.scalars)}
    steps = [(module.get_function(s.entry), s.grid, s.block, s.arguments(values)) for s in plan.steps]
    return SimpleNamespace(arrays=arrays, steps=steps, kernel=kernel, module=module, dtype=dtype)


def test_versions_are_texts_and_numbers(cp: Any) -> None:
    """The version is a text, CUDA's are numbers such as 13020, NVRTC's is a pair."""
    assert int(cp.__version__.split(".")[0]) >= 13
    assert all(v >= 12000 for v in (cp.cuda.runtime.runtimeGetVersion(), cp.cuda.runtime.driverGetVersion()))
    assert len(tuple(cp.cuda.nvrtc.getVersion())) == 2


def test_device_properties(cp: Any) -> None:
    """The facts that are asked for are there, the name as bytes and the numbers as int; there is no device 99."""
    assert cp.cuda.runtime.getDeviceCount() >= 1
    properties = cp.cuda.runtime.getDeviceProperties(0)
    assert isinstance(properties["name"], bytes)
    wanted = StandIn().gpu.properties().keys() - {"name"}
    assert all(isinstance(properties[name], int) for name in wanted)
    with pytest.raises(cp.cuda.runtime.CUDARuntimeError) as refused:
        cp.cuda.runtime.getDeviceProperties(99)
    assert refused.value.status == 101
    bus = cp.cuda.runtime.deviceGetPCIBusId(0)
    assert isinstance(bus, str) and len(bus.split(":")) == 3
    cp.cuda.Device(0).use()


def test_errors_are_of_known_kinds(cp: Any) -> None:
    """Out of memory is a MemoryError; CUDA's errors are RuntimeErrors and none of each other."""
    assert issubclass(cp.cuda.memory.OutOfMemoryError, MemoryError)
    runtime, driver = cp.cuda.runtime.CUDARuntimeError, cp.cuda.driver.CUDADriverError
    assert issubclass(runtime, RuntimeError) and issubclass(driver, RuntimeError)
    assert not issubclass(runtime, driver) and not issubclass(driver, runtime)
    assert runtime(2).status == 2 and "cudaErrorMemoryAllocation" in str(runtime(2))


def test_out_of_memory(cp: Any) -> None:
    """What is larger than the device raises the pool's error, with the size rounded up to 512 bytes."""
    total = cp.cuda.runtime.memGetInfo()[1]
    size = 2 * total // 512 * 512 + 1
    with pytest.raises(cp.cuda.memory.OutOfMemoryError, match=rf"Out of memory allocating {size + 511:,} bytes \(allo"):
        cp.empty(size, "uint8")


def test_memory_goes_back_to_the_device_on_demand(cp: Any) -> None:
    """A freed array stays in the pool until the pool is told to free its blocks."""
    pool = cp.get_default_memory_pool()
    pool.free_all_blocks()
    before, _ = cp.cuda.runtime.memGetInfo()
    array = cp.empty(8 << 20, "uint8")
    during, _ = cp.cuda.runtime.memGetInfo()
    del array
    kept, _ = cp.cuda.runtime.memGetInfo()
    pool.free_all_blocks()
    after, _ = cp.cuda.runtime.memGetInfo()
    assert (before - during, before - kept, before - after) == (8 << 20, 8 << 20, 0)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "uint16", "uint64"])
def test_arrays(cp: Any, dtype: str) -> None:
    """Flat arrays have size, nbytes, dtype; slices are views; memset and copies take bytes; get and set copy."""
    array = cp.empty(10, dtype)
    assert (array.size, array.nbytes, array.dtype) == (10, 10 * np.dtype(dtype).itemsize, np.dtype(dtype))
    array.data.memset(0xFF, array.nbytes)
    assert (array.get().view("u1") == 0xFF).all()
    assert isinstance(array.get(), np.ndarray)
    tile = cp.asarray(np.arange(4).astype(dtype))
    part = array[3:7]
    part.data.copy_from_device(tile.data, part.nbytes)
    array[-1:].set(np.array([9], dtype))
    host = array.get()
    assert host[3:7].tolist() == [0, 1, 2, 3] and host[-1] == 9
    assert (host[:3].view("u1") == 0xFF).all()
    assert array[2:5].get().tolist()[1:] == [0, 1]
    host[0] = 5
    assert (array[:1].get().view("u1") == 0xFF).all()


def test_what_set_refuses(cp: Any) -> None:
    """Only NumPy arrays of the same dtype and shape are taken."""
    array = cp.empty(4, "float32")
    for wrong, kind in (([1.0], TypeError), (np.zeros(4), TypeError), (np.zeros(3, "float32"), ValueError)):
        with pytest.raises(kind):
            array.set(wrong)


def test_compiling(cp: Any) -> None:
    """Sources compile when a function is taken; options are a tuple; an unknown entry point is a driver error."""
    text, step = delay(1000)
    with pytest.raises(TypeError):
        cp.RawModule(code=text, options=[])
    module = cp.RawModule(code=text)
    module.get_function(step.entry)(step.grid, step.block, step.arguments())
    cp.cuda.runtime.deviceSynchronize()
    with pytest.raises(cp.cuda.driver.CUDADriverError) as refused:
        module.get_function("bandmark_nothing")
    assert refused.value.status == 500
    assert str(refused.value).startswith("CUDA_ERROR_NOT_FOUND")


def test_kernels_tell_their_registers(cp: Any) -> None:
    """A function knows how many registers a thread has and how many bytes of local memory it spills."""
    function = bound(cp, "copy", Shape(1000)).steps[0][0]
    assert function.num_regs > 0
    assert function.local_size_bytes == 0


def test_a_multiprocessor_has_room_for_so_many_blocks(cp: Any) -> None:
    """The driver tells it by the address of the function."""
    function = bound(cp, "copy", Shape(1000)).steps[0][0]
    blocks = cp.cuda.driver.occupancyMaxActiveBlocksPerMultiprocessor(function.kernel.ptr, 256, 0)
    assert isinstance(blocks, int) and 1 <= blocks <= 8


def test_events(cp: Any) -> None:
    """Events give milliseconds in single precision; one that was never recorded is refused."""
    begin, end = cp.cuda.Event(), cp.cuda.Event()
    with pytest.raises(cp.cuda.runtime.CUDARuntimeError) as refused:
        cp.cuda.get_elapsed_time(begin, end)
    assert refused.value.status == 400
    begin.record()
    for function, grid, block, arguments in bound(cp, "copy", Shape(100_000)).steps:
        function(grid, block, arguments)
    end.record()
    cp.cuda.runtime.deviceSynchronize()
    elapsed = cp.cuda.get_elapsed_time(begin, end)
    assert isinstance(elapsed, float) and elapsed > 0
    assert elapsed == float(np.float32(elapsed))


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_compute_alike(cp: Any, name: str) -> None:
    """A launch leaves what the kernel's reference says, partial sums and all."""
    shape = shape_of(KERNELS[name], 10_007, Shape(1031, m=37))
    case = bound(cp, name, shape)
    before = {o.name: o.number(case.dtype).decode(case.arrays[o.name].get()) for o in case.kernel.operands}
    for operand in case.kernel.large:
        if operand.extent == "mn":
            before[operand.name] = before[operand.name].reshape(37, shape.n)
    for function, grid, block, arguments in case.steps:
        assert function(grid, block, arguments) is None
    cp.cuda.runtime.deviceSynchronize()
    inputs = {o.name: before[o.name] for o in case.kernel.inputs}
    expected = case.kernel.compute(**inputs, **case.kernel.scalars)
    for output in case.kernel.outputs:
        wanted = np.sum(expected[output.name]) if case.kernel.is_reduction else expected[output.name]
        number = output.number(case.dtype)
        got = number.decode(case.arrays[output.name].get())
        assert np.allclose(got, wanted, rtol=max(1e-4, number.eps), atol=1e-3)


def test_the_clock_probe_fills_its_records(cp: Any) -> None:
    """Each block writes three numbers, whatever they say."""
    text, step = clock_probe(5)
    out = cp.empty(15, np.uint64)
    out.data.memset(0xFF, out.nbytes)
    cp.RawModule(code=text).get_function(step.entry)(step.grid, step.block, step.arguments({"out": out}))
    assert (out.get() != np.uint64(2**64 - 1)).all()
