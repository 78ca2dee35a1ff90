"""Sampling and its statistics."""
