"""Which claims of the documentation hold on a device, by what the steps of a full self-test left in a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bandmark.errors import FileError
from bandmark.judge.warnings import PLAUSIBLE
from bandmark.results.files import read_rows
from bandmark.results.row import Row
from bandmark.selftest.profiled import compare
from bandmark_kernels import KERNELS

WORDS = {True: "confirmed", False: "refuted", None: "not tried"}

_MIN_SAMPLES = 20
_MAX_MOVED = 1.05
"""DRAM bytes over those claimed from which a kernel reads sectors twice, or stores parts of one."""

_NEAR = 0.98
"""Share of the fastest library's copy that the CUDA kernels' should have."""

_COPY = KERNELS["copy"]
_SANITIZERS = ("memcheck", "racecheck", "initcheck")
FOUND = 9
"""Exit code with which a sanitizer says that it found something: with others it did not run."""

PROFILE = "profile.csv"
"""The log of Nsight Compute: no step has this name, whose CSV would be its rows."""

Codes = Mapping[str, int | None]
"""Exit codes of the steps by name; None for one that did not end by itself."""

Verdict = tuple[bool | None, str]
"""Whether a claim holds, None where nothing tells, and the figures."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of the documentation, and what judges it by the folder."""

    text: str
    judge: Callable[[Path, Codes], Verdict]

    def verdict(self, folder: Path, ended: Codes) -> Verdict:
        """Return whether it holds, with the figures; a file that can't be read leaves it open."""
        try:
            return self.judge(folder, ended)
        except (FileError, OSError) as error:
            return None, str(error)


def _rows(folder: Path, *names: str) -> list[Row]:
    """Return the rows of some steps."""
    return [row for name in names if (folder / f"{name}.csv").exists() for row in read_rows(folder / f"{name}.csv")]


def _verified(folder: Path, ended: Codes) -> Verdict:
    rows = [row for row in _rows(folder, *ended) if row.status not in ("unsupported", "skipped")]
    wrong = [row for row in rows if row.status in ("failed_verification", "error")]
    named = f": {wrong[0].kernel} {wrong[0].variant or wrong[0].backend}, {wrong[0].reason}" if wrong else ""
    return (not wrong if rows else None), f"{len(wrong)} of {len(rows)} rows wrong{named}"


def _selftest(name: str) -> Callable[[Path, Codes], Verdict]:
    """Return what judges by the self-test's page: one of its lines, or all of them."""

    def judge(folder: Path, _: Codes) -> Verdict:
        page = folder / "selftest.txt"
        lines = page.read_text(encoding="utf-8").splitlines() if page.exists() else []
        own = [line for line in lines if line[:4] in ("PASS", "FAIL") and name in line[6:24]]
        failed = [line for line in own if line.startswith("FAIL")]
        return (not failed if own else None), (failed or own or ["no such line"])[0][6:].strip()

    return judge


def _samples(folder: Path, _: Codes) -> Verdict:
    counts = [row.samples for row in _rows(folder, "all") if row.samples]
    return (min(counts) >= _MIN_SAMPLES if counts else None), f"{min(counts, default=0)} samples in the shortest row"


def _plausible(folder: Path, _: Codes) -> Verdict:
    shares = [row.percent_of_peak for row in _rows(folder, "all", "packed", "kv", "adamw") if row.percent_of_peak]
    most = max(shares, default=0.0)
    return (most <= 100 * PLAUSIBLE if shares else None), f"at most {most:.1f} % of the peak"


def _normal(folder: Path, _: Codes) -> Verdict:
    judged = [row for row in _rows(folder, "all") if row.verdict]
    low = [row for row in judged if (row.verdict or "").startswith("low for")]
    example = f": {low[0].kernel} {low[0].dtype}, {low[0].verdict}" if low else ""
    return (not low if judged else None), f"{len(low)} of {len(judged)} rows are low{example}"


def _beside_torch(folder: Path, _: Codes) -> Verdict:
    rows = sorted(_rows(folder, "all"), key=lambda row: row.bandwidth_gbs or 0.0)
    best = {row.backend: row.bandwidth_gbs for row in rows if KERNELS.get(row.kernel) is _COPY and row.bandwidth_gbs}
    own, highest = best.get("cupy", 0.0), max(best.values(), default=0.0)
    figures = ", ".join(f"copy {gbs:.4g} GB/s by {name}" for name, gbs in best.items())
    return (own >= _NEAR * highest if len(best) > 1 else None), figures


def _bytes(folder: Path, _: Codes) -> Verdict:
    claims, profile = folder / "claims.csv", folder / PROFILE
    if not claims.exists() or not profile.exists():
        return None, "no profile"
    moved = [one for one in compare(claims, profile) if one.read + one.written]
    off = [one for one in moved if max(one.read, one.written) > _MAX_MOVED]
    named = "".join(f"; {one.label}: read {one.read:.3f}, written {one.written:.3f} of the claim" for one in off[:3])
    return (not off if moved else None), f"{len(off)} of {len(moved)} launches move more{named}"


def _clean(_: Path, ended: Codes) -> Verdict:
    tried = {name: code for name in _SANITIZERS if (code := ended.get(name)) is not None}
    codes = {code for code in tried.values() if code in (0, FOUND)}
    return (FOUND not in codes if codes else None), ", ".join(f"{name} {code}" for name, code in tried.items())


CLAIMS = (
    Claim("Every row's output agrees with its float64 reference.", _verified),
    Claim("Every check of `bandmark selftest` passes.", _selftest("")),
    Claim("No kernel spills registers to memory.", _selftest("registers")),
    Claim("Each row of a run has at least 20 samples.", _samples),
    Claim("No figure is above what the memory can give (102 % of the peak).", _plausible),
    Claim("Percentages of the peak are normal by published measurements.", _normal),
    Claim("The CUDA kernels copy as fast as any library here, within 2 %.", _beside_torch),
    Claim("Kernels move the bytes that the kernel table claims, within 5 %.", _bytes),
    Claim("Kernels stay in their arrays, without races or uninitialized reads.", _clean),
)
