"""Does the test suite keep its own rules?"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
FILES = sorted(TESTS.rglob("test_*.py"))


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


ELSEWHERE = {"cuda": "cuda/test_sass.py", "selftest": "harness/selftest/test_checks.py"}
"""Modules whose tests are named after what they check."""


def test_every_module_has_a_test_file() -> None:
    """Each module of the two packages has a test file of its name, or one that ELSEWHERE names."""
    names = {file.stem for file in FILES}
    sources = [p for root in ("kernels", "harness") for p in (TESTS.parent / root).rglob("*.py")]
    wanted = [p for p in sources if not p.stem.startswith("__") and p.stem not in ELSEWHERE]
    missing = [str(p.relative_to(TESTS.parent)) for p in wanted if f"test_{p.stem}" not in names]
    assert not missing
    assert all((TESTS / file).exists() for file in ELSEWHERE.values())
