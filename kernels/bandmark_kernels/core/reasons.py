"""Why does a library not run a kernel in some dtype? The sentences that several kernels share."""

NUMPY_HALF = "NumPy computes half precision in software, far below memory speed"
TORCH_HALF_CPU = "torch computes this op in half precision far below memory speed on a CPU"
TORCH_MASTER = (
    "torch's fused AdamW takes weights, gradients and moments of one dtype: with a float32 master copy it is three ops "
    "and 40 bytes per parameter instead of 28"
)
NUMPY_ATTENTION = (
    "NumPy computes half precision in software, and even from a float32 cache its products of a few rows read less "
    "than half as fast as a dot product"
)
TORCH_ATTENTION_CPU = (
    "torch's attention on a CPU computes longer than it reads: in half precision it was measured at a quarter of a dot "
    "product's speed, where the heads of a group share one pass over the cache"
)
TORCH_NO_ATTENTION = "none of torch's fused attentions goes with such heads on this device"
TORCH_ATTENTION_FP8 = "torch's attention takes no cache of float8 codes"

NUMPY_PACKED = {
    "fp8": "NumPy has no fp8: looking codes up was measured at less than an eighth of a plain read's speed",
    "int4": "NumPy has no 4-bit numbers: taking codes apart was measured at less than a tenth of a plain read's speed",
    "nvfp4": "NumPy has no 4-bit numbers: looking codes up was measured at less than a tenth of a plain read's speed",
    "mxfp4": "NumPy has no 4-bit numbers: looking codes up was measured at less than a tenth of a plain read's speed",
}
"""By format of packed weights: the best of several forms, on blocks in the cache of a 2-vCPU Xeon with NumPy 2.4. fp8
by a table of all pairs: 0.11 of a read's speed. int4 by masks and casts: 0.08. Other 4-bit codes by a table of pairs or
of fours, before any scale: 0.08."""

TORCH_PACKED = {
    "fp16": "torch's products take weights and vectors of one dtype here: x would have to be rounded to float16",
    "bf16": "torch's products take weights and vectors of one dtype: x would have to be rounded to bfloat16",
    "fp8": "torch's products with fp8 weights (scaled_mm) take an x of fp8, too",
    "int8": (
        "torch's product with int8 weights and a float32 x (_weight_int8pack_mm) has vector instructions on Arm alone: "
        "on x86 it was measured at a tenth of a plain read's speed"
    ),
    "int4": (
        "torch's products with int4 weights read a zero point beside each scale (_weight_int4pack_mm) or round x to 8 "
        "bits (_dyn_quant_matmul_4bit)"
    ),
    "nvfp4": "torch's product with nvfp4 weights (scaled_mm, on GPUs alone) takes an x of nvfp4, too",
    "mxfp4": "torch's product with mxfp4 weights (scaled_mm, on GPUs alone) takes an x of mxfp4, too",
}
"""By format of packed weights: tried with torch 2.13 on the CPU; of CUDA what its documentation and source say."""

TORCH_PACKED_FP16 = "torch multiplies float16 weights by a float32 vector with FBGEMM, which it does not use here"
