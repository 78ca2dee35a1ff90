"""The tests and the sources keep the rules that no other tool checks."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from bandmark_kernels import KERNELS

TESTS = Path(__file__).parent
ROOT = TESTS.parent
FILES = sorted(TESTS.rglob("test_*.py"))
SOURCES = sorted(path for root in ("harness", "kernels") for path in (ROOT / root).rglob("*.py"))
BACKENDS = ("numpy", "torch", "cupy")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(TESTS)))
def test_every_test_states_its_rule(file: Path) -> None:
    """Each test function has a docstring: the rule that it checks, in a sentence."""
    functions = [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.FunctionDef)]
    tests = [f for f in functions if f.name.startswith("test_")]
    assert tests, "a test file without a test"
    silent = [f.name for f in tests if not (ast.get_docstring(f) or "").rstrip().endswith((".", "?", ")"))]
    assert not silent


def test_no_package_in_the_tests() -> None:
    """There is no __init__.py under tests/: with one, tests/kernels would be imported as `kernels`."""
    assert not list(TESTS.rglob("__init__.py"))


ELSEWHERE: dict[str, str] = {
    "harness/bandmark/cli/merge.py": "harness/results/test_files_merge.py",
    "harness/bandmark/cli/publish.py": "harness/publishing/test_publish.py",
    "harness/bandmark/cli/selftest.py": "harness/selftest/test_checks.py",
    "harness/bandmark/device/system.py": "harness/device/test_machine.py",
    "harness/bandmark/cli/validate.py": "harness/validation/test_validate.py",
    "harness/bandmark/suites/ladder.py": "harness/suites/test_latency.py",
    "harness/bandmark/suites/base.py": "harness/suites/test_toy_suite.py",
    "harness/bandmark/models/gguf_header.py": "harness/models/test_gguf.py",
    "kernels/bandmark_kernels/core/cuda.py": "cuda/test_sass.py",
    "kernels/bandmark_kernels/core/launch.py": "cuda/test_launch.py",
}
"""Modules whose tests are not at the path that mirrors theirs, and where those are."""


def mirror(source: Path) -> str:
    """The path below tests/ of a module's test file."""
    root, _, *folders, _ = source.relative_to(ROOT).parts
    return "/".join([root, *folders, f"test_{source.stem}.py"])


def test_every_module_has_a_test_file() -> None:
    """The test of a module is at the path that mirrors the module's, or where ELSEWHERE says."""
    modules = {str(p.relative_to(ROOT)): mirror(p) for p in SOURCES if not p.stem.startswith("__")}
    missing = {name: path for name, path in modules.items() if not (TESTS / ELSEWHERE.get(name, path)).exists()}
    assert missing == {}
    needless = [name for name in ELSEWHERE if name not in modules or (TESTS / modules[name]).exists()]
    assert needless == [], "these are where they belong: take them out of ELSEWHERE"


def comparisons(source: Path) -> Iterator[int]:
    """Yield the lines that compare a name, a kernel or a backend with the name of one that is not the module's own."""
    tree = ast.parse(source.read_text())
    tables = {
        target.id: {c.value for c in ast.walk(statement.value) if isinstance(c, ast.Constant)}
        for statement in tree.body
        if isinstance(statement, ast.Assign) and not isinstance(statement.value, ast.Dict | ast.Subscript)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    own = {name for name in (*KERNELS, *BACKENDS) if source.stem == name or source.stem.startswith(f"{name}_")}
    names = {*KERNELS, *BACKENDS} - own
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            subjects = {side.attr for side in sides if isinstance(side, ast.Attribute)}
            variables = {side.id for side in sides if isinstance(side, ast.Name)}
            values = {c.value for side in sides for c in ast.walk(side) if isinstance(c, ast.Constant)}
            values = values.union(*(tables.get(name, set()) for name in variables))
            subjects |= variables
            if subjects & {"name", "kernel", "backend", "label"} and values & names:
                yield node.lineno


def test_no_code_compares_the_name_of_a_kernel_or_a_backend() -> None:
    """What differs between kernels and backends is told by them; a name is compared in their own modules alone."""
    found = {str(p.relative_to(ROOT)): list(comparisons(p)) for p in SOURCES}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ('if kernel.name == "gemv": ...', 1),
        ('x = row.backend in ("torch", "cupy")', 1),
        ('y = "triad" != case.kernel', 1),
        ('SUMS = ("dot", "read")\nif row.kernel in SUMS: ...', 1),
        ('if row.kernel == other.kernel or row.kernel == "all": ...', 0),
        ('if operand.role == "read": ...', 0),
    ],
)
def test_such_comparisons_are_found(code: str, count: int, tmp_path: Path) -> None:
    """Equality, membership and either order count; other names and other attributes do not."""
    (tmp_path / "module.py").write_text(code)
    (tmp_path / "gemv.py").write_text(code)
    assert len(list(comparisons(tmp_path / "module.py"))) == count
    assert len(list(comparisons(tmp_path / "gemv.py"))) == count * ("gemv" not in code)


def test_no_module_docstring_asks_a_question() -> None:
    """A module docstring says what the module does."""
    first = {str(p.relative_to(ROOT)): (ast.get_docstring(ast.parse(p.read_text())) or "") for p in SOURCES}
    asking = [name for name, text in first.items() if "?" in text.split("\n\n")[0]]
    assert asking == []
