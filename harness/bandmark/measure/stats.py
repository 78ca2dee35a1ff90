"""Statistics of the samples of one case: pure functions on seconds per launch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Summary:
    """The order statistics of a case's samples, in seconds per launch."""

    samples: int
    median_s: float
    min_s: float
    q1_s: float
    q3_s: float
    max_s: float
    ci95_rel: float | None
    """Half-width of the 95 % confidence interval of the median over the median; None below six samples."""


def quantile(ordered: Sequence[float], q: float) -> float:
    """Return the q-quantile of sorted values, interpolated linearly (Hyndman and Fan's type 7, as in NumPy)."""
    position = q * (len(ordered) - 1)
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def _median_ranks(n: int, confidence: float = _CONFIDENCE) -> tuple[int, int] | None:
    """Return the 1-based ranks whose values enclose the median with at least this confidence, or None.

    The number of n independent samples below the median is binomial(n, 1/2), whatever the distribution, so the
    interval from rank k to rank n + 1 - k covers it with probability 1 - 2 P(B < k) (H. A. David and H. N. Nagaraja,
    Order Statistics, section 7.1).
    """
    tail, best, term = 0.0, 0, 0.5**n if n < 1000 else 0.0
    if n >= 1000:  # 0.5 ** n underflows; the normal approximation is exact to a rank here
        k = math.floor(n / 2 - 1.959964 * math.sqrt(n) / 2)
        return k, n + 1 - k
    for k in range(1, n // 2 + 1):
        tail += term
        if 1 - 2 * tail < confidence:
            break
        best = k
        term *= (n - k + 1) / k
    return (best, n + 1 - best) if best else None


def _median_interval(ordered: Sequence[float]) -> tuple[float, float] | None:
    """Return the distribution-free 95 % confidence interval of the median of sorted values, or None below six."""
    ranks = _median_ranks(len(ordered))
    return None if ranks is None else (ordered[ranks[0] - 1], ordered[ranks[1] - 1])


def summarize(seconds: Sequence[float]) -> Summary:
    """Summarize the samples of a case; raises ValueError if there are none."""
    if not seconds:
        raise ValueError("no samples to summarize")
    ordered = sorted(seconds)
    middle = median(ordered)
    interval = _median_interval(ordered)
    return Summary(
        samples=len(ordered),
        median_s=middle,
        min_s=ordered[0],
        q1_s=quantile(ordered, 0.25),
        q3_s=quantile(ordered, 0.75),
        max_s=ordered[-1],
        ci95_rel=None if interval is None else (interval[1] - interval[0]) / 2 / middle,
    )


def relative_stdev(values: Sequence[float]) -> float:
    """Return the sample standard deviation over the mean; infinite below two values or for a mean of zero."""
    if len(values) < 2:
        return math.inf
    mean = fmean(values)
    variance = sum((v - mean) ** 2 for v in values) / (len(values) - 1)
    return math.sqrt(variance) / mean if mean else math.inf


def drift(seconds: Sequence[float]) -> float:
    """Return the change from the first third to the last, over the median, if it stands out; else 0.

    It stands out when the medians of the thirds differ by more than three times the quartile distance within them.
    Below twelve samples a third says too little.
    """
    third = len(seconds) // 3
    if third < 4:
        return 0.0
    first, last = sorted(seconds[:third]), sorted(seconds[-third:])
    spread = max(quantile(part, 0.75) - quantile(part, 0.25) for part in (first, last))
    change = median(last) - median(first)
    return change / median(seconds) if abs(change) > 3 * spread else 0.0


def two_states(seconds: Sequence[float]) -> tuple[float, float] | None:
    """Return the medians of two separate speeds, if the samples fall into two; else None.

    The samples are cut at the widest gap that leaves a fifth of them on each side. They are two states if the gap is
    wider than twice the spread (5th to 95th percentile) within either side, and than 5 % of the median.
    """
    ordered = sorted(seconds)
    n = len(ordered)
    least = max(3, n // 5)
    if n < 2 * least:
        return None
    cut = max(range(least, n - least + 1), key=lambda k: ordered[k] - ordered[k - 1])
    low, high = ordered[:cut], ordered[cut:]
    gap = high[0] - low[-1]
    spread = max(quantile(part, 0.95) - quantile(part, 0.05) for part in (low, high))
    if gap <= 2 * spread or gap <= 0.05 * median(ordered):
        return None
    return median(low), median(high)
