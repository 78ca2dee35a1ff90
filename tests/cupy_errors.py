"""The errors that CuPy 14 raises, with its texts, for the stand-in."""

from __future__ import annotations

from typing import ClassVar


class OutOfMemoryError(MemoryError):
    """What CuPy's pool raises (cupy/cuda/memory.pyx)."""

    def __init__(self, size: int, total: int) -> None:
        super().__init__(f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes).")


class CUDARuntimeError(RuntimeError):
    """What CuPy raises for errors of the CUDA runtime (cupy_backends/cuda/api/runtime.pyx)."""

    NAMES: ClassVar = {
        2: "cudaErrorMemoryAllocation: out of memory",
        35: "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version",
        100: "cudaErrorNoDevice: no CUDA-capable device is detected",
        101: "cudaErrorInvalidDevice: invalid device ordinal",
        400: "cudaErrorInvalidResourceHandle: invalid resource handle",
        600: "cudaErrorNotReady: device not ready",
        704: "cudaErrorPeerAccessAlreadyEnabled: peer access is already enabled",
        719: "cudaErrorLaunchFailure: unspecified launch failure",
        801: "cudaErrorNotSupported: operation not supported",
    }

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(self.NAMES[status])


class CUDADriverError(RuntimeError):
    """What CuPy raises for errors of the CUDA driver (cupy_backends/cuda/api/driver.pyx)."""

    NAMES: ClassVar = {
        1: "CUDA_ERROR_INVALID_VALUE: invalid argument",
        2: "CUDA_ERROR_OUT_OF_MEMORY: out of memory",
        222: "CUDA_ERROR_UNSUPPORTED_PTX_VERSION: the provided PTX was compiled with an unsupported toolchain.",
        500: "CUDA_ERROR_NOT_FOUND: named symbol not found",
        719: "CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure",
    }

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(self.NAMES[status])


class CompileException(Exception):
    """What CuPy raises where NVRTC refuses a source: its text is the compiler's log (cupy/cuda/compiler.py)."""

    def __init__(self, log: str) -> None:
        super().__init__()
        self.log = log

    def __str__(self) -> str:
        return self.log
