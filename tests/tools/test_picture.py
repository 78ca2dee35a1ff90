"""The README's picture is drawn from a published run."""

from __future__ import annotations

from picture import KERNELS, PICTURE, RUN, draw


def test_the_picture_is_of_the_published_run() -> None:
    """docs/report.svg is what `make picture` draws."""
    assert PICTURE.read_text(encoding="utf-8") == draw(), "run `make picture`"


def test_it_shows_four_kernels_of_one_run() -> None:
    """It names the run and each kernel, and is not taller than half a screen."""
    text = draw()
    assert RUN.stem in text and all(f" {kernel} float32" in text for kernel in KERNELS)
    assert int(text.split('height="')[1].split('"')[0]) < 500
