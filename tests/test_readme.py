"""What the README shows is there: commands and options exist, and what it quotes of the published run stands in it."""

from __future__ import annotations

import argparse
import ast
import re
import shlex
from pathlib import Path

import pytest

import bandmark
from bandmark.cli.app import build_parser, main
from bandmark.reports.markdown import table as markdown
from bandmark.suites import SUITES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.removeprefix("$ ")
    for language, block in BLOCKS
    for line in block.splitlines()
    if line.startswith(("$ bandmark ", "bandmark ") if language == "sh" else "$ bandmark ")
]
COMMANDS += re.findall(r"^    (bandmark .*)$", README, re.MULTILINE)
INLINE = re.findall(r"`(bandmark [^`]+)`", README)


def subparser(command: str) -> argparse.ArgumentParser:
    """The parser of a command."""
    parser = build_parser([command])
    (action,) = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    found: argparse.ArgumentParser = action.choices[command]
    return found


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_can_be_typed_as_shown(line: str) -> None:
    """Each command in a block has a known name and options, and arguments that the command takes."""
    words = shlex.split(line, comments=True)[1:]
    build_parser(words).parse_args(words)


@pytest.mark.parametrize("words", INLINE)
def test_commands_in_the_text_exist(words: str) -> None:
    """Each command in a sentence has a known name, and each option that stands beside it is one of its."""
    name, *options = shlex.split(words)[1:]
    known = build_parser([]) if name.startswith("-") else subparser(name)
    assert {option for option in options if option.startswith("-")} <= set(known._option_string_actions)


def test_every_command_for_results_is_shown() -> None:
    """Validating, publishing, merging, comparing and reporting each have an example with its output."""
    shown = {line.split()[1] for line in COMMANDS}
    assert {"run", "show", "validate", "publish", "merge", "compare", "report", "decode"} <= shown
    assert len(COMMANDS) > 10 and len(INLINE) > 3


def test_python_examples_call_what_is_there() -> None:
    """The examples in Python parse, and name functions that the package has."""
    for code in (block for language, block in BLOCKS if language == "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "bandmark":
                assert node.attr in bandmark.__all__


@pytest.mark.parametrize(("header", "more_than"), [("GB/s  best", 15), ("GB/s  Gw/s", 10)])
def test_a_quoted_table_is_of_the_published_run(
    header: str, more_than: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line of a table is printed by `bandmark show` for the file that the text before it links to."""
    before, _ = README.split(header, 1)
    file = re.findall(r"\(\[the whole run\]\((results/\S+\.csv)\)\)", before)[-1]
    assert main(["show", str(ROOT / file)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    quoted = next(block for _, block in BLOCKS if header in block).splitlines()
    assert len(quoted) > more_than
    assert {line for line in quoted if " ".join(line.split()) not in printed} == {"..."}


def test_links_lead_to_files() -> None:
    """Each link within the repository leads to a file, and tables have the columns that the program writes."""
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links and all((ROOT / link).exists() for link in links)
    header = [*(column.title for column in SUITES["bandwidth"].table_columns([])), "notes"]
    assert markdown(header, []).splitlines()[0] in README
