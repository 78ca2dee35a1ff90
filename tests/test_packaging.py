"""What is in the wheel, and only that."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import bandmark

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of the working tree, built with the hatchling that is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-cache-dir", "--quiet"]
    done = subprocess.run(
        [*command, "--wheel-dir", str(folder), str(ROOT)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (file,) = folder.glob("*.whl")
    assert file.name == f"bandmark-{bandmark.__version__}-py3-none-any.whl"
    return zipfile.ZipFile(file)


def sources(folder: str) -> set[str]:
    """What git would ship of a source root, relative to it."""
    return {
        str(file.relative_to(ROOT / folder))
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and not any(p == "__pycache__" or p.startswith(".") for p in file.relative_to(ROOT).parts)
    }


def test_the_wheel_holds_the_two_packages(wheel: zipfile.ZipFile) -> None:
    """Every file of both packages, and nothing else but the metadata: no tests, no bare kernels or harness."""
    names = set(wheel.namelist())
    metadata = {name for name in names if ".dist-info/" in name}
    assert {name.split("/")[0] for name in names - metadata} == {"bandmark", "bandmark_kernels"}
    assert names - metadata == sources("harness") | sources("kernels")


def test_data_and_sources_are_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    """The CUDA sources, the data files, the type marker and the licence are shipped."""
    names = wheel.namelist()
    kernels = {name for name in names if name.startswith("bandmark_kernels/") and name.endswith(".cu")}
    assert {"bandmark_kernels/stream/triad.cu", "bandmark_kernels/cuda/prelude.cu"} <= kernels
    data = {name for name in names if name.startswith("bandmark/data/")}
    assert data == {f"bandmark/data/{file.name}" for file in (ROOT / "harness/bandmark/data").iterdir()}
    assert any(name.endswith(".csv") for name in data)
    assert {"bandmark/py.typed", "bandmark_kernels/py.typed"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_nothing_in_the_wheel_names_this_machine(wheel: zipfile.ZipFile) -> None:
    """No file of the wheel holds a path of the tree that it was built in."""
    for name in wheel.namelist():
        assert str(ROOT).encode() not in wheel.read(name), name


def test_the_metadata(wheel: zipfile.ZipFile) -> None:
    """Name, version, Python, the console script, and extras that bring torch and CuPy; the base brings neither."""
    (path,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = Parser().parsestr(wheel.read(path).decode())
    assert (metadata["Name"], metadata["Version"]) == ("bandmark", bandmark.__version__)
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Author"] == "The bandmark contributors" and metadata.get_all("Project-URL") is None
    classifiers = metadata.get_all("Classifier") or []
    assert {"Operating System :: MacOS", "Operating System :: POSIX :: Linux"} <= set(classifiers)
    assert metadata["Description-Content-Type"] == "text/markdown"
    needs = metadata.get_all("Requires-Dist") or []
    base = {need.split(">")[0].strip() for need in needs if "extra ==" not in need}
    assert base == {"numpy", "pandas", "rich", "threadpoolctl"}
    assert {"cpu", "cuda12", "cuda13", "nvml"} <= set(metadata.get_all("Provides-Extra") or [])
    assert not [need for need in needs if need.startswith("torch") and "cuda" not in need]
    for extra in ("cupy12", "cupy13", "nvml"):
        assert any(need.startswith("nvidia-ml-py") and f"'{extra}'" in need for need in needs), extra
    (path,) = (name for name in wheel.namelist() if name.endswith(".dist-info/entry_points.txt"))
    assert "bandmark = bandmark.cli.app:main" in wheel.read(path).decode()


@pytest.mark.parametrize(
    ("accelerator", "own", "extra"),
    [
        ("cuda13", "", "[cuda13]"),
        ("cuda12", "", "[cuda12]"),
        ("cuda13", "torch", "[cupy13]"),
        ("cuda12", "torch", "[cupy12]"),
        ("cuda13", "torch cupy", "[nvml]"),
        ("cuda12", "cupy", "[nvml]"),
        ("cpu", "", "[cpu]"),
        ("cpu", "torch", "[cpu]"),
        ("base", "", ""),
        ("base", "torch", ""),
        ("base", "torch cupy", ""),
    ],
)
def test_what_make_installs(accelerator: str, own: str, extra: str) -> None:
    """`make bench` brings what the machine lacks, and never another torch or CuPy beside those of a container."""
    done = make("bench", f"ACCEL={accelerator}", f"OWN={own}")
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if "pip" in line)
    assert line.endswith(f'-e ".{extra}"')
    (venv,) = (line for line in done.stdout.splitlines() if "-m venv" in line)
    assert ("--system-site-packages" in venv) == bool(own)


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What make would do in a checkout without an environment, whatever make these tests were started by."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    command = ["make", "-n", "-C", str(ROOT), "VENV=.venv-that-is-not-there", *arguments]
    outer = ("MAKEFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "MFLAGS", "ARGS")
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize(
    ("option", "message"),
    [("ACCEL=cuda11", "none of cuda13, cuda12, cpu and base"), ("VENV=a folder", "give a path without one")],
)
def test_what_make_refuses(option: str, message: str) -> None:
    """An accelerator that has no extra and a path that make can't name end with a sentence."""
    done = make("bench", option)
    assert done.returncode == 2 and message in done.stderr


@pytest.mark.parametrize(
    "target", ["bench", "test", "test-all", "mutants", "test-bench", "lint", "gpu-selftest", "sass", "docs", "picture"]
)
def test_make_names_no_folder_of_the_checkout(target: str) -> None:
    """Every path in a recipe is relative to the checkout, whose own path may have a space."""
    done = make(target, "OWN=")
    assert done.returncode == 0, done.stderr
    recipes = [line for line in done.stdout.splitlines() if not line.startswith("make: ")]
    assert recipes and str(ROOT) not in "\n".join(recipes)


@pytest.mark.parametrize("name", ["kernels", "harness", "tests", "fakes"])
def test_source_roots_are_no_packages(name: str, tmp_path: Path) -> None:
    """From a neutral folder `import kernels` and `import harness` fail: the installation adds two packages alone."""
    program = f"import bandmark, bandmark_kernels\nimport {name}"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(str(ROOT / root) for root in ("harness", "kernels"))}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"ModuleNotFoundError: No module named '{name}'" in done.stderr


def test_the_wheel_works_on_its_own(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """Unpacked elsewhere, the wheel's code and data are what runs."""
    wheel.extractall(tmp_path)
    program = (
        f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n"
        "import bandmark, bandmark.device.peaks as c\n"
        "print(bandmark.__file__, len(c.load_catalog()))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    file, count = done.stdout.rsplit(maxsplit=1)
    assert Path(file).is_relative_to(tmp_path) and int(count) > 10
