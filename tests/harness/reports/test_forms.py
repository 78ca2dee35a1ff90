"""The form of a report follows from its file, and both must agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from bandmark.errors import UsageError
from bandmark.reports import ReportRun
from bandmark.reports.forms import FORMS, form_and_file, render
from report_runs import rows


@pytest.mark.parametrize("form", FORMS)
def test_the_form_follows_from_the_file(form: str) -> None:
    """The ending says the form, a form alone names a file here, and a dash is stdout."""
    assert form_and_file(None, f"a.{form}") == (form, Path(f"a.{form}"))
    assert form_and_file(form, None) == (form, Path(f"report.{form}")) and form_and_file(form, "-") == (form, None)
    with pytest.raises(UsageError, match="must end in"):
        form_and_file(form, "a.csv")


@pytest.mark.parametrize(("form", "begin"), [("html", b"<!DOCTYPE"), ("md", b"# "), ("svg", b"<svg")])
def test_each_form_is_written(form: str, begin: bytes) -> None:
    """The bytes are of the form."""
    assert render([ReportRun(tuple(rows()))], form).startswith(begin)
