"""Draw the README's picture from a published run: `make picture`."""

from __future__ import annotations

from pathlib import Path

from bandmark.reports import read_report
from bandmark.reports.image import svg

ROOT = Path(__file__).parent.parent
RUN = ROOT / "results/xeon-vm-2-vcpu/20261123T113509Z-6b4e.csv"
PICTURE = ROOT / "docs/report.svg"
KERNELS = ("copy", "triad", "read", "gemv")


def draw() -> str:
    """Return the SVG of the float32 rows of four kernels, as `bandmark report --as svg` draws them."""
    (run,), _ = read_report([RUN])
    rows = tuple(row for row in run.rows if row.kernel in KERNELS and row.dtype == "float32")
    return svg([type(run)(rows)])


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
