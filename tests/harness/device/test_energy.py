"""Energy counters of a CPU: which are added, how they start again, and what is said where there are none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.device.energy import Rapl, _difference_uj, _Zone
from system_files import write

RANGE_UJ = 262_143_328_850


def zone(name: str, kind: str, energy_uj: str = "1000000", range_uj: str = str(RANGE_UJ)) -> dict[str, str]:
    """The files of one zone."""
    folder = f"sys/class/powercap/{name}"
    files = {"name": f"{kind}\n", "energy_uj": f"{energy_uj}\n", "max_energy_range_uj": f"{range_uj}\n"}
    return {f"{folder}/{file}": text for file, text in files.items()}


MACHINE = {
    **zone("intel-rapl:0", "package-0"),
    **zone("intel-rapl:0:0", "core"),
    **zone("intel-rapl:0:1", "dram"),
    **zone("intel-rapl:1", "psys"),
    **zone("intel-rapl-mmio:0", "package-0"),
}


def test_packages_and_their_memory_are_added_and_no_part_twice(tmp_path: Path) -> None:
    """Core is part of a package, psys covers it, and the mmio zones are the same packages again."""
    rapl = Rapl(write(tmp_path, MACHINE))
    before = rapl.read()
    assert rapl.reason is None and set(before) == {"intel-rapl:0", "intel-rapl:0:1"}
    for name, kind in (("intel-rapl:0", "package-0"), ("intel-rapl:0:0", "core"), ("intel-rapl:0:1", "dram")):
        write(tmp_path, zone(name, kind, "4000000"))
    assert rapl.joules(before, rapl.read()) == pytest.approx(6.0)


@given(st.integers(0, RANGE_UJ - 1), st.integers(0, RANGE_UJ - 1))
def test_a_counter_that_starts_again_loses_nothing(start: int, spent: int) -> None:
    """Whatever a counter shows first, the energy of less than one range is what was spent."""
    assert _difference_uj(start, (start + spent) % RANGE_UJ, _Zone(Path("energy_uj"), RANGE_UJ)) == spent


@pytest.mark.parametrize(
    "files",
    [
        {},
        zone("intel-rapl:0", "core"),
        zone("intel-rapl:0", "package-0", range_uj="0"),
        zone("intel-rapl:0", "package-0", range_uj="none"),
    ],
)
def test_without_a_counter_the_reason_says_where_it_would_be(tmp_path: Path, files: dict[str, str]) -> None:
    """No zone, no package or a range that is no number: there is no energy, and the reason names the folder."""
    rapl = Rapl(write(tmp_path, files))
    assert rapl.reason is not None and "/sys/class/powercap" in rapl.reason
    assert rapl.joules(rapl.read(), rapl.read()) is None


def test_counters_that_only_root_reads_say_what_to_do(tmp_path: Path) -> None:
    """A counter that exists and can't be read is told from one that is missing, even if others can be read."""
    write(tmp_path, MACHINE)
    (tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj").unlink()
    rapl = Rapl(tmp_path)
    assert rapl.reason is not None and "root" in rapl.reason and "chmod" in rapl.reason
    assert rapl.joules(rapl.read(), rapl.read()) is None


def test_dead_counters_give_no_energy(tmp_path: Path) -> None:
    """Counters that never move, as in a virtual machine, are unknown and not 0 J."""
    rapl = Rapl(write(tmp_path, MACHINE))
    assert rapl.joules(rapl.read(), rapl.read()) is None
