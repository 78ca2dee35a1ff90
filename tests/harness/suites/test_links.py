"""Links: their table, and which of them is between two memories."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from bandmark.suites.links import links
from bandmark.suites.peer import Peer


@pytest.mark.parametrize(
    ("library", "link", "gbs"),
    [
        ({"nvlink_generation": 4, "nvlinks": 18, "nvlink_mbs": 26562}, "NVLink 4 x18", 450.0),
        ({"nvlink_generation": 5, "nvlinks": 18, "nvlink_mbs": 53125}, "NVLink 5 x18", 900.0),
        ({"nvlink_generation": 3, "nvlinks": 4, "nvlink_mbs": 14062}, "NVLink 3 x4", 56.248),
        ({"c2c": True, "pcie_generation": 5, "pcie_width": 16}, "PCIe 5 x16", pytest.approx(63.0, rel=1e-3)),
        ({}, None, None),
    ],
)
def test_the_link_between_gpus(library: dict[str, Any], link: str | None, gbs: Any) -> None:
    """It is NVLink by generation, links and clock, else PCIe, and never the link to the host's memory."""
    facts: Any = SimpleNamespace(libraries={"cupy": library}, device=SimpleNamespace(integrated=False))
    assert Peer().link(facts, "cupy") == {"link": link, "link_peak_gbs": gbs}


def test_links_double() -> None:
    """Each generation of PCIe has about twice the rate of the one before, and each row its source."""
    rates = [link.lane_gbs for link in links() if link.link.startswith("PCIe")]
    assert all(1.9 <= b / a <= 2.1 for a, b in pairwise(rates))
    assert all(link.source for link in links())
