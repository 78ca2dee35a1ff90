"""Links between memories: what PCIe, NVLink and NVLink-C2C move one way, and what is normal on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from bandmark.results.row import Row
from bandmark.suites.base import RunFacts, Values
from bandmark.suites.table import figure
from bandmark.tables import read_table


@dataclass(frozen=True, slots=True)
class Link:
    """A generation of a link: what a lane of PCIe moves one way after the line code, or a link of NVLink.

    The ranges are what x16 is known to reach.
    """

    link: str
    lane_gbs: float
    low_gbs: float | None
    high_gbs: float | None
    fault_below_gbs: float | None
    source: str


@cache
def links() -> tuple[Link, ...]:
    """Return the generations of PCIe and NVLink, and NVLink-C2C."""
    return read_table("links.csv", Link)


def _find_link(name: str) -> Link | None:
    """Return a link by its name, None for one that is not known."""
    return next((link for link in links() if link.link == name), None)


def link_columns(facts: RunFacts, backend: str) -> Values:
    """Return the link to the host, and what it moves one way; on unified memory half of the DRAM's peak.

    A copy within one DRAM reads and writes each byte there.
    """
    if facts.device.integrated:
        return {"link": "unified memory", "link_peak_gbs": facts.peak.gbs and facts.peak.gbs / 2}
    library = facts.libraries.get(backend, {})
    known = _find_link("NVLink-C2C")
    if library.get("c2c") and known:
        return {"link": known.link, "link_peak_gbs": known.lane_gbs}
    return pcie_columns(library)


def pcie_columns(library: Mapping[str, Any]) -> Values:
    """Return the PCIe link of a device as trained at work, and what it moves one way."""
    now, most = ([library.get(f"{p}pcie_{what}") for what in ("generation", "width")] for p in ("", "max_"))
    known = _find_link(f"PCIe {now[0]}")
    if known is None or not now[1]:
        return {"link": None, "link_peak_gbs": None}
    text = f"{known.link} x{now[1]}"
    if all(most) and now != most:
        text += f" of PCIe {most[0]} x{most[1]}"
    return {"link": text, "link_peak_gbs": known.lane_gbs * now[1]}


def nvlink_columns(library: Mapping[str, Any]) -> Values | None:
    """Return the active links of NVLink together, and what they move one way; None where there are none.

    A link moves what its generation does, or less where it is clocked lower, as on a bridge.
    """
    count, speed = library.get("nvlinks"), library.get("nvlink_mbs")
    known = _find_link(f"NVLink {library.get('nvlink_generation')}")
    if not count or known is None:
        return None
    each = min(known.lane_gbs, speed / 1e3) if speed else known.lane_gbs
    return {"link": f"{known.link} x{count}", "link_peak_gbs": each * count}


def link_text(rows: Iterable[Row]) -> list[str]:
    """Return the link that rows name, with what it moves one way: a text, or none."""
    return [f"{row.link}: {figure(row.link_peak_gbs)} GB/s one way" for row in rows if row.link][:1]


def link_verdict(gbs: float, text: str, link_gbs: float) -> str | None:
    """Return whether a link moves what is normal on it; the published ranges are of x16, and fewer lanes have less."""
    known = [link for link in links() if link.low_gbs and text.startswith(f"{link.link} ")]
    if not known:
        return None
    share, limits = link_gbs / (16 * known[0].lane_gbs), (known[0].low_gbs, known[0].high_gbs, known[0].fault_below_gbs)
    low, high, fault = (share * (value or 0.0) for value in limits)
    words = "low for" if gbs < low else "above" if gbs > high else "normal for"
    limit = f"; a fault below {fault:.3g}" if gbs < fault else ""
    return f"{words} {text.partition(' of ')[0]} ({low:.3g}-{high:.3g} GB/s{limit})"
