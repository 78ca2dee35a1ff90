"""How is the validation shown? A line per published row, and below them what they amount to."""

from __future__ import annotations

from bandmark.decoding.fit import fitted
from bandmark.decoding.layout import paragraphs
from bandmark.decoding.validation import MEDIAN_LIMIT, SET_ASIDE_LIMIT, Checked, Validation

ROOM = 25
"""Columns of the labels; a longer one has a line of its own."""

HEADER = f"{'':{ROOM}}{'batch':>6}{'context':>8}{'published':>10}{'expected':>9}{'error':>7}{'held':>7}{'bound':>7}"

LEGEND = (
    "published, expected and bound: tokens per second of all sequences of the batch; error: expected over published, "
    "less 1; held: the same error, held out, by a fit that has not seen the row; bound: the published peak over the "
    "bytes of a token."
)


def validation_text(checked: Validation) -> str:
    """Return the table, its legend and the verdict as text."""
    lines: list[str] = []
    before = ""
    for row in sorted(checked.checked, key=lambda c: (c.row.device, c.row.engine)):
        group = f"{row.row.device} ({row.row.peak_gbs:g} GB/s), {row.row.engine}"
        if group != before:
            lines += ["", group, HEADER]
        before = group
        lines += _lines(row)
    lines += ["", *paragraphs([LEGEND]), "", *paragraphs([_parameters()]), "", *paragraphs(_verdict(checked))]
    return "\n".join(lines).lstrip() + "\n"


def _lines(checked: Checked) -> list[str]:
    """Return the line of a row, or two where its label is long."""
    row = checked.row
    figures = (
        f"{row.step.batch:6}{row.context:8}{row.tokens_per_s:10.2f}{checked.expected:9.2f}"
        f"{checked.error:+7.1%}{checked.held_out:+7.1%}{row.bound:7.1f}"
    )
    long = len(row.label) > ROOM
    shown = [row.label, f"{'':{ROOM}}{figures}"] if long else [f"{row.label:{ROOM}}{figures}"]
    return [*shown, *(["  above the bound"] if checked.exceeds_bound else [])]


def _parameters() -> str:
    found = fitted()
    factors = ", ".join(f"{name} {factor:.2f}" for name, factor in found.engines.items())
    return (
        f"fit: {found.share:.0%} of the peak, {found.dense_layer_s * 1e6:.0f} us for a dense layer, "
        f"{found.routed_layer_s * 1e6:.0f} us for one with experts or recurrence, {found.sequence_cost:g} bytes' "
        f"reading per parameter for each further sequence; time by engine, relative to that: {factors}"
    )


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
