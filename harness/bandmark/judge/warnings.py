"""Regimes, percentages, and the reasons that make a measured figure suspect.

Every threshold is defined here. What could not be read gives no warning.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from bandmark.measure.stats import drift, two_states
from bandmark.results.row import Regime

if TYPE_CHECKING:
    from bandmark.measure.measurement import Measurement

CACHE_BELOW = 1.0
DRAM_FROM = 4.0
"""Working set over last-level cache: below CACHE_BELOW the data stay in cache, from DRAM_FROM on they come from
memory. Cyclic reads of 1.5 to 1.7 times a GPU's L2 already run at the speed of memory (gpu-benches, gpu-l2-cache)."""

PLAUSIBLE = 1.02
"""Bandwidth over peak above which a figure can't be true: 1 for the physics, 2 % for rounded datasheets."""

DRIFTS_FROM = 0.05  # change from the first to the last third of the samples that is called drift

NOISY_FROM = 0.10
"""Distance of the quartiles over the median from which a case is called noisy, as in torch.utils.benchmark."""

_THROTTLED_BELOW = 0.75  # processor clock over its maximum below which a device is held back (NVBench's threshold)

_SLOW_STATE_BELOW_MHZ = 1000.0
_SLOW_STATE = "a DGX Spark's known slow state: unplug its power supply for a minute and measure again"
"""A GB10 runs at 2400 MHz and more under load. At 500 to 850 MHz its power delivery holds it back, and cutting the
power is the known cure (github.com/Blackwellboy/model-serving-minefield, issue 55)."""

_SLOW_READS_BELOW = 0.7
"""Bandwidth of a kernel that reads over that of copy, below which a GB10 is in the slow state that spares copies: there
matrix-vector products fall to a third, and nothing else shows it. Three healthy units read as fast as they copy
(github.com/tonyd2wild/DeepSeek-V4.1-Flash-vLLM-DGX-Spark, issue 1)."""

_SLOW_READ_STATE = (
    "a DGX Spark's known slow state that spares copies: measure again, unplug its power supply if it stays"
)

_GB10 = "NVIDIA GB10"

_MIN_SAMPLES = 5  # samples below which a figure is suspect

_CONTENDED_FROM = 0.10
"""Share of the machine's processors that other programs used while sampling, from which a CPU row is suspect."""


_PREEMPTED_FROM = 0.20
"""Share of the sampling time that other programs took, above which a CPU row is suspect: the median of short
samples still holds at a fifth of them (it moved by under 3 % in caches), and nothing is known of it beyond."""


def regime(working_set_bytes: int, llc_bytes: int | None) -> Regime | None:
    """Return where the data of a case come from, or None if the cache's size is unknown."""
    if not llc_bytes:
        return None
    ratio = working_set_bytes / llc_bytes
    return "cache" if ratio < CACHE_BELOW else "mixed" if ratio < DRAM_FROM else "dram"


def percent(bandwidth_gbs: float, peak_gbs: float | None) -> float | None:
    """Return the percentage of a peak, or None where there is no peak."""
    return None if peak_gbs is None else 100 * bandwidth_gbs / peak_gbs


def rotation(copies: int | None) -> str:
    """Return the note of a row whose launches rotate through buffer sets."""
    return f"launches rotate over {copies} sets of the arrays"


def notes(measurement: Measurement) -> list[str]:
    """Return what a row says although its figure is sound."""
    rotates = measurement.copies is not None and measurement.copies > 1
    parts = [rotation(measurement.copies) if rotates else None, measurement.note]
    return [part for part in parts if part]


def sample_warnings(measurement: Measurement, *, device: str | None = None) -> list[str]:
    """Return the reasons why a verified figure may not be the machine's, whatever was measured.

    The device's name counts for the faults that single devices are known for.
    """
    seconds, clocks = measurement.seconds_per_launch, measurement.all_clocks_mhz
    warnings = [
        "the output was not verified" if measurement.max_error is None else None,
        _too_few(measurement),
        *stability_warnings(seconds),
        _throttled(clocks, measurement.max_clock_mhz),
        _slow_state(clocks, device),
        _contended(measurement.others_share),
        _preempted(measurement.preempted_time_frac),
        *measurement.warnings,
    ]
    return [warning for warning in warnings if warning]


def stability_warnings(seconds: Sequence[float]) -> list[str]:
    """Return why samples, in the order in which they were taken, have no one figure: two speeds, or drift."""
    warnings = []
    if states := two_states(seconds):
        warnings.append(f"the samples fall into two speeds, {100 * (states[1] / states[0] - 1):.0f} % apart")
    change = drift(seconds)
    if abs(change) >= DRIFTS_FROM:
        direction = "slower" if change > 0 else "faster"
        warnings.append(f"launches became {100 * abs(change):.0f} % {direction} while sampling")
    return warnings


def bandwidth_warnings(gbs: float, *, peak_gbs: float | None, regime: str | None, data: str) -> list[str]:
    """Return the reasons why a bandwidth may not be the memory's; the peak bounds rows in the dram regime only."""
    warnings = []
    if peak_gbs is not None and regime == "dram" and gbs > PLAUSIBLE * peak_gbs:
        warnings.append(
            f"{gbs:.4g} GB/s is {100 * gbs / peak_gbs:.0f} % of the peak of {peak_gbs:g} GB/s: "
            "the peak is not this device's, or a cache served part of it"
        )
    if data == "zeros":
        warnings.append("the inputs are zeros, which compressible memory moves faster")
    return warnings


def _too_few(measurement: Measurement) -> str | None:
    count = len(measurement.seconds_per_launch)
    if count < _MIN_SAMPLES:
        return f"only {count} samples were taken before the time limit; --time-limit S gives more"
    if not measurement.warmed_up:
        return "the time limit cut the warm-up short; --time-limit S gives more"
    return None


def _throttled(clocks_mhz: Sequence[float], max_clock_mhz: float | None) -> str | None:
    if not clocks_mhz or not max_clock_mhz:
        return None
    typical = median(clocks_mhz)
    # A counter that reads nonsense, such as 0, is no verdict.
    if not 0.01 * max_clock_mhz <= typical < _THROTTLED_BELOW * max_clock_mhz:
        return None
    return f"the processors ran at {typical:.0f} MHz, {100 * typical / max_clock_mhz:.0f} % of {max_clock_mhz:.0f} MHz"


def _slow_state(clocks_mhz: Sequence[float], device: str | None) -> str | None:
    if not clocks_mhz or device != _GB10 or median(clocks_mhz) >= _SLOW_STATE_BELOW_MHZ:
        return None
    return f"{median(clocks_mhz):.0f} MHz is {_SLOW_STATE}"


def slow_spell(slow_gbs: float, fast_gbs: float, clock_mhz: float | None, device: str | None) -> str | None:
    """Return the name of the slow state in which a device with such states read for a while, if it did.

    Elsewhere reads are judged beside copies; a device that read as fast as it copies a while ago is judged beside that.
    """
    if device != _GB10:
        return None
    if clock_mhz is not None and clock_mhz < _SLOW_STATE_BELOW_MHZ:
        return _SLOW_STATE
    return _SLOW_READ_STATE if slow_gbs < _SLOW_READS_BELOW * fast_gbs else None


def slow_reads(read_gbs: float, copy_gbs: float, device: str | None) -> str | None:
    """Return a warning if a verified kernel that reads is far slower than copy on a device with a slow state."""
    if device != _GB10 or read_gbs >= _SLOW_READS_BELOW * copy_gbs:
        return None
    return f"{read_gbs:.4g} GB/s is {100 * read_gbs / copy_gbs:.0f} % of what copy moves: {_SLOW_READ_STATE}"


def _preempted(time_frac: float | None) -> str | None:
    if time_frac is None or time_frac <= _PREEMPTED_FROM:
        return None
    return f"the system took processors away for {100 * time_frac:.0f} % of the sampling time; close other programs"


def _contended(others_share: float | None) -> str | None:
    if others_share is None or others_share < _CONTENDED_FROM:
        return None
    return f"other programs used {100 * others_share:.0f} % of the processors while sampling"
