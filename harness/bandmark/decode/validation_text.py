"""How is the validation shown? A line per published row, and below them what they amount to."""

from __future__ import annotations

from bandmark.decode.fit import fitted
from bandmark.decode.validation import MEDIAN_LIMIT, SET_ASIDE_LIMIT, Checked, Validation

HEADER = (
    f"{'model, format':41} {'engine':11} {'batch':>5} {'context':>7} {'published':>9} "
    f"{'expected':>8} {'error':>6} {'held out':>8} {'bound':>7}"
)

LEGEND = """\
published, expected and bound: tokens per second of all sequences of the batch; error: expected over published, less 1;
held out: the same error by a fit that has not seen the row; bound: the published peak over the bytes of a token."""


def validation_text(checked: Validation) -> str:
    """Return the table, its legend and the verdict as text."""
    lines = []
    device = ""
    for row in sorted(checked.checked, key=lambda c: c.row.device):
        if row.row.device != device:
            device = row.row.device
            lines += ["", f"{device} ({row.row.peak_gbs:g} GB/s)", HEADER]
        lines.append(_line(row))
    lines += ["", LEGEND, "", *_parameters(), "", *_verdict(checked)]
    return "\n".join(lines).lstrip() + "\n"


def _line(checked: Checked) -> str:
    row = checked.row
    mark = "  above the bound" if checked.exceeds_bound else ""
    return (
        f"{row.label[:41]:41} {row.engine:11} {row.step.batch:5} {row.context:7} {row.tokens_per_s:9.2f} "
        f"{checked.expected:8.2f} {checked.error:+6.1%} {checked.held_out:+8.1%} {row.bound:7.1f}{mark}"
    )


def _parameters() -> list[str]:
    found = fitted()
    factors = ", ".join(f"{name} {factor:.2f}" for name, factor in found.engines.items())
    return [
        f"fit: {found.share:.0%} of the peak, {found.dense_layer_s * 1e6:.0f} us for a dense layer, "
        f"{found.routed_layer_s * 1e6:.0f} us for one with experts or recurrence,",
        f"{found.sequence_cost:g} bytes' reading per parameter for each further sequence; "
        "time by engine, relative to that:",
        factors,
    ]


def _verdict(checked: Validation) -> list[str]:
    worst, over = checked.worst, checked.over_bound
    return [
        *(f"set aside: {row.device}, {row.label} ({row.tokens_per_s:g}): {row.set_aside}" for row in checked.set_aside),
        f"set aside: {len(checked.set_aside)} of {len(checked.checked) + len(checked.set_aside)} rows, "
        f"at most {SET_ASIDE_LIMIT} allowed",
        f"above the bound: {len(over)} rows, none allowed",
        f"median absolute error, held out: {checked.median_error:.1%}, at most {MEDIAN_LIMIT:.0%} allowed",
        f"worst row, held out: {worst.held_out:+.1%}: {worst.row.device}, {worst.row.label}, {worst.row.engine}",
        f"the validation {'holds' if checked.holds else 'FAILS'}",
    ]
