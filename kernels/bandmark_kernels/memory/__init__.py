"""What is measured of the memory hierarchy: chains of dependent loads, and passes that are repeated over a working set.

`chase` and `passes` say what the work is and what it must yield; `bodies` is the work itself, as Numba compiles it, and
`device` launches it on a CUDA device.
"""

NEEDED = "needs numba (pip install numba) on a CPU, or CuPy on an NVIDIA GPU"
"""What runs the bodies."""
