"""How do charts and tables become parts of a page? Words are HTML, so that they wrap, and pages break between rows."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from bandmark.reports.charts import Chart, axis_track, line_swatch, swatch, text, track

EM = 0.57
"""Width of a letter over the size of the text, on average and rather too much than too little."""

WIDEST = 28
"""Letters that a name or a figure has room for beside its track; longer ones wrap."""


def chart(made: Chart, caption: str = "") -> str:
    """Return a chart as a figure: its rows stand in three columns, or on a phone in two lines each."""
    rows = []
    for i, mark in enumerate(made.marks):
        look = "row" + (" new" if made.begins_group(i) else "") + (" warn" if mark.doubtful else "")
        name, figure = (
            f'<span class="{c}">{text(w)}</span>' for c, w in (("name", mark.name), ("figure", mark.figure))
        )
        rows.append(f'<div class="{look}">{name}{track(made, mark)}{figure}</div>')
    columns = f"--name:{_room(m.name for m in made.marks)};--figure:{_room(m.figure for m in made.marks)}"
    kinds = "".join(f"<span>{swatch(made, kind)}{text(made.says(kind))}</span>" for kind in made.kinds)
    lines = "".join(f"<span>{line_swatch(look)}{text(words)}</span>" for _, look, words in made.lines)
    return "\n".join(
        [
            f'<figure class="chart" aria-label="{text(made.title)}" style="{columns}">',
            f"<figcaption>{text(caption)}</figcaption>" if caption else "",
            f'<p class="legend">{kinds}</p>',
            *rows,
            f'<div class="row axis">{axis_track(made)}</div>',
            f'<p class="legend"><span>{text(made.unit)}</span>{lines}</p>',
            "</figure>",
        ]
    )


def _room(words: Iterable[str]) -> str:
    """Return the width of a column that holds words."""
    return f"{1 + EM * min(max(map(len, words), default=0), WIDEST):.1f}em"


def table(
    caption: str,
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    words: Container[int] = (0,),
    doubtful: Sequence[bool] = (),
    links: Sequence[str] = (),
) -> str:
    """Return a table in a box of its own that scrolls where it is too wide.

    Args:
        caption: what stands above it.
        header: names of the columns.
        rows: as many cells each.
        words: the columns that hold words; the others hold figures. The first names the row.
        doubtful: whether each row stands out; by default none does.
        links: the id of the element on this page to which the first cell of each row leads; by default nowhere.
    """
    looks = [' class="word"' if i in words else "" for i in range(len(header))]
    head = "".join(f'<th scope="col"{look}>{text(name)}</th>' for name, look in zip(header, looks, strict=True))
    body = []
    for i, cells in enumerate(rows):
        first, *others = (text(cell) for cell in cells)
        named = f'<a href="#{links[i]}">{first}</a>' if links else first
        look = ' class="doubt"' if i < len(doubtful) and doubtful[i] else ""
        rest = "".join(f"<td{look}>{cell}</td>" for cell, look in zip(others, looks[1:], strict=True))
        body.append(f'<tr{look}><th scope="row" class="word">{named}</th>{rest}</tr>')
    return "\n".join(
        [
            f'<p class="soft small">{text(caption)}</p>' if caption else "",
            f'<div class="box" tabindex="0" role="region" aria-label="{text(", ".join(header[:3]))} table"><table>',
            f"<thead><tr>{head}</tr></thead>",
            f"<tbody>{''.join(body)}</tbody>",
            "</table></div>",
        ]
    )
