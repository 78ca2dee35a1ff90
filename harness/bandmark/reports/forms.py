"""The forms that a report can be written in, and the file that it goes to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bandmark.errors import UsageError
from bandmark.reports import ReportRun

FORMS = ("html", "md", "png", "svg")
"""What a report can be written as; also the suffixes of the files."""


def form_and_file(kind: str | None, output: str | None) -> tuple[str, Path | None]:
    """Return what to write and where, None being stdout; raises UsageError if the two do not fit."""
    if output == "-":
        return kind or "html", None
    path = Path(output or f"report.{kind or 'html'}")
    suffix = path.suffix.removeprefix(".").lower()
    if suffix not in FORMS or (kind is not None and kind != suffix):
        wanted = f".{kind}" if kind else ", ".join(f".{name}" for name in FORMS)
        raise UsageError(f"--output {path} must end in {wanted}, or be - for stdout.")
    return suffix, path


def render(runs: Sequence[ReportRun], kind: str) -> bytes:
    """Return a report in one of the formats; raises BackendUnavailable where a PNG can't be drawn here."""
    if kind == "png":
        from bandmark.reports.image import png

        return png(runs)
    if kind == "svg":
        from bandmark.reports.image import svg as write
    elif kind == "md":
        from bandmark.reports.markdown import page as write
    else:
        from bandmark.reports.page import page as write
    return write(runs).encode()
