"""The folder of published results."""
