"""Lay the DRAM bytes of Nsight Compute beside the claims of ncu_bytes.py.

usage: python ncu_compare.py CLAIMS.csv NCU.csv    (ncu --csv --page raw --print-units base)
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path


def compare(claims: Iterable[dict[str, str]], profiled: list[dict[str, str]]) -> Iterator[str]:
    """Yield a line for each claim: DRAM bytes over those claimed, and the bandwidth in the profiler."""
    position = 0
    for claim in claims:
        rows = profiled[position : position + int(claim["launches"])]
        position += len(rows)
        read, written, ns = (
            sum(float(row[name].replace(",", "")) for row in rows)
            for name in ("dram__bytes_read.sum", "dram__bytes_write.sum", "gpu__time_duration.sum")
        )
        claimed_read, claimed_written = int(claim["read"]), int(claim["written"])
        claimed = claimed_read + claimed_written
        yield (
            f"{claim['label']:14} {claim['variant']:15} read {read / max(1, claimed_read):7.4f} x claimed, "
            f"written {written / max(1, claimed_written):7.4f} x, both {(read + written) / claimed:7.4f} x; "
            f"{claimed / ns:6.0f} GB/s in ncu"
        )
    yield f"rows left over: {len(profiled) - position}"


def main(claims: str, profile: str) -> None:
    """Print the comparison of two files."""
    lines = [line for line in Path(profile).read_text("utf-8").splitlines() if line.startswith('"')]
    profiled = [row for row in csv.DictReader(lines) if row["ID"].strip().isdigit()]
    with open(claims, encoding="utf-8", newline="") as file:
        print("\n".join(compare(csv.DictReader(file), profiled)))


if __name__ == "__main__":
    main(*sys.argv[1:])
