"""Damaged and hostile result files in every command that reads some: a table or a message, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from bandmark.cli import main
from corpus import DAMAGES, good_run, pair

GOOD = pair(good_run())

COMMANDS = {
    "show": ["show", "BAD"],
    "merge": ["merge", "BAD", "--output", "-"],
    "compare": ["compare", "GOOD", "BAD", "--anyway"],
    "report": ["report", "BAD", "--as", "md", "--output", "-"],
    "publish": ["publish", "BAD", "--results", ".", "--dry-run"],
    "decode": ["decode", "--results", "BAD", "--model", "llama-3.1-8b"],
    "train-step": ["train-step", "--results", "BAD", "--model", "llama-3.2-1b"],
}


PARTS = 6
"""So many tests share the damages, that each is short; the first of them runs always."""


@pytest.mark.parametrize("part", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, PARTS))])
@pytest.mark.parametrize("name", COMMANDS)
def test_every_damage_is_a_table_or_a_message(
    name: str, part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command ends with 0, or with 2 and a message; what it prints for people moves no terminal."""
    monkeypatch.chdir(tmp_path)
    for folder in ("good", "bad"):
        Path(folder).mkdir()
    good = GOOD.write(Path("good"))
    for damage in DAMAGES[part::PARTS]:
        bad = damage.harm(GOOD).write(Path("bad"))
        words = {"GOOD": str(good), "BAD": str(bad)}
        code = main([words.get(word, word) for word in COMMANDS[name]])
        said = capsys.readouterr()
        assert code in (0, 2), damage.name
        assert code == 0 or said.err.startswith("bandmark: ") or said.out.startswith("bad/run"), damage.name
        for text in (said.err, "" if name == "merge" else said.out):  # merge passes on what a file holds
            assert all(c.isprintable() or c == "\n" for c in text), damage.name
        bad.with_suffix(".json").unlink(missing_ok=True)
