"""Run mutmut on the modules whose decisions matter most, and print the share of mutants that their tests find.

    python tools/mutation.py [NAME ...]      all of them, or those of these names; `make mutation` does the same

mutmut knows packages in the root or in `src` alone, so a copy of the project is laid out that way in a temporary
folder. Surviving mutants are printed as differences: each is either a gap of the tests, or equivalent to the original.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

MODULES = {
    "stats": ("bandmark/measure/stats.py", ["tests/harness/measure"]),
    "sampling": ("bandmark/measure/sampling.py", ["tests/harness/measure", "tests/harness/session/test_runner.py"]),
    "warnings": ("bandmark/judge/warnings.py", ["tests/harness/judge"]),
    "bands": ("bandmark/judge/bands.py", ["tests/harness/judge"]),
    "checks": ("bandmark_kernels/core/checks.py", ["tests/kernels/core/test_checks.py", "tests/kernels/test_wrong.py"]),
    "memory": ("bandmark/device/memory.py", ["tests/harness/device/test_memory.py"]),
    "peaks": ("bandmark/device/peaks.py", ["tests/harness/device"]),
    "statistics": ("bandmark/comparison/statistics.py", ["tests/harness/comparison"]),
    "compare": ("bandmark/comparison/compare.py", ["tests/harness/comparison"]),
}


def lay_out(folder: Path, module: str, tests: list[str]) -> None:
    """Copy the project into a folder with both packages under src/, and say there what mutmut is to do."""
    for source in ("harness", "kernels"):
        shutil.copytree(ROOT / source, folder / "src", dirs_exist_ok=True)
    for name in ("tests", "tools", "results", "docs", "README.md", "Makefile", "CHANGELOG.md"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    lines = ["[tool.mutmut]", 'source_paths = ["src"]', f'only_mutate = ["src/{module}"]']
    lines.append('also_copy = ["tools", "results", "docs", "README.md", "Makefile", "CHANGELOG.md"]')
    lines.append('process_isolation = "forkserver"')  # no caches that a run of the originals has filled
    lines.append('pytest_add_cli_args = ["-p", "no:randomly", "-p", "no:cacheprovider", "-q"]')
    lines.append(f"pytest_add_cli_args_test_selection = {[t for t in tests if (ROOT / t).exists()]}")
    lines += ["[tool.pytest.ini_options]", *(f"{key} = {_toml(value)}" for key, value in settings.items())]
    (folder / "pyproject.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def survivors(folder: Path) -> tuple[int, list[str]]:
    """Return how many mutants there are, and the names of those that no test found."""
    mutmut = [sys.executable, "-m", "mutmut"]
    mutants = folder / "mutants" / "src"
    mutants.mkdir(parents=True)  # before Python starts, which else remembers that there is no such folder
    environment = os.environ | {"PYTHONPATH": str(mutants)}
    run = subprocess.run([*mutmut, "run"], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    listing = subprocess.run(
        [*mutmut, "results", "--all", "true"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    states = [line.strip().rsplit(": ", 1) for line in listing.stdout.splitlines() if "__mutmut_" in line]
    if not states or any(state == "not checked" for _, state in states):
        raise SystemExit(f"mutmut did not finish:\n{run.stdout[-2000:]}\n{run.stderr[-2000:]}")
    return len(states), [name for name, state in states if state in ("survived", "no tests", "suspicious")]


def difference(folder: Path, name: str) -> str:
    """Return what a mutant changes, as a unified diff."""
    command = [sys.executable, "-m", "mutmut", "show", name]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout


def main(names: list[str]) -> None:
    """Print the figures of the modules of these names, or of all."""
    figures = []
    for name in names or MODULES:
        module, tests = MODULES[name]
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            lay_out(folder, module, tests)
            total, alive = survivors(folder)
            for mutant in alive:
                print(difference(folder, mutant))
        figures.append(f"{name:12} {total - len(alive):4} of {total:4} found, {100 * (1 - len(alive) / total):.1f} %")
        print(figures[-1], flush=True)
    print("\n".join(["", *figures]))


if __name__ == "__main__":
    main(sys.argv[1:])
