"""CUDA sources that several kernels share."""
