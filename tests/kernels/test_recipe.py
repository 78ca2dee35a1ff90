"""The recipe for a kernel in docs/recipes-kernel.md works as it is written."""

from __future__ import annotations

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs/recipes-kernel.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"`((?:kernels|tests)/[\w/]+\.(?:py|cu))`")

ON_HOST = """
from bandmark_kernels import DTYPES, KERNELS, Shape
from cuda_check import call, make_program
from cuda_host import Host
for dtype in ("float32", "bfloat16"):
    for variant in ("v16", "v16-gridstride"):
        outcome = call(Host(), make_program(KERNELS["sub"], DTYPES[dtype], variant), Shape(3001), sm_count=2)
        assert outcome.findings == (), outcome.findings
"""


def blocks() -> list[tuple[str, str, str]]:
    """Return language, text and file of each code block; the file is the last that is named before it."""
    text = DOCUMENT.read_text().split("# Add a kernel\n")[1]
    found = []
    for match in BLOCK.finditer(text):
        names = PATH.findall(re.split(r"^\*\*", text[: match.start()], flags=re.MULTILINE)[-1])
        found.append((match[1], match[2], names[0] if names else ""))
    return found


def follow(copy: Path) -> list[list[str]]:
    """Write the files of the recipe, change the table as its diff says, and return its commands."""
    commands = []
    for language, text, name in blocks():
        if language == "sh":
            commands += [shlex.split(line) for line in text.splitlines()]
        elif language == "diff":
            table, lines = (copy / name).read_text(), text.splitlines()
            for old, new in zip(lines[::2], lines[1::2], strict=True):
                assert (old[0], new[0], table.count(old[1:] + "\n")) == ("-", "+", 1), old
                table = table.replace(old[1:], new[1:])
            (copy / name).write_text(table)
        else:
            assert not (copy / name).exists()
            (copy / name).write_text(text)
    return commands


def run(copy: Path, *command: str, codes: Sequence[int] = (0,)) -> str:
    """Run Python in the copy, with the copy's packages, to one of these exit codes, and return what it prints."""
    folders = os.pathsep.join(str(copy / name) for name in ("harness", "kernels", "tests", "tests/cuda"))
    environment = {**os.environ, "PYTHONPATH": folders}
    done = subprocess.run(
        [sys.executable, *command], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode in codes, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[str]]]:
    """A copy of the packages and the tests with the recipe's kernel, and the commands that the recipe gives."""
    copy = tmp_path_factory.mktemp("copy")
    for name in ("harness", "kernels", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy, follow(copy)


def test_the_recipe_names_each_file() -> None:
    """A kernel is one .py and one .cu file, a change of the table, and a test file."""
    assert [(language, name) for language, _, name in blocks() if language != "sh"] == [
        ("python", "kernels/bandmark_kernels/stream/sub.py"),
        ("cuda", "kernels/bandmark_kernels/stream/sub.cu"),
        ("diff", "kernels/bandmark_kernels/__init__.py"),
        ("python", "tests/kernels/stream/test_sub.py"),
    ]


def test_the_new_kernel_runs_and_its_row_is_valid(recipe: tuple[Path, list[list[str]]]) -> None:
    """The commands of the recipe measure the kernel on NumPy, verify it, and find no fault in the row."""
    copy, commands = recipe
    for program, *arguments in commands:
        assert program == "python"
        run(copy, *arguments, codes=(0, 3) if "run" in arguments else (0,))  # 3: the machine is too busy for an ok row
    with (copy / "run.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["kernel"], row["backend"], row["dtype"]) == ("sub", "numpy", "float64")
    assert int(row["bytes_read"]) == 2 * int(row["bytes_written"]) == 16 * int(row["n"])
    assert row["status"] in ("ok", "suspect")  # a busy machine makes a run suspect
    assert float(row["max_error"]) <= 1


@pytest.mark.slow
def test_its_tests_pass(recipe: tuple[Path, list[list[str]]]) -> None:
    """The test file of the recipe passes, and so do those that take every kernel of the table."""
    files = ("tests/kernels/stream/test_sub.py", "tests/kernels/test_implementations.py")
    assert " passed" in run(
        recipe[0], "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-k", "sub", *files
    )


@pytest.mark.skipif(shutil.which("g++") is None, reason="the CUDA sources are run on the host with g++")
def test_its_cuda_source_is_right_on_the_host(recipe: tuple[Path, list[list[str]]]) -> None:
    """The .cu file computes the formula and touches each byte once, in full and in half precision."""
    run(recipe[0], "-c", ON_HOST)
