"""What is held against what: by key, by size or variant where one run has several, and other tools' figures."""

from __future__ import annotations

from typing import Any

import pytest

from bandmark.comparison import Figure, Run, Side
from bandmark.comparison.pairing import common_statistic, history_figures, history_groups, pair_up
from bandmark.comparison.sides import runs_of
from bandmark.errors import UsageError
from fakes import make_result


def ours(*rows: dict[str, Any], run_id: str = "r1", **common: Any) -> Side:
    """Return a side of one run with these rows."""
    made = [make_result(run_id=run_id, **{**common, **row}) for row in rows or ({},)]
    return Side(label="ours", runs=tuple(runs_of(made)))


def theirs(*figures: Figure) -> Side:
    """Return a side of another tool's run."""
    return Side(label="theirs", runs=(Run(name="theirs", figures=figures, tool="STREAM"),))


def joined(*sides: Side) -> Side:
    """Return the runs of sides as one."""
    return Side(label="joined", runs=tuple(run for side in sides for run in side.runs))


def names(pairs: list[Any]) -> list[str]:
    """Return what the cases are called."""
    return [pair.shown.label for pair in pairs]


def test_cases_belong_together_by_key() -> None:
    """Backend, kernel, dtype and weight format decide; the order is the baseline's; the rest is noted."""
    baseline = ours({}, {"backend": "torch"}, {"dtype": "float32"}, {"kernel": "copy"})
    candidate = ours({"dtype": "float32"}, {}, {"weight_format": "mxfp4"})
    pairs, notes = pair_up(baseline, candidate)
    assert names(pairs) == ["numpy triad float64", "numpy triad float32"]
    assert notes == [
        "only in the baseline: torch triad float64, numpy copy float64",
        "only in the candidate: numpy triad mxfp4 float64",
    ]


def test_sizes_do_not_keep_cases_apart() -> None:
    """One size a run: other sizes are the same case, whose settings differ."""
    pairs, _ = pair_up(ours({"n": 1000}), ours({"n": 2000}))
    assert [[f.get("n") for f in pair.figures] for pair in pairs] == [[1000, 2000]]


@pytest.mark.parametrize("name", ["n", "m", "variant"])
def test_several_rows_of_one_key(name: str) -> None:
    """Where a run has several sizes or variants, these tell its cases apart, in the other run too."""
    a, b = ("x", "y") if name == "variant" else (10, 20)
    pairs, notes = pair_up(ours({name: a}, {name: b}), ours({name: b}, {name: 7}))
    assert [[f.get(name) for f in pair.figures] for pair in pairs] == [[b, b]]
    assert len(notes) == 2


def test_variants_keep_the_size_a_setting() -> None:
    """Variants that tell cases apart leave the size a setting that must be equal."""
    variants = ({"variant": "x"}, {"variant": "y"})
    pairs, _ = pair_up(ours(*variants), ours(*variants, n=2000))
    assert [[f.get("n") for f in pair.figures] for pair in pairs] == [[1000, 2000]] * 2


def test_runs_that_lack_a_case() -> None:
    """A case of some runs is a case, with None for the runs that lack it."""
    side = joined(ours({}, {"kernel": "copy"}), ours({}, run_id="r2"))
    pairs, _ = pair_up(side, side)
    assert [[f is not None for f in pair.baseline] for pair in pairs] == [[True, True], [True, False]]


def test_no_case_in_common() -> None:
    """Sides without a common case are refused, with what each has."""
    with pytest.raises(UsageError, match="one has numpy triad float64, the other torch copy float64"):
        pair_up(ours(), ours({"kernel": "copy", "backend": "torch"}))


@pytest.mark.parametrize("first", [True, False])
def test_another_tools_figure_fits_every_backend(first: bool) -> None:
    """Another tool's figure is held against every backend of ours, on whichever side it stands."""
    mine = ours({}, {"backend": "torch"}, {"dtype": "float32"})
    other = theirs(Figure(case={"kernel": "triad", "dtype": "float64", "n": 1000}, best=1.0))
    pairs, notes = pair_up(*((other, mine) if first else (mine, other)))
    assert names(pairs) == ["numpy triad float64", "torch triad float64"]
    assert notes == [f"only in the {'candidate' if first else 'baseline'}: numpy triad float32"]


def test_a_copy_engine_fits_every_dtype() -> None:
    """A figure without a dtype is held against every dtype."""
    pairs, _ = pair_up(
        ours({"kernel": "copy"}, {"kernel": "copy", "dtype": "float32"}),
        theirs(Figure(case={"kernel": "copy"}, value=1.0)),
    )
    assert len(pairs) == 2


def test_of_several_sizes_the_same_counts() -> None:
    """Of another tool's sizes ours is taken, or the largest where it has not ours."""
    sizes = theirs(*[Figure(case={"kernel": "triad", "dtype": "float64", "n": n}, best=1.0) for n in (10, 1000, 99)])
    assert pair_up(ours(), sizes)[0][0].candidate[0].get("n") == 1000  # type: ignore[union-attr]
    assert pair_up(ours({"n": 5}), sizes)[0][0].candidate[0].get("n") == 1000  # type: ignore[union-attr]


def test_two_other_tools() -> None:
    """Two results of other tools are held against each other as well."""
    one = theirs(Figure(case={"kernel": "add", "dtype": "float64", "n": 8}, best=1.0))
    assert names(pair_up(one, one)[0]) == ["add float64"]


def test_statistic_that_both_have() -> None:
    """The median counts where both tell it, else the best; without a common one the sides can't be compared."""
    median = theirs(Figure(case={"kernel": "copy"}, value=1.0))
    best = theirs(Figure(case={"kernel": "copy", "dtype": "float64"}, best=1.0))
    assert common_statistic(ours(), ours()) == "median"
    assert common_statistic(ours(), median) == "median"
    assert common_statistic(ours(), best) == "best" == common_statistic(best, ours())
    with pytest.raises(UsageError, match="no statistic in common"):
        common_statistic(median, best)
    failed = ours({}, {"status": "error", "reason": "x", "bandwidth_gbs": None, "bandwidth_best_gbs": None})
    assert common_statistic(failed, median) == "median"


def test_history_in_groups() -> None:
    """Stored runs of a side's system form groups of the same versions, without the compared runs and single ones."""
    runs = [run for i in range(3) for run in ours(run_id=f"h{i}").runs]
    runs += [*ours(run_id="v1", driver="2").runs, *ours(run_id="v2", driver="2").runs]
    runs += [*ours(run_id="alone", driver="3").runs, *ours(run_id="r1").runs]
    runs += [*ours(run_id="s1", system="else").runs, *ours(run_id="s2", system="else").runs]
    groups = history_groups(runs, ours(), ours(run_id="r2"))
    assert [[run.name for run in group] for group in groups] == [["h0", "h1", "h2"], ["v1", "v2"]]


def test_history_of_a_case() -> None:
    """Of a stored run only figures count that were measured like the case and are in no doubt."""
    group = [
        *ours(run_id="good").runs,
        *ours(run_id="size", n=2000).runs,
        *ours(run_id="doubt", status="suspect", reason="x").runs,
        *ours(run_id="lacks", kernel="copy").runs,
    ]
    (pair,), _ = pair_up(ours(), ours(run_id="r2"))
    assert [figure is not None for figure in history_figures(group, pair)] == [True, False, False, False]
