"""An NVIDIA GPU in use, and a CUDA kernel bound to its arrays there, timed between two events of the device."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import cupy
import numpy as np

from bandmark.backends.events import CLOCK_RECORD, REPLAYED_BELOW_S, delay_seconds, mean_clock_mhz
from bandmark.device.device import Device
from bandmark.device.sensors import Sensors
from bandmark.errors import BackendUnavailable, describe
from bandmark.measure.sampling import Reading
from bandmark_kernels import DTYPES, DType, Kernel, Operand
from bandmark_kernels.core.checks import max_error
from bandmark_kernels.core.cuda import Program, exact_scalars, launches, program
from bandmark_kernels.core.kernel import Inputs
from bandmark_kernels.core.launch import Launches, clock_probe, delay, repeats

_ByName = dict[str, Any]  # CuPy's arrays or functions by name; CuPy has no types

_GET_COMPILER = "`pip install 'cupy-cuda13x[ctk]'` (cupy-cuda12x for a CUDA 12 driver) brings what CuPy compiles with."

_NEWER_THAN_DRIVER = (209, 222)
"""CUDA_ERROR_NO_BINARY_FOR_GPU and CUDA_ERROR_UNSUPPORTED_PTX_VERSION: the compiler's code is not for this driver."""


class Gpu:
    """A CUDA device in use: the programs compiled for it, and its sensors."""

    def __init__(self, device: Device) -> None:
        """Use the device; raises BackendUnavailable if nothing can be compiled for it."""
        assert device.index is not None
        assert device.compute_capability is not None
        assert device.sm_count is not None
        self.sm_count = device.sm_count
        self._capability = device.compute_capability
        cupy.cuda.Device(device.index).use()
        khz = cupy.cuda.runtime.getDeviceProperties(device.index).get("clockRate")
        self.sensors = Sensors(bus_id(device.index), khz / 1e3 if khz else None)
        self._functions: dict[tuple[str, tuple[str, ...]], _ByName] = {}
        self._helpers = _compile_helpers(device.name)

    def compiled(self, kernel: Kernel, dtype: DType, variant: str) -> tuple[Program, _ByName]:
        """Return a kernel's program and its functions by entry point, compiled once per device."""
        compiled = program(kernel, dtype, variant, capability=self._capability)
        return compiled, self.compile(compiled.source, compiled.options, compiled.entries)

    def compile(self, text: str, options: tuple[str, ...], entries: tuple[str, ...]) -> _ByName:
        """Return the functions of a source by entry point, compiled once per device."""
        key = (text, options)
        if key not in self._functions:
            module = cupy.RawModule(code=text, options=options)
            self._functions[key] = {entry: module.get_function(entry) for entry in entries}
        return self._functions[key]

    def delay(self, launch_count: int) -> None:
        """Queue a delay behind which so many launches can be queued."""
        step = delay(int(delay_seconds(launch_count) * 1e9))[1]
        self._helpers[step.entry](step.grid, step.block, step.arguments())

    def probe_clocks(self, out: Any) -> None:
        """Queue a reading of the multiprocessors' clocks."""
        step = clock_probe(self.sm_count)[1]
        self._helpers[step.entry](step.grid, step.block, step.arguments({"out": out}))

    def repeats(self, array: Any, period: int) -> bool:
        """Return whether each element of an array has the bits of the one a period before."""
        blocks = 8 * self.sm_count
        text, options, step = repeats(array.dtype.name, blocks, period, array.size)
        functions = self.compile(text, options, (step.entry,))
        differs = cupy.empty(blocks, np.uint64)
        functions[step.entry](step.grid, step.block, step.arguments({"a": array, "differs": differs}))
        return not differs.get().any()

    def release(self) -> None:
        """Return pooled memory to the device."""
        # A device that has failed refuses this, too; the row of the launch that failed says why.
        with suppress(*cuda_errors()):
            cupy.get_default_memory_pool().free_all_blocks()

    def close(self) -> None:
        """Release programs and pooled memory."""
        self._functions.clear()
        self.release()


def bus_id(index: int) -> str | None:
    """Return a device's address on the PCI bus, by which NVML finds it, such as 0000:01:00.0."""
    try:
        return str(cupy.cuda.runtime.deviceGetPCIBusId(index))
    except cupy.cuda.runtime.CUDARuntimeError:
        return None


def _compile_helpers(device_name: str) -> _ByName:
    """Compile the delay and the clock probe: what fails here would fail for every kernel."""
    helpers = (delay(0), clock_probe(1))
    try:
        return {step.entry: cupy.RawModule(code=text).get_function(step.entry) for text, step in helpers}
    except Exception as error:  # CuPy raises many types when NVRTC is missing, too old or broken
        raise BackendUnavailable(
            f"CuPy can't compile for {device_name} ({describe(error)}). {_compile_remedy(error)}"
        ) from error


def _compile_remedy(error: Exception) -> str:
    """Return what to do about an error of compiling or loading a program."""
    if getattr(error, "status", None) in _NEWER_THAN_DRIVER:
        version = cupy.cuda.runtime.driverGetVersion()
        nvrtc = ".".join(map(str, cupy.cuda.nvrtc.getVersion()))
        return (
            f"The driver is for CUDA {version // 1000}.{version % 1000 // 10}, older than the compiler, NVRTC {nvrtc}: "
            "update the driver, or `pip install 'cupy-cuda12x[ctk]'` for a CUDA 12 driver."
        )
    if isinstance(error, OSError):
        return "Set CUPY_CACHE_DIR to a folder that can be written: CuPy keeps what it compiles there."
    return _GET_COMPILER


def cuda_errors() -> tuple[type[Exception], ...]:
    """Return what CuPy raises for errors of CUDA's runtime and of its driver."""
    return cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError


class Watch:
    """Two events around the launches of a window, behind a delay, and the clocks before and after them."""

    def __init__(self, device: Gpu) -> None:
        """Make the events and the records of the clocks."""
        self._device = device
        self._clocks = [cupy.empty(device.sm_count * CLOCK_RECORD, np.uint64) for _ in range(2)]
        self.begin, self._end = cupy.cuda.Event(), cupy.cuda.Event()

    def start(self, launches: int) -> None:
        """Queue a delay, behind which all launches are queued, and then the start event."""
        cupy.cuda.runtime.deviceSynchronize()
        self._device.delay(launches)
        self._device.probe_clocks(self._clocks[0])
        self.begin.record()

    def stop(self) -> Reading:
        """Queue the stop event, read the sensors while the device is busy, wait, and read the elapsed time."""
        self._end.record()
        self._device.probe_clocks(self._clocks[1])
        sensors = self._device.sensors.read_clock()
        cupy.cuda.runtime.deviceSynchronize()
        seconds = cupy.cuda.get_elapsed_time(self.begin, self._end) / 1e3
        before, after = (out.get().reshape(-1, CLOCK_RECORD).tolist() for out in self._clocks)
        clock = mean_clock_mhz(before, after, self._device.sensors.max_clock_mhz)
        return Reading(seconds, clock, sensors.clock_mhz, braked=sensors.throttled)

    def close(self) -> None:
        """Release the records."""
        self._clocks = []


class CupyWorkload:
    """A CUDA kernel bound to its arrays, or to several sets of them in turn."""

    def __init__(self, device: Gpu, inputs: Inputs, variant: str, copies: int) -> None:
        kernel, dtype, shape = inputs.kernel, inputs.dtype, inputs.shape
        self.inputs = inputs
        self.variant: str | None = variant
        self.copies = copies
        self._device = device
        compiled, functions = device.compiled(kernel, dtype, variant)
        self._plan: Launches = launches(compiled, shape, sm_count=device.sm_count)
        self._functions = [functions[step.entry] for step in self._plan.steps]
        self._workspace: Any = cupy.empty(max(1, self._plan.workspace_elements), self._plan.workspace_dtype)
        self._sets = [{o.name: self._new_array(o) for o in kernel.operands} for _ in range(self.copies)]
        self._timed = [self._bind(arrays, kernel.scalars) for arrays in self._sets]
        self._next = 0
        self._watch = Watch(device)
        self.can_replay = True
        self._is_short = False
        self._launches, self._queued = 0, 0  # of the present window: how many there will be, and are
        self._graph: Any = None
        self._graph_launches = 0

    @property
    def note(self) -> str | None:
        """What a row says of how its launches were made."""
        return None if self._graph is None else "launches replay from a CUDA graph"

    def start(self, launches: int) -> None:
        """Queue a delay, behind which all launches are queued, and then the start event."""
        self._launches, self._queued = launches, 0
        if self._is_short and self.can_replay and self._graph_launches != launches:
            self._capture()
        self._watch.start(launches * len(self._functions) if self._graph is None else 1)

    def launch(self) -> None:
        """Queue the kernel once, on the next set of arrays; all of a window at once where they replay from a graph."""
        self._queued += 1
        if self._graph is None:
            self._queue_next()
        elif self._queued == 1:
            self._graph.launch()

    def _queue_next(self) -> None:
        for function, grid, block, arguments in self._timed[self._next]:
            function(grid, block, arguments)
        self._next = (self._next + 1) % self.copies

    def _capture(self) -> None:
        """Make a graph of a window's launches: each then starts sooner after the one before than from a queue."""
        stream = cupy.cuda.Stream(non_blocking=True)
        with stream:
            stream.begin_capture()
            for _ in range(self._launches):
                self._queue_next()
            self._graph, self._graph_launches = stream.end_capture(), self._launches
        self._graph.upload()

    def stop(self) -> Reading:
        """Stop the watch and read it."""
        reading = self._watch.stop()
        self._is_short = self._is_short or reading.seconds < REPLAYED_BELOW_S * self._queued
        return reading

    def verify(self) -> float:
        """Launch once into poisoned outputs of the next set in turn and compare them with the reference."""
        kernel, arrays = self.inputs.kernel, self._sets[self._next]
        self._reset_outputs(arrays)
        for function, grid, block, arguments in self._bind(arrays, kernel.check_scalars):
            function(grid, block, arguments)
        cupy.cuda.runtime.deviceSynchronize()
        error = max_error(
            self.inputs,
            lambda name, start, stop: arrays[name][start:stop].get(),
            result=DTYPES[self.inputs.dtype.accumulator] if kernel.is_reduction else None,
            repeats=lambda name, period: self._device.repeats(arrays[name], period),
        )
        if kernel.check.scalars:
            self._reset_outputs(arrays)
        return error

    def close(self) -> None:
        """Release the arrays."""
        self._watch.close()
        self._timed, self._sets, self._workspace, self._graph = [], [], None, None
        self._device.release()

    def _bind(self, arrays: _ByName, scalars: Any) -> list[tuple[Any, Any, Any, Any]]:
        """Return function, grid, block and arguments of each launch of one call."""
        kernel, dtype = self.inputs.kernel, self.inputs.dtype
        values = {**arrays, **exact_scalars(kernel, dtype, scalars), "workspace": self._workspace}
        return [
            (function, step.grid, step.block, step.arguments(values))
            for function, step in zip(self._functions, self._plan.steps, strict=True)
        ]

    def _new_array(self, operand: Operand) -> Any:
        dtype = self.inputs.dtype
        storage = dtype.accumulator if operand.role == "result" else operand.stored_as(dtype)
        array = cupy.empty(operand.count(self.inputs.shape), storage)
        self._fill(operand, array)
        return array

    def _reset_outputs(self, arrays: _ByName) -> None:
        for operand in self.inputs.kernel.outputs:
            self._fill(operand, arrays[operand.name])

    def _fill(self, operand: Operand, array: Any) -> None:
        """Repeat an operand's tile by copies on the device, or set every bit, which is NaN in every format."""
        if not operand.is_read:
            array.data.memset(0xFF, array.nbytes)
            return
        tile = cupy.asarray(self.inputs.tiles[operand.name].reshape(-1))
        for start in range(0, array.size, tile.size):
            part = array[start : start + tile.size]
            part.data.copy_from_device(tile.data, part.nbytes)
        if operand.name in self.inputs.ends:
            end = self.inputs.ends[operand.name]
            array[-len(end) :].set(end)
