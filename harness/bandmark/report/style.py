"""Which colours, shapes and sizes does a report have? On light and dark screens, on phones and paper."""

from __future__ import annotations

LIGHT = {
    "back": "#ffffff",
    "panel": "#f6f8fa",
    "ink": "#1f2328",
    "soft": "#59636e",
    "line": "#8c959f",
    "link": "#0550ae",
    "warn": "#953800",
    "numpy": "#0072b2",
    "torch": "#d55e00",
    "cupy": "#00855f",
    "other": "#59636e",
}
"""Okabe and Ito's colours, their green darkened until it has 4.5:1 on white."""

DARK = {
    "back": "#0d1117",
    "panel": "#161b22",
    "ink": "#f0f6fc",
    "soft": "#a3abb4",
    "line": "#656c76",
    "link": "#79b8ff",
    "warn": "#ffa657",
    "numpy": "#56b4e9",
    "torch": "#e69f00",
    "cupy": "#3ec79c",
    "other": "#a3abb4",
}

BACKENDS = ("numpy", "torch", "cupy")
"""Backends that have a colour and a pattern of their own; others share one."""


def _variables(palette: dict[str, str]) -> str:
    return ";".join(f"--{name}:{colour}" for name, colour in palette.items())


# Paper is light, whatever the screen is.
THEME = f":root{{color-scheme:light dark;{_variables(LIGHT)}}}\n" + (
    f"@media screen and (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}\n"
)

CHART = """\
svg.chart{display:block;overflow:visible}
svg.chart text{font:13px system-ui,sans-serif;fill:var(--ink);stroke:var(--back);stroke-width:4px;paint-order:stroke}
svg.chart text.soft{font-size:12px;fill:var(--soft)}
svg.chart text.warn{fill:var(--warn)}
svg.chart .grid{stroke:var(--line);stroke-width:1;stroke-opacity:.5}
svg.chart .own{stroke:var(--ink);stroke-width:2.5}
svg.chart .named{stroke:var(--soft);stroke-width:1.5;stroke-dasharray:5 4}
svg.chart .doubt{stroke:var(--ink);stroke-width:1.5;stroke-dasharray:3 2}
svg.chart .back{fill:var(--back)}
""" + "".join(f"svg.chart .{name}{{fill:var(--{name});stroke:var(--{name})}}\n" for name in (*BACKENDS, "other"))

PAGE = """\
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:64rem;background:var(--back);color:var(--ink);
font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.25;margin:.5rem 0}
h2{font-size:1.3rem;line-height:1.3;margin:2.5rem 0 .5rem;padding-top:1rem;border-top:1px solid var(--line)}
h3{font-size:1.05rem;margin:1.75rem 0 .5rem}
p,li,dd{max-width:46rem}
.soft{color:var(--soft)}
.small{font-size:.875rem}
a{color:var(--link)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem;margin:1rem 0}
dt{color:var(--soft)}
dd{margin:0}
.box{overflow-x:auto;border:1px solid var(--line);border-radius:6px;margin:.5rem 0}
.box:focus-visible{outline:3px solid var(--link)}
table{border-collapse:collapse;width:100%;font-size:.875rem;font-variant-numeric:tabular-nums;overflow-wrap:normal}
caption{text-align:left;padding:.5rem .75rem;color:var(--soft)}
th,td{padding:.3rem .75rem;text-align:right;white-space:nowrap;border-top:1px solid var(--panel)}
thead th{background:var(--panel);border-top:0}
th.word,td.word{text-align:left}
td.wide{text-align:left;white-space:normal;min-width:16rem}
tr.doubt td,tr.doubt th{color:var(--warn)}
tbody th{font-weight:600}
.notice{border-left:4px solid var(--warn);padding:.25rem .75rem;margin:.75rem 0}
figure{margin:.75rem 0}
figcaption{color:var(--soft);font-size:.875rem;max-width:46rem;margin-bottom:.5rem}
@media (max-width:32rem){body{padding:.75rem}dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.4rem}
th,td{padding:.3rem .5rem}}
@media print{body{max-width:none;padding:0;font-size:11pt;print-color-adjust:exact;-webkit-print-color-adjust:exact}
.box{overflow:visible;border:0}table{font-size:8pt}th,td{padding:.1rem .3rem}tr,li,dl{break-inside:avoid}
h2,h3{break-after:avoid}thead{display:table-header-group}nav{display:none}}
"""


def kind(backend: str) -> str:
    """Return the class of a backend's marks."""
    return backend if backend in BACKENDS else "other"
