"""bandmark explain: every name has its meaning, from the tables that define it."""

from __future__ import annotations

import pytest

from bandmark.cli.app import main
from bandmark.results.row import STATUSES, columns
from bandmark.suites import SUITES
from bandmark_kernels import DTYPES, KERNELS

TERMS = ("GB/s", "%peak", "%Spark", "spread", "f64", "dram", "converged", "nvfp4")
NAMES = [*KERNELS, *SUITES, *STATUSES, *DTYPES, *TERMS]


def explained(name: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines about a name."""
    assert main(["explain", name]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("name", [*NAMES, *(column.name for column in columns())])
def test_every_name_is_explained_in_a_few_lines(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """At most three lines for each meaning, of which the first names it."""
    lines = explained(name, capsys)
    assert name in lines[0]
    assert all(1 <= len(part.splitlines()) <= 3 for part in "\n".join(lines).split("\n\n"))


def test_a_kernel_a_column_and_a_status(capsys: pytest.CaptureFixture[str]) -> None:
    """What is told is what the kernel table, the columns and the statuses say."""
    assert KERNELS["triad"].formula in explained("triad", capsys)[0]
    column = next(c for c in columns() if c.name == "percent_of_peak")
    assert column.doc in explained("percent_of_peak", capsys)[0]
    assert "without a warning" in explained("ok", capsys)[0]


def test_a_word_of_the_guide(capsys: pytest.CaptureFixture[str]) -> None:
    """A word that is no name is looked up in the legends and in the guide of reports."""
    assert any("STREAM" in line for line in explained("STREAM", capsys))


def test_without_a_name_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each kind, with every name."""
    assert main(["explain"]) == 0
    listed = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert set(KERNELS) == set(listed["kernels"].split(", ")) and set(listed["statuses"].split(", ")) == set(STATUSES)
    assert {"suites", "headings", "columns", "terms"} <= set(listed)


def test_a_misspelt_name(capsys: pytest.CaptureFixture[str]) -> None:
    """The nearest name is suggested, and where the others are listed."""
    assert main(["explain", "traid"]) == 2
    assert "unknown name 'traid'. Did you mean 'triad'? `bandmark explain` lists" in capsys.readouterr().err
