"""The published rates: every row has a step, a source and a bound that it keeps."""

from __future__ import annotations

import pytest

from bandmark.decoding.published import Published, load_published, usable
from bandmark.device.catalog import load_catalog

ROWS = load_published()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.label} {row.engine} {row.step.batch}")
def test_every_row_is_whole(row: Published) -> None:
    """A row has a rate, a source that is no one's memory, and bytes between a tenth and a hundred gigabytes."""
    assert row.tokens_per_s > 0 and row.source and not row.source.startswith("memory")
    assert 1e8 < row.step.bytes < 1e11
    assert row.seconds == pytest.approx(row.step.batch / row.tokens_per_s)


def test_no_bound_is_exceeded() -> None:
    """Nobody publishes more than the peak over the bytes of a token allows, and one row at most two are set aside."""
    assert [row.label for row in usable(ROWS) if row.tokens_per_s > row.bound] == []
    assert len(ROWS) - len(usable(ROWS)) <= 2 and len(ROWS) >= 40


def test_peaks_are_those_of_the_catalog() -> None:
    """The peak beside a rate is the one that the catalog gives for the device."""
    known = {row.id: row.published_gbs for row in load_catalog()}
    for row in usable(ROWS):
        if row.device in known:
            assert row.peak_gbs == pytest.approx(known[row.device]), row.device
    assert {"dgx-spark-gb10", "rtx-5070"} <= set(known)
