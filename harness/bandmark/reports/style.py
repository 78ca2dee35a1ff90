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
.track{display:block;overflow:visible}
.chart text{font:13px system-ui,sans-serif;fill:var(--ink)}
.chart text.soft{font-size:12px;fill:var(--soft)}
.chart text.warn{fill:var(--warn)}
.chart .grid{stroke:var(--line);stroke-width:1;stroke-opacity:.5}
.chart .own{stroke:var(--ink);stroke-width:2.5}
.chart .named{stroke:var(--ink);stroke-width:1.5;stroke-dasharray:3 2.5}
.chart .doubt{stroke:var(--ink);stroke-width:1.5;stroke-dasharray:3 2}
.chart .back{fill:var(--back)}
""" + "".join(f".chart .{name}{{fill:var(--{name});stroke:var(--{name})}}\n" for name in (*BACKENDS, "other"))

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
ul,ol{padding-left:1.5rem}
li{margin:.25rem 0}
nav tbody th{white-space:normal;min-width:14.5rem}
.warn{color:var(--warn)}
h2 .small{display:inline-block;font-weight:400}
.box{overflow-x:auto;border:1px solid var(--line);border-radius:6px;margin:.5rem 0}
.box:focus-visible{outline:3px solid var(--link)}
table{border-collapse:collapse;width:100%;font-size:.875rem;font-variant-numeric:tabular-nums;overflow-wrap:normal}
caption{text-align:left;padding:.5rem .75rem;color:var(--soft)}
th,td{padding:.3rem .75rem;text-align:right;white-space:nowrap;border-top:1px solid var(--panel)}
thead th{background:var(--panel);border-top:0}
th.word,td.word{text-align:left}
tr.doubt td,tr.doubt th{color:var(--warn)}
tbody th{font-weight:600}
.notice{border-left:4px solid var(--warn);padding:.25rem .75rem;margin:.75rem 0}
figure{margin:.75rem 0}
figcaption{color:var(--soft);font-size:.875rem;max-width:46rem;margin-bottom:.5rem}
.row{display:grid;grid-template-columns:minmax(0,var(--name)) minmax(0,1fr) minmax(0,var(--figure));column-gap:.75rem;
align-items:center;font-size:.8125rem;line-height:1.35;break-inside:avoid;font-variant-numeric:tabular-nums}
.row.new{margin-top:.5rem}
.row .track{grid-column:2}
.row .figure{text-align:right}
.legend{display:flex;flex-wrap:wrap;gap:.1rem 1.25rem;margin:.25rem 0;max-width:none;color:var(--soft);
font-size:.8125rem}
.legend span{display:flex;align-items:center;gap:.4rem}
@media (max-width:40rem){.row{grid-template-columns:minmax(0,1fr) max-content}.row .track{grid-column:1/-1;grid-row:2}
.row{padding-bottom:.4rem}.row .figure{max-width:60vw}}
@media (max-width:32rem){body{padding:.75rem}dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.4rem}
th,td{padding:.3rem .5rem}}
@media print{body{max-width:none;padding:0;font-size:10pt;print-color-adjust:exact;-webkit-print-color-adjust:exact}
.box{overflow:visible;border:0}table{font-size:7.5pt;overflow-wrap:anywhere}
th,td{padding:.1rem .3rem;white-space:normal}tr,li,dl,p,figcaption{break-inside:avoid}
h2,h3,figcaption,.legend{break-after:avoid}.axis,.row+.legend{break-before:avoid}
thead{display:table-header-group}section+section h2{break-before:page;border:0}}
"""


def kind(backend: str) -> str:
    """Return the class of a backend's marks."""
    return backend if backend in BACKENDS else "other"
