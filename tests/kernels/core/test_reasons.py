"""Are the shared reasons sentences that fit a row?"""

from __future__ import annotations

from bandmark_kernels.core import reasons


def test_reasons_are_clauses() -> None:
    """A reason is one clause without a full stop, since rows join several."""
    found = [reason for name, reason in vars(reasons).items() if name.isupper()]
    texts = [text for reason in found for text in (reason.values() if isinstance(reason, dict) else [reason])]
    assert texts
    assert all(text.strip() == text and not text.endswith(".") and "\n" not in text for text in texts)
