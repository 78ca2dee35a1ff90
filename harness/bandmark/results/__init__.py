"""Rows, run records and the files that hold them."""
