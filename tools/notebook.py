"""Write docs/notebook.ipynb, which is docs/notebook.py for Jupyter: `python tools/notebook.py`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parent.parent / "docs" / "notebook.py"


def notebook(source: str) -> str:
    """Return the notebook, format 4.5 without outputs, of a script with `# %%` cells."""
    cells = [
        _cell(f"cell-{n}", *part) for n, part in enumerate(re.findall(r"^# %%(.*)\n((?:(?!# %%).*\n?)*)", source, re.M))
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    document = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(document, indent=1) + "\n"


def _cell(name: str, kind: str, body: str) -> dict[str, Any]:
    if "[markdown]" in kind:
        words = re.sub(r"^# ?", "", body.strip(), flags=re.M)
        return {"cell_type": "markdown", "id": name, "metadata": {}, "source": words.splitlines(keepends=True)}
    lines = body.strip().splitlines(keepends=True)
    return {"cell_type": "code", "id": name, "metadata": {}, "source": lines, "execution_count": None, "outputs": []}


if __name__ == "__main__":
    SOURCE.with_suffix(".ipynb").write_text(notebook(SOURCE.read_text(encoding="utf-8")), encoding="utf-8")
