"""Tokens per second from bandwidth."""
