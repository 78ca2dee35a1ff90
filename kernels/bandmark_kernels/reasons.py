"""Why does a library not run a kernel in some dtype? The sentences that several kernels share."""

NUMPY_HALF = "NumPy computes half precision in software, far below memory speed"
TORCH_HALF_CPU = "torch computes this op in half precision far below memory speed on a CPU"
NUMPY_PACKED = "NumPy has no product with such weights, and converts them to float32 far below memory speed"
TORCH_PACKED = (
    "torch has no op that reads such weights once and multiplies by float32 vectors into a given float32 output"
)
TORCH_MASTER = (
    "torch's fused AdamW takes weights, gradients and moments of one dtype: with a float32 master copy it is three ops "
    "and 40 bytes per parameter instead of 28"
)
NUMPY_ATTENTION = (
    "NumPy computes half precision in software, and even from a float32 cache its products of a few rows read less "
    "than half as fast as a dot product"
)
TORCH_ATTENTION_CPU = (
    "torch's attention on a CPU computes longer than it reads: in no dtype is it more than a third as fast as a dot "
    "product, even where the heads of a group share one pass over the cache"
)
TORCH_ATTENTION_FP8 = "torch's attention takes no cache of float8 codes"
