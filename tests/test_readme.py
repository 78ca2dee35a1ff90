"""What README.md and the pages of docs/ show is there: commands, options, links, and quotes of published runs."""

from __future__ import annotations

import argparse
import ast
import re
import shlex
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest

import bandmark
from bandmark.cli.app import build_parser, main
from bandmark.device.peaks import load_catalog
from bandmark.judge.bands import verdict
from bandmark.reports.markdown import table as markdown
from bandmark.suites import SUITES

ROOT = Path(__file__).parent.parent
PAGES = {
    str(page.relative_to(ROOT)): page.read_text(encoding="utf-8")
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "tools").rglob("*.md"))
}
README = PAGES["README.md"]
BLOCKS = [
    (page, *block)
    for page, text in PAGES.items()
    for block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
]
COMMANDS = [
    line.removeprefix("$ ")
    for _, language, block in BLOCKS
    for line in block.splitlines()
    if line.startswith(("$ bandmark ", "bandmark ") if language == "sh" else "$ bandmark ")
]
COMMANDS += [line for text in PAGES.values() for line in re.findall(r"^    (bandmark .*)$", text, re.MULTILINE)]
COMMANDS = sorted(set(COMMANDS))
INLINE = sorted(
    {" ".join(found.split()) for text in PAGES.values() for found in re.findall(r"`(bandmark [^`]+)`", text)}
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


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
    words = words[: words.index(">")] if ">" in words else words
    with suppress(SystemExit) if "--print-completion" in words else nullcontext():
        build_parser(words).parse_args(words)


@pytest.mark.parametrize("words", INLINE)
def test_commands_in_the_text_exist(words: str) -> None:
    """Each command in a sentence has a known name, and each option that stands beside it is one of its."""
    name, *options = shlex.split(words)[1:]
    known = build_parser([]) if name.startswith("-") else subparser(name)
    assert {option for option in options if option.startswith("-")} <= set(known._option_string_actions)


def test_every_command_for_results_is_shown() -> None:
    """Validating, publishing, merging, comparing and reporting each have an example."""
    shown = {line.split()[1] for line in COMMANDS}
    assert {"run", "show", "validate", "publish", "merge", "compare", "report", "decode"} <= shown
    assert len(COMMANDS) > 10 and len(INLINE) > 10


def test_targets_of_make_exist() -> None:
    """Each `make TARGET` that a page names is one of the Makefile's."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for text in PAGES.values() for name in re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)}
    assert len(named) > 5 and named <= targets


def test_python_examples_call_what_is_there() -> None:
    """The examples in Python parse, and name functions that the package has."""
    for code in (block for _, language, block in BLOCKS if language == "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "bandmark":
                assert node.attr in bandmark.__all__


@pytest.mark.parametrize(
    ("page", "header", "more_than"),
    [("README.md", "GB/s  best", 12), ("docs/models.md", "GB/s  Gw/s", 10)],
)
def test_a_quoted_table_is_of_the_published_run(
    page: str, header: str, more_than: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line of a table is printed by `bandmark show` for the file that the text before it names."""
    before, _ = PAGES[page].split(header, 1)
    file = re.findall(r"results/[\w/-]+\.csv", before)[-1]
    assert main(["show", str(ROOT / file)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    quoted = next(block for where, _, block in BLOCKS if where == page and header in block).splitlines()
    assert len(quoted) > more_than
    assert {line for line in quoted if " ".join(line.split()) not in printed} == {"..."}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    """Each link within the repository leads to a file, from where the page is."""
    links = [link.split("#")[0] for link in LINK.findall(PAGES[page]) if "://" not in link]
    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []


def test_the_report_in_markdown_has_these_columns() -> None:
    """The table in docs/comparing.md has the columns that the program writes."""
    header = [*(column.title for column in SUITES["bandwidth"].table_columns([])), "notes"]
    assert markdown(header, []).splitlines()[0] in PAGES["docs/comparing.md"]


def test_the_readme_is_short_and_begins_with_what_it_is() -> None:
    """At most 150 lines: a picture, two commands, the three ways in; what is longer is in docs/."""
    assert len(README.splitlines()) <= 150
    for part in ("](docs/report.svg)", "make bench", "make test", "## Is my DGX Spark fine?", "## Three ways in"):
        assert part in README


def band(memory: str, kernel: str) -> tuple[int, int]:
    """The percentages of the peak that are normal, as `bandmark run` prints them."""
    low, high = re.findall(r"\((\d+)-(\d+) %\)", verdict(50.0, memory, None, kernel) or "")[0]
    return int(low), int(high)


@pytest.mark.parametrize(
    ("memory", "kernel", "device"),
    [
        ("LPDDR5X", "read", "dgx-spark-gb10"),
        ("GDDR7", "read", "rtx-pro-5000-blackwell-48"),
        ("HBM3e", "read", "h200-sxm"),
        ("GDDR6", "read", "l40"),
    ],
)
def test_what_is_normal_is_what_rows_are_judged_by(memory: str, kernel: str, device: str) -> None:
    """The README's table has the bands of judge/bands.py, and their GB/s of the catalogue's peak."""
    (line,) = (line for line in README.splitlines() if line.startswith(f"| {memory} |"))
    (peak,) = (entry.published_gbs for entry in load_catalog() if entry.id == device)
    low, high = band(memory, kernel)
    assert peak is not None
    assert f"| {low} to {high} % | {band(memory, 'copy')[0]} to {band(memory, 'copy')[1]} % |" in line
    assert f"{round(low * peak / 100)} to {round(high * peak / 100)} GB/s" in line


def test_nothing_suggests_an_index() -> None:
    """No page and no message installs bandmark by its name alone: it is installed from a clone or an address."""
    texts = PAGES | {str(p): p.read_text(encoding="utf-8") for p in (ROOT / "harness").rglob("*.py")}
    for name, text in texts.items():
        assert not re.search(r"(?:pip|uv tool|pipx) install ['\"]?bandmark(?! @ )", text), name


def test_torch_for_a_cpu_is_one_command() -> None:
    """README and installation page show how to install torch without CUDA's libraries."""
    for page in ("README.md", "docs/install.md"):
        assert "uv pip install --torch-backend=cpu torch" in PAGES[page]
