"""The faults that are known to make memory slow, each with what to do: data/faults.csv."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from bandmark.tables import read_table


@dataclass(frozen=True, slots=True)
class Fault:
    """A known fault. The blame is the device's; others', so that a low figure can't be judged; or it is a note."""

    sign: str
    """A regular expression for what shows it: a clause of a row's reason, or of `clauses`."""
    blame: str
    name: str
    remedy: str


@cache
def load_faults() -> tuple[Fault, ...]:
    """Return the table; of several faults that a clause may show, the first counts."""
    return read_table("faults.csv", Fault)


def known_faults(reasons: Iterable[str | None]) -> list[Fault]:
    """Return the faults that reasons show, each once; clauses of a reason are separated by semicolons."""
    parts = [clause for reason in reasons for clause in (reason or "").split("; ")]
    found = (next((fault for fault in load_faults() if re.search(fault.sign, clause)), None) for clause in parts)
    return list(dict.fromkeys(fault for fault in found if fault is not None))


def clauses(facts: Mapping[str, Any], peak_source: str) -> list[str]:
    """Return what the counters of a device, as a run record holds them, and the source of its peak say against it."""
    n = {name: float(value) for name, value in facts.items() if isinstance(value, int | float)}
    limit, usual = n.get("power_limit_w", 0), n.get("default_power_limit_w", 0)
    lanes, most = n.get("pcie_width", 0), n.get("max_pcie_width", 0)
    conditions = (
        (n.get("row_remap_failed", 0) > 0, "row remapping failed"),
        ((errors := n.get("ecc_uncorrected", 0)) > 0, f"{errors:.0f} uncorrected ECC errors since boot"),
        (n.get("row_remap_pending", 0) > 0, "row remapping is pending"),
        (0 < limit < usual, f"{limit:.0f} W of the power limit of {usual:.0f} W"),
        (0 < lanes < most, f"{lanes:.0f} of {most:.0f} PCIe lanes"),
        ((replays := n.get("pcie_replays", 0)) > 0, f"{replays:.0f} PCIe replays since boot"),
        (": 1 channel x" in peak_source, peak_source),
    )
    return [clause for holds, clause in conditions if holds]
