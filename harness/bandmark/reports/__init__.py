"""How do runs look to a reader who has only a browser? A self-contained page, and the same as Markdown, SVG and PNG."""

from __future__ import annotations

FORMS = ("html", "md", "png", "svg")
"""What a report can be written as; also the endings of the files."""
