"""Within which factor do predictions lie? Worked out from the held-out errors, and kept as data.

To work it out takes a fit for each published row, about a second. What is kept names, by digest, the data that it
follows from; where those have changed, it is worked out anew. Run as a module it renews what is kept:
`python -m bandmark.decoding.spread`.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from importlib.resources import files
from math import ceil, exp, log
from pathlib import Path

from bandmark.decoding.fit import COVERED
from bandmark.decoding.validation import validate

KEPT = "decode_spread.json"
FOLLOWS_FROM = ("published_decode.csv", "models.csv")


@lru_cache(maxsize=1)
def uncertainty() -> float:
    """Return the factor within which four of five held-out rows lie, as 1.15 for 15 % either way."""
    kept = json.loads(files("bandmark").joinpath("data", KEPT).read_text(encoding="utf-8"))
    return float(kept["uncertainty"]) if kept["sha256"] == digests() else work_out()


def work_out() -> float:
    """Return that factor from a fit for each published row."""
    errors = sorted(abs(log(1 + checked.held_out)) for checked in validate().checked)
    return exp(errors[ceil(COVERED * len(errors)) - 1])


def digests() -> dict[str, str]:
    """Return the SHA-256 of the data that the factor follows from, with line ends as they are published."""
    data = files("bandmark").joinpath("data")
    texts = {name: data.joinpath(name).read_text(encoding="utf-8") for name in FOLLOWS_FROM}
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}


def text() -> str:
    """Return what is kept, worked out now."""
    return json.dumps({"uncertainty": work_out(), "sha256": digests()}, indent=1) + "\n"


if __name__ == "__main__":
    Path(str(files("bandmark").joinpath("data", KEPT))).write_text(text(), encoding="utf-8", newline="\n")
