"""Let the tests of the CUDA sources import the helpers beside them, and share what they have loaded."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cuda_host import Host


@pytest.fixture(scope="session")
def host() -> Host:
    """What compiles kernels for the CPU when a test runs them, and keeps them loaded."""
    return Host()
