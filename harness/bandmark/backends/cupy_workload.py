"""The workload on an NVIDIA GPU: a CUDA kernel bound to its arrays, timed between two events of the device."""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np

from bandmark.backends.cupy_devices import Gpu
from bandmark.backends.events import CLOCK_RECORD, mean_clock_mhz
from bandmark.measure.sampling import Reading
from bandmark_kernels import DTYPES, Operand
from bandmark_kernels.core.checks import max_error
from bandmark_kernels.core.cuda import exact_scalars, launches
from bandmark_kernels.core.kernel import Inputs
from bandmark_kernels.core.launch import Launches


class CupyWorkload:
    """A CUDA kernel bound to its arrays, or to several sets of them in turn."""

    def __init__(self, device: Gpu, inputs: Inputs, variant: str, copies: int) -> None:
        kernel, dtype, shape = inputs.kernel, inputs.dtype, inputs.shape
        self.inputs = inputs
        self.variant = variant
        self.copies = copies
        self._device = device
        program, functions = device.compiled(kernel, dtype, variant)
        self._plan: Launches = launches(program, shape, sm_count=device.sm_count)
        self._functions = [functions[step.entry] for step in self._plan.steps]
        self._workspace: Any = cupy.empty(max(1, self._plan.workspace_elements), self._plan.workspace_dtype)
        self._sets = [{o.name: self._new_array(o) for o in kernel.operands} for _ in range(self.copies)]
        self._timed = [self._bind(arrays, kernel.scalars) for arrays in self._sets]
        self._next = 0
        self._clocks = [cupy.empty(device.sm_count * CLOCK_RECORD, np.uint64) for _ in range(2)]
        self._begin, self._end = cupy.cuda.Event(), cupy.cuda.Event()

    def start(self, launch_count: int) -> None:
        """Queue a delay, behind which all launches are queued, and then the start event."""
        cupy.cuda.runtime.deviceSynchronize()
        self._device.delay(launch_count * len(self._functions))
        self._device.probe_clocks(self._clocks[0])
        self._begin.record()

    def launch(self) -> None:
        """Queue the kernel once, on the next set of arrays."""
        for function, grid, block, arguments in self._timed[self._next]:
            function(grid, block, arguments)
        self._next = (self._next + 1) % self.copies

    def stop(self) -> Reading:
        """Queue the stop event, read the sensors while the device is busy, wait, and read the elapsed time."""
        self._end.record()
        self._device.probe_clocks(self._clocks[1])
        sensors = self._device.sensors.read_clock()
        cupy.cuda.runtime.deviceSynchronize()
        seconds = cupy.cuda.get_elapsed_time(self._begin, self._end) / 1e3
        before, after = (out.get().reshape(-1, CLOCK_RECORD).tolist() for out in self._clocks)
        clock = mean_clock_mhz(before, after, self._device.sensors.max_clock_mhz)
        return Reading(seconds, clock, sensors.clock_mhz, braked=sensors.throttled)

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
        )
        if kernel.check.scalars:
            self._reset_outputs(arrays)
        return error

    def close(self) -> None:
        """Release the arrays."""
        self._timed, self._sets, self._clocks, self._workspace = [], [], [], None
        self._device.release()

    def _bind(self, arrays: dict[str, Any], scalars: Any) -> list[tuple[Any, Any, Any, Any]]:
        """Return function, grid, block and arguments of each launch of one call."""
        kernel, dtype = self.inputs.kernel, self.inputs.dtype
        values = {**arrays, **exact_scalars(kernel, dtype, scalars), "workspace": self._workspace}
        return [
            (function, step.grid, step.block, step.arguments(values))
            for function, step in zip(self._functions, self._plan.steps, strict=True)
        ]

    def _new_array(self, operand: Operand) -> Any:
        """Return an operand as a flat array on the device, filled or poisoned."""
        dtype = self.inputs.dtype
        storage = dtype.accumulator if operand.role == "result" else operand.stored_as(dtype)
        array = cupy.empty(operand.count(self.inputs.shape), storage)
        self._fill(operand, array)
        return array

    def _reset_outputs(self, arrays: dict[str, Any]) -> None:
        """Poison what is only written, and give what is worked on in place its contents again."""
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
