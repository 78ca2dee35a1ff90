"""A real browser for tests: a page is shown in a frame of some width, and what it measures of it comes back."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)

# Runs outside the page: the page itself forbids scripts. The frame is as wide as a screen would be, because the
# browser's own window can't be as narrow as a phone.
PROBE = """\
function rgb(text) {
  const parts = text.match(/[\\d.]+/g).map(Number);
  return parts.length > 3 && parts[3] === 0 ? null : parts.slice(0, 3);
}
function luminance(colour) {
  const [r, g, b] = colour.map(c => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function contrast(a, b) {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}
function ground(win, element) {
  for (let e = element; e; e = e.parentElement) {
    const colour = rgb(win.getComputedStyle(e).backgroundColor);
    if (colour) return colour;
  }
  return [255, 255, 255];
}
addEventListener("load", () => {
  const frame = document.querySelector("iframe"), win = frame.contentWindow, page = frame.contentDocument;
  const words = [...page.body.querySelectorAll("*")].filter(e =>
    [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) && e.getClientRects().length);
  const seen = words.map(e => {
    const style = win.getComputedStyle(e), svg = e.namespaceURI.endsWith("svg");
    return {words: e.textContent.slice(0, 40), size: parseFloat(style.fontSize),
            contrast: contrast(rgb(svg ? style.fill : style.color), ground(win, e))};
  });
  const overlaps = [...page.querySelectorAll("figure.chart")].flatMap(chart => {
    const texts = [...chart.querySelectorAll("span, figcaption, text")].map(t => {
      const range = page.createRange();
      range.selectNodeContents(t);
      const boxes = t.matches("text") ? [t.getBoundingClientRect()] : [...range.getClientRects()];
      return {words: t.textContent, boxes};
    });
    const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 3 && b.top < a.bottom - 3;
    return texts.flatMap((a, i) => texts.slice(i + 1).filter(b =>
      a.boxes.some(one => b.boxes.some(other => meet(one, other)))).map(b => a.words + " | " + b.words));
  });
  const narrow = [...page.querySelectorAll("figure.chart svg.track")].filter(t => {
    const r = t.getBoundingClientRect();
    return Math.abs(r.height / t.currentCSSZoom - 22) > .1 || r.left < 0 || r.right > win.innerWidth;
  });
  const measured = {
    inner: win.innerWidth, scroll: page.documentElement.scrollWidth,
    dark: win.matchMedia("(prefers-color-scheme: dark)").matches,
    boxes: [...page.querySelectorAll(".box")].map(b =>
      [b.clientWidth, b.scrollWidth, win.getComputedStyle(b).overflowX]),
    charts: page.querySelectorAll("figure.chart").length, narrow: narrow.length, texts: seen.length,
    faint: seen.filter(s => s.contrast < 4.5), small: seen.filter(s => s.size < 12), overlaps,
    fetched: win.performance.getEntriesByType("resource").map(r => r.name),
  };
  document.getElementById("measured").textContent = JSON.stringify(measured);
});
"""


def find() -> str | None:
    """Return the browser's program, if one is installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def measure(browser: str, page: str, folder: Path, *, width: int, dark: bool) -> dict[str, Any]:
    """Show a page in a frame of this width and return what was measured; see PROBE."""
    wrapper = folder / "wrapper.html"
    wrapper.write_text(
        '<!DOCTYPE html><meta charset="utf-8"><style>:root{color-scheme:light dark}</style>'
        f'<pre id="measured"></pre><iframe width="{width}" height="900" style="border:0" srcdoc="{escape(page)}">'
        f"</iframe><script>{PROBE}</script>",
        encoding="utf-8",
    )
    # 0 is dark and 1 is light: blink::mojom::PreferredColorScheme.
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    own = [f"--user-data-dir={folder / 'profile'}", "--window-size=1400,1000", scheme]
    done = subprocess.run(
        [browser, *FLAGS, *own, "--dump-dom", wrapper.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={**os.environ, "HOME": str(folder)},
    )
    found = re.search(r'<pre id="measured">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found and found[1], "the browser has measured nothing"
    measured: dict[str, Any] = json.loads(unescape(found[1]))
    return measured
