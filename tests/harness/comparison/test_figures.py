"""Figures, runs and sides: what they say of themselves."""

from __future__ import annotations

from bandmark.comparison.figures import Figure, Run, Side


def test_name_and_key_of_a_figure() -> None:
    """A figure is called by what identifies its case; size and variant are not part of its key."""
    case = {"backend": "cupy", "kernel": "gemv", "dtype": "float16", "weight_format": "mxfp4"}
    one = Figure(case=case)
    assert one.label == "cupy gemv mxfp4 float16"
    assert one.key == ("bandwidth_gbs", "cupy", "gemv", "float16", "mxfp4")
    assert Figure(case={**case, "n": 7, "variant": "x"}).key == one.key
    assert Figure(case={"kernel": "copy"}).label == "copy"


def test_what_a_side_consists_of() -> None:
    """A side lists the devices and systems of its runs once each, and knows whether all runs are ours."""
    runs = [
        Run(name="1", figures=(), system="a", device="GPU"),
        Run(name="2", figures=(), system="a", device="GPU"),
        Run(name="3", figures=(), tool="STREAM"),
    ]
    both = Side(label="x", runs=tuple(runs))
    assert both.devices == ("GPU",) and both.systems == ("a",)
    assert not both.is_ours and Side(label="x", runs=tuple(runs[:2])).is_ours
