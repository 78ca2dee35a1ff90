"""Vector kernels."""
