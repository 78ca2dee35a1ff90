"""Why does a library not run a kernel in some dtype? The sentences that several kernels share."""

NUMPY_HALF = "NumPy computes half precision in software, far below memory speed"
TORCH_HALF_CPU = "torch computes this op in half precision far below memory speed on a CPU"
