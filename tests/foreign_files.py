"""Results of other tools, written as their sources print them, with figures that are consistent in themselves."""

from __future__ import annotations

import json
from typing import Any

STREAM = """\
-------------------------------------------------------------
STREAM version $Revision: 5.10 $
-------------------------------------------------------------
This system uses 8 bytes per array element.
-------------------------------------------------------------
Array size = 33554432 (elements), Offset = 0 (elements)
Memory per array = 256.0 MiB (= 0.2 GiB).
Total memory required = 768.0 MiB (= 0.8 GiB).
Each kernel will be executed 10 times.
 The *best* time for each kernel (excluding the first iteration)
 will be used to compute the reported bandwidth.
-------------------------------------------------------------
Number of Threads requested = 8
Number of Threads counted = 8
-------------------------------------------------------------
Your clock granularity/precision appears to be 1 microseconds.
Each test below will take on the order of 18311 microseconds.
   (= 18311 clock ticks)
Increase the size of the arrays if this shows that
you are not getting at least 20 clock ticks per test.
-------------------------------------------------------------
WARNING -- The above is only a rough guideline.
For best results, please be sure you know the
precision of your system timer.
-------------------------------------------------------------
Function    Best Rate MB/s  Avg time     Min time     Max time
Copy:           29330.4     0.018504     0.018304     0.019268
Scale:          28580.6     0.018960     0.018785     0.019402
Add:            30674.2     0.026495     0.026254     0.026940
Triad:          30724.7     0.026442     0.026211     0.026765
-------------------------------------------------------------
Solution Validates: avg error less than 1.000000e-13 on all three arrays
-------------------------------------------------------------
"""

BABELSTREAM = """\
CUDA Driver: 13000
CUDA Device 0: "Fake GPU" 132 SMs(9,0) Memory: 2619 MHz x 5120-bit = 3352.32 GB/s PEAK, ECC is ON
function,num_times,n_elements,sizeof,max_mbytes_per_sec,min_runtime,max_runtime,avg_runtime
Copy,100,33554432,8,3.01862e+06,0.000177853,0.000181214,0.000178532
Mul,100,33554432,8,3.00731e+06,0.000178522,0.000181901,0.000179214
Add,100,33554432,8,3.07512e+06,0.000261879,0.00026502,0.000262614
Triad,100,33554432,8,3.07413e+06,0.000261963,0.000265273,0.000262712
Dot,100,33554432,8,2.9811e+06,0.000180091,0.000183811,0.000181004
"""

NVBANDWIDTH = {
    "nvbandwidth": {
        "CUDA Runtime Version": 13000,
        "Driver Version": "580.65.06",
        "GPU Device list": ["0: Fake GPU (00000000:19:00): (host)", "1: Fake GPU (00000000:3b:00): (host)"],
        "git_version": "v0.8",
        "testcases": [
            {
                "bandwidth_description": "memcpy CE CPU(row) -> GPU(column) bandwidth (GB/s)",
                "bandwidth_matrix": [["55.1", "55.2"]],
                "name": "host_to_device_memcpy_ce",
                "status": "Passed",
                "sum": 110.3,
            },
            {
                "bandwidth_description": "memcpy local GPU(column) bandwidth (GB/s)",
                "bandwidth_matrix": [["1405.5", "1398.25"]],
                "name": "device_local_copy",
                "status": "Passed",
                "sum": 2803.75,
            },
        ],
        "version": "v0.8",
    }
}


def summary(tag: str, value: float, kind: str = "float64") -> dict[str, Any]:
    """Return a summary of NVBench: its value stands as text."""
    return {"tag": tag, "name": tag, "data": [{"name": "value", "type": kind, "value": str(value)}]}


def nvbench_state(
    elements: int, dtype: str, words: int, mean_s: float, *, median: bool = True, device: int = 0
) -> dict[str, Any]:
    """Return a state of NVBench: so many words per element, a mean time, a median 1 % below it, a minimum 2 %."""
    itemsize = {"F64": 8, "F32": 4}.get(dtype, 1)
    summaries = [
        summary("nv/cold/sample_size", 500, "int64"),
        summary("nv/cold/time/gpu/min", 0.98 * mean_s),
        summary("nv/cold/time/gpu/mean", mean_s),
        summary("nv/cold/time/gpu/stdev/relative", 0.01),
        *([summary("nv/cold/time/gpu/median", 0.99 * mean_s)] if median else []),
        summary("nv/cold/bw/global/bytes_per_second", words * itemsize * elements / mean_s),
        {"tag": "nv/json/bin:nv/cold/sample_times", "hide": "Not needed in table."},
    ]
    return {
        "name": f"Device={device} T={dtype} Elements=2^25",
        "device": device,
        "type_config_index": 0,
        "axis_values": [
            {"name": "T", "type": "string", "value": dtype},
            {"name": "Elements{io}", "type": "int64", "value": str(elements)},
        ],
        "summaries": summaries,
        "is_skipped": False,
    }


def nvbench(benchmarks: dict[str, list[dict[str, Any]]]) -> str:
    """Return NVBench's JSON with these states by benchmark."""
    return json.dumps(
        {
            "meta": {"argv": ["bench"], "version": {"json": {"major": 1, "minor": 0, "patch": 0, "string": "1.0.0"}}},
            "devices": [{"id": 0, "name": "Fake GPU"}, {"id": 1, "name": "Other GPU"}],
            "benchmarks": [
                {"name": name, "index": i, "devices": [0], "axes": [], "states": states}
                for i, (name, states) in enumerate(benchmarks.items())
            ],
        },
        indent=2,
    )


def ncu_log(*launches: tuple[int, int]) -> str:
    """Return the log of Nsight Compute on launches that read and write so many bytes: --csv --page raw."""
    header = '"ID","dram__bytes_read.sum","dram__bytes_write.sum","gpu__time_duration.sum"'
    lines = [f'"{i}","{read:,}","{written:,}","900"' for i, (read, written) in enumerate(launches)]
    return "\n".join(["==PROF== Connected", header, '"","byte","byte","ns"', *lines]) + "\n"
