"""Are the shared reasons sentences that fit a row?"""

from __future__ import annotations

from bandmark_kernels import reasons


def test_reasons_are_clauses() -> None:
    """A reason is one clause without a full stop, since rows join several."""
    texts = [text for name, text in vars(reasons).items() if name.isupper()]
    assert texts
    assert all(text.strip() == text and not text.endswith(".") and "\n" not in text for text in texts)
