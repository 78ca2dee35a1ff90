"""The systems of a prediction: the measured ones and the three named ones."""

from __future__ import annotations

import pytest

from bandmark.decoding.measured import MeasuredSystem
from bandmark.decoding.systems import NAMED, choose, measured_system, published_system
from bandmark.errors import UsageError
from bandmark.models.weights import FORMATS
from fakes import make_result

HERE = MeasuredSystem("my-box", "Fake GPU", (make_result(kernel="gemv", bandwidth_gbs=50.0),), 64 * 10**9)


def test_peaks_and_memory_of_the_named_systems() -> None:
    """The published peaks, the Station's twice: shipping and announced; memory sizes and sources from the catalog."""
    systems = [published_system(named) for named in NAMED]
    assert [s.weight_gbs for s in systems] == [273, 1344, 7100, 8000]
    assert [s.memory_bytes for s in systems] == [128e9, 48e9, 252e9, 252e9]
    assert [s.device_class for s in systems] == ["unified", "card", "hbm", "hbm"]
    assert all(s.source and not s.measured for s in systems)
    assert "shipping" in systems[2].notes[0] and "announced" in systems[3].notes[0]


def test_a_measured_system_says_what_was_measured() -> None:
    """Its bandwidths are the rows', and the notes say of which kernel."""
    found = measured_system(HERE, FORMATS["fp8"])
    assert (found.weight_gbs, found.cache_gbs, found.measured, found.memory_bytes) == (50, 50, True, 64e9)
    assert "no gemv row in fp8" in found.notes[0] and "no kv or read row" in found.notes[1]


def test_one_system_by_name() -> None:
    """Without a name all are chosen; with one, that one; an unknown one brings the nearest."""
    assert choose([HERE], None) == ([HERE], list(NAMED))
    assert choose([HERE], "my-box") == ([HERE], [])
    assert choose([HERE], "dgx-spark") == ([], [NAMED[0]])
    with pytest.raises(UsageError, match="Did you mean 'dgx-station'"):
        choose([HERE], "dgx-statoin")
