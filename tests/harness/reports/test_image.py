"""Pictures of a report: an SVG that stands alone, and the same as a PNG."""

from __future__ import annotations

import re
import struct
import sys
import zlib
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bandmark.backends.discovery import BACKENDS
from bandmark.errors import BackendUnavailable, UsageError
from bandmark.reports import ReportRun
from bandmark.reports import image as image_module
from bandmark.reports.charts import THEME
from bandmark.reports.image import png, svg
from fakes import make_result
from report_runs import hostile, rows

LIGHT = dict(re.findall(r"--(\w+):(#\w+)", THEME.partition("@media")[0]))
SVG = "{http://www.w3.org/2000/svg}"
EMPTY = ReportRun((make_result(status="error", reason="it broke", bandwidth_gbs=None),))


def test_the_svg_stands_alone() -> None:
    """It is sound XML with a title, a style for both themes, unique ids, and a bar for every figure of every run."""
    drawn = ElementTree.fromstring(svg([ReportRun(tuple(rows())), EMPTY, hostile()]))
    ids = [e.get("id") for e in drawn.iter() if e.get("id")]
    assert len(set(ids)) == len(ids)
    assert drawn.get("aria-labelledby") == "title desc" and {"title", "desc"} <= set(ids)
    bars = [r for r in drawn.iter(f"{SVG}rect") if r.get("height") == "11" and r.get("class") != "doubt"]
    assert len(bars) == 6 + 2
    assert "prefers-color-scheme:dark" in (drawn.findtext(f"{SVG}style") or "")
    assert not {e.tag for e in drawn.iter()} & {f"{SVG}script", f"{SVG}image", f"{SVG}foreignObject"}


def test_nothing_lies_on_anything_else() -> None:
    """Tracks of two runs follow each other downwards within the picture, and so do the lines of words beside them."""
    drawn = ElementTree.fromstring(svg([ReportRun(tuple(rows(peak_gbs=30.0))), ReportRun(tuple(rows(system="b")))]))
    wide = [s for s in drawn.findall(f"{SVG}svg") if float(s.get("width") or 0) > 100]
    places = [(float(s.get("y") or 0), float(s.get("height") or 0)) for s in wide]
    assert len(places) == 2 * (6 + 1), "six bars and an axis each"
    assert all(y + height <= below for (y, height), (below, _) in pairwise(places))
    assert places[-1][0] + places[-1][1] < float(drawn.get("height") or 0)
    for end in (None, "end"):
        lines = [float(t.get("y") or 0) for t in drawn.findall(f"{SVG}text") if t.get("text-anchor") == end]
        assert lines == sorted(lines)
        assert all(below - y >= 15 or below == y for y, below in pairwise(lines))


@pytest.mark.parametrize("draw", [svg, png])
def test_nothing_to_draw_is_said(draw: object) -> None:
    """Runs without any figure are refused in words."""
    with pytest.raises(UsageError, match="no row"):
        draw([EMPTY])  # type: ignore[operator]


def pixels(image: bytes, bottom: int) -> list[bytes]:
    """The topmost rows of an RGBA image of 8 bits."""
    (width,) = struct.unpack(">I", image[16:20])
    assert image[:8] == b"\x89PNG\r\n\x1a\n" and image[24:29] == bytes([8, 6, 0, 0, 0]), "8-bit RGBA, not interlaced"
    data, at = b"", 8
    while at < len(image):
        (size,) = struct.unpack(">I", image[at : at + 4])
        data += image[at + 8 : at + 8 + size] if image[at + 4 : at + 8] == b"IDAT" else b""
        at += size + 12
    raw, lines = zlib.decompress(data), [bytes(4 * width)]
    for y in range(bottom):
        kind, *line = raw[y * (4 * width + 1) : (y + 1) * (4 * width + 1)]
        lines.append(unfiltered(kind, line, lines[-1]))
    return lines[1:]


def unfiltered(kind: int, line: list[int], above: bytes) -> bytes:
    """A line of an image without its filter (PNG specification, 9.2)."""
    for i, value in enumerate(line):
        a, b, c = (line[i - 4] if i > 3 else 0), above[i], (above[i - 4] if i > 3 else 0)
        nearest = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
        line[i] = (value + (0, a, b, (a + b) // 2, nearest)[kind]) % 256
    return bytes(line)


def test_the_png_has_the_bars_in_their_colours() -> None:
    """Each backend's bar is drawn in its colour as far as its value, on white, and the track is empty beyond."""
    run = ReportRun(tuple(make_result(backend=name, bandwidth_gbs=15.0, peak_gbs=30.0) for name in BACKENDS))
    tracks = [
        s
        for s in ElementTree.fromstring(svg([run])).findall(f"{SVG}svg")
        if s.find(f"{SVG}rect[@height='11']") is not None
    ]
    bottom = 1.25 * max(float(s.get("y") or 0) for s in tracks) + 1.25 * 22
    lines = pixels(png([run]), round(bottom))
    assert len(tracks) == len(BACKENDS)
    for series, box in enumerate(tracks):
        left, top, width = (1.25 * float(box.get(name) or 0) for name in ("x", "y", "width"))
        spans = [(left + 4, left + width / 2 - 8), (left + 0.55 * width, left + 0.64 * width)]
        bar, beyond = (
            {
                "#" + line[4 * x : 4 * x + 3].hex()
                for line in lines[round(top + 10) : round(top + 17)]
                for x in range(*map(round, span))
            }
            for span in spans
        )
        assert LIGHT[f"s{series}"] in bar and "#000000" not in bar
        assert beyond == {LIGHT["back"]}


def test_the_png_has_the_words() -> None:
    """The name beside a bar has pixels of ink, and another name has other ones."""
    images = [png([ReportRun((make_result(kernel=name, bandwidth_gbs=15.0),))]) for name in ("copy", "triad")]
    words = [[line[4 * 24 : 4 * 330] for line in pixels(image, 230)[140:]] for image in images]
    ink = bytes.fromhex(LIGHT["ink"][1:])
    assert all(any(ink in line for line in lines) for lines in words)
    assert words[0] != words[1]


@pytest.mark.parametrize(
    ("missing", "advice"),
    [("resvg_py", r"pip install resvg-py.*--as svg"), ("fonts", r"apt-get install fonts-dejavu-core.*--as svg")],
)
def test_what_a_png_lacks_is_named(missing: str, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the renderer, or without a font, the message says what to install, and the format that needs nothing."""
    if missing == "fonts":
        monkeypatch.setattr(image_module, "_FONT_FOLDERS", (str(tmp_path), str(tmp_path / "none")))
    else:
        monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(BackendUnavailable, match=advice):
        png([ReportRun(tuple(rows()))])


def test_fonts_of_the_user_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A font is found below the folders of the system and of the user, however deep."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(image_module, "_FONT_FOLDERS", ("/nowhere", "~/.fonts"))
    (tmp_path / ".fonts/deep").mkdir(parents=True)
    (tmp_path / ".fonts/deep/NotoSans-Regular.ttf").write_bytes(b"")
    assert image_module._font() == (tmp_path / ".fonts/deep/NotoSans-Regular.ttf", "Noto Sans")


def test_the_png_grows_with_its_rows() -> None:
    """It is a PNG of a fixed width; hostile names do not stop it."""
    sizes = [
        struct.unpack(">II", png(runs)[16:24])
        for runs in ([hostile()], [ReportRun(tuple(rows()))], [ReportRun(tuple(rows()))] * 2)
    ]
    assert {width for width, _ in sizes} == {1200}
    assert sizes[0][1] < sizes[1][1] < sizes[2][1]


def test_a_png_of_too_many_runs_is_refused() -> None:
    """What no image can hold is refused before it is drawn."""
    with pytest.raises(UsageError, match="too many for one PNG"):
        png([ReportRun(tuple(rows()))] * 1000)
