"""What do the tests of the CUDA sources share? The helpers beside them, and one set of compiled kernels a session."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cuda_check import ALL_CASES, TABLE, host_source, make_program
from cuda_host import Host

from bandmark_kernels import DTYPES


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """Every kernel, dtype and variant, compiled for the CPU."""
    host = Host(tmp_path_factory.mktemp("cuda_host"))
    host.compile(host_source(make_program(TABLE[k], DTYPES[d], v)) for k, d, v in ALL_CASES)
    return host
