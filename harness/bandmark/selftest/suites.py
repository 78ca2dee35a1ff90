"""Check on this device what the suites launch beside the kernel table: each case of a small plan, verified."""

from __future__ import annotations

from collections.abc import Iterator

from bandmark.backends.select import Target
from bandmark.errors import describe
from bandmark.measure.sampling import take
from bandmark.options import RunOptions
from bandmark.selftest.checks import Check, named
from bandmark.suites import SUITES
from bandmark.suites.base import Case, Group, Suite

_OPTIONS = RunOptions(size_bytes=2**20, quick=True, seed=1)
_LAUNCHES = 2  # of a window: some work goes on where the last launch ended
_EXPECTED = "every case verified after two launches; what needs more than this device is named"


def check_suites(target: Target) -> Iterator[Check]:
    """Yield a check for each suite of `--suite all`; the kernel table itself is checked by `check_results`."""
    for suite in SUITES.values():
        if suite.in_all and suite is not SUITES["bandwidth"]:
            yield _check(suite, target)


def _check(suite: Suite, target: Target) -> Check:
    try:
        groups = suite.plan(_OPTIONS, target)
    except Exception as error:  # a library may raise anything; the page says what
        return Check(suite.name, False, f"it can't be planned: {describe(error)}", _EXPECTED)
    tried = [(_label(case), _error(group, case)) for group in groups for case in group.cases]
    left_out = dict.fromkeys(str(error) for _, error in tried if isinstance(error, NotImplementedError))
    ran = [(label, error) for label, error in tried if not isinstance(error, NotImplementedError)]
    failures = [f"{label}: {problem}" for label, error in ran if (problem := _problem(error))]
    errors = [error for _, error in ran if isinstance(error, float) and error <= 1]
    parts = [f"{len(failures)} of {len(errors) + len(failures)} wrong{named(failures)}"] if failures else []
    parts += [f"{len(errors)} right, worst error {max(errors):.2g}"] if errors else []
    parts += [f"not tried: {'; '.join(left_out)}"] if left_out else []
    return Check(suite.name, not failures if errors or failures else None, ", ".join(parts), _EXPECTED, tuple(failures))


def _error(group: Group, case: Case) -> float | Exception:
    """Return the error of a case in units of the tolerance, or what it raised; NotImplementedError: it does not run."""
    if case.skip_reason is not None:
        return NotImplementedError(case.skip_reason)
    try:
        workload = group.prepare(case, group.inputs(_OPTIONS), group.copies())
        try:
            take(workload, _LAUNCHES)
            return workload.verify()
        finally:
            workload.close()
    except Exception as error:  # as above
        return error


def _problem(error: float | Exception) -> str:
    """Return what is wrong, in words; nothing for an error within the tolerance."""
    if isinstance(error, Exception):
        return describe(error)
    return "" if error <= 1 else f"wrong by {error:.3g}"


def _label(case: Case) -> str:
    return " ".join(str(case.columns[name]) for name in ("kernel", "dtype", "pattern") if case.columns.get(name))
