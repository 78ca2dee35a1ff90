"""10,000 pairs of result files are read and judged in under a minute and a gigabyte: seconds and memory are printed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from fleets import folder_of

_COMMAND = """
import re, sys
from bandmark.cli.app import main
code = main(["fleet", sys.argv[1], "--format", "exclude"])
# ru_maxrss would be that of the process which started this one, where that is larger.
kilobytes = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]
print(int(kilobytes) // 1024, file=sys.stderr)
raise SystemExit(code)
"""


@pytest.mark.parametrize("pairs", [100, pytest.param(10_000, marks=pytest.mark.slow)])
def test_fleet_of_pairs(pairs: int, tmp_path: Path, benchmark) -> None:
    """The slow nodes are found, and they alone, in a bounded amount of memory."""
    folder = folder_of(tmp_path / "results", pairs, slow=3)

    def judge() -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", _COMMAND, folder], capture_output=True, text=True, check=False)

    begin = time.monotonic()
    done = benchmark.pedantic(judge, rounds=1)
    megabytes = int(done.stderr.split()[-1])
    print(f"{pairs} pairs: {time.monotonic() - begin:.1f} s, {megabytes} MB")
    assert done.returncode == 1 and done.stdout == "node0,node1,node2\n"
    assert megabytes < 1000
