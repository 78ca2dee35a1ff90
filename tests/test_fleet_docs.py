"""The examples for operators do what docs/fleet.md says, with a pretend `bandmark` on PATH and with the real one."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bandmark.cli.app import build_parser

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "fleet.md").read_text()
EXAMPLES = ROOT / "docs" / "fleet"
SCRIPTS = [*EXAMPLES.glob("*.sh"), *EXAMPLES.glob("*.nhc")]
LINE = "below: cuda:0 cupy gemv float32 71 GB/s, limit 214; 2 more"


def run(script: str, path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash with a folder in front of PATH."""
    variables = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}", **environment}
    return subprocess.run(
        ["bash", "-c", script], env=variables, capture_output=True, text=True, timeout=60, check=False
    )


def pretend(folder: Path, code: int) -> Path:
    """Put a bandmark into a folder that prints a line, exits with a code, and keeps its arguments."""
    program = folder / "bandmark"
    program.write_text(
        f'#!/bin/bash\necho "$@" > {shlex.quote(str(folder / "arguments"))}\necho "{LINE}"\nexit {code}\n'
    )
    program.chmod(0o755)
    return folder


NHC = 'log() { echo "log $*"; }; die() { echo "die $*"; }; . "$SCRIPT"; check_bandmark /e.toml; echo "rc $?"'


@pytest.mark.parametrize(("code", "rc", "word"), [(0, 0, ""), (1, 1, "die"), (2, 0, "log"), (3, 0, "log")])
def test_node_health_check(code: int, rc: int, word: str, tmp_path: Path) -> None:
    """A node that is too slow goes out of service with the line as its reason; others stay, with a note in the log."""
    done = run(NHC, pretend(tmp_path, code), SCRIPT=str(EXAMPLES / "bandmark.nhc"))
    assert done.stdout.splitlines()[-1] == f"rc {rc}" and done.stderr == ""
    assert done.stdout.startswith(word) and (LINE in done.stdout) == bool(word)
    assert "--expect /e.toml" in (tmp_path / "arguments").read_text()


@pytest.mark.parametrize(("code", "rc"), [(0, 0), (1, 1), (2, 0), (3, 0)])
def test_slurm_epilog(code: int, rc: int, tmp_path: Path) -> None:
    """Only a node that is too slow fails the epilog, and so is drained."""
    done = run(shlex.quote(str(EXAMPLES / "slurm-epilog.sh")), pretend(tmp_path, code), BANDMARK_HISTORY="/h i")
    assert done.returncode == rc and done.stderr == (f"{LINE}\n" if rc else "")
    assert "--history /h i" in (tmp_path / "arguments").read_text()
    assert not re.search(r"^[^#]*scontrol", (EXAMPLES / "slurm-epilog.sh").read_text(), re.MULTILINE)


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_node_problem_detector(code: int, tmp_path: Path) -> None:
    """The plugin hands on line and exit code; the configuration gives it the time that it takes."""
    done = run(shlex.quote(str(EXAMPLES / "node-problem-detector.sh")), pretend(tmp_path, code))
    assert (done.returncode, done.stdout) == (code, f"{LINE}\n")
    config = json.loads((EXAMPLES / "node-problem-detector.json").read_text())
    assert config["pluginConfig"]["timeout"] == config["rules"][0]["timeout"] == "60s"
    assert config["pluginConfig"]["max_output_length"] == 80


def test_systemd_units(tmp_path: Path) -> None:
    """The command of the unit can be typed, and systemd accepts both files, where it is there."""
    text = (EXAMPLES / "bandmark-check.service").read_text()
    (command,) = re.findall(r"^ExecStart=/usr/bin/env bandmark (.*)$", text, re.MULTILINE)
    build_parser(shlex.split(command)).parse_args(shlex.split(command))
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    units = [shutil.copy(EXAMPLES / f"bandmark-check.{kind}", tmp_path) for kind in ("service", "timer")]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert "bandmark" not in done.stderr


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_are_sound(script: Path) -> None:
    """Bash parses them, and shellcheck finds nothing, where it is there."""
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    if shutil.which("shellcheck") is not None:
        assert subprocess.run(["shellcheck", script], check=False).returncode == 0


COMMANDS = [
    match
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for match in re.findall(r"bandmark ((?:run|check|fleet)\b[^;&|#)\n]*)", re.sub(r" #.*", "", block))
]


@pytest.mark.parametrize("words", COMMANDS)
def test_lines_of_the_page_can_be_typed(words: str) -> None:
    """Each command in a block of docs/fleet.md has options that there are."""
    build_parser(shlex.split(words)).parse_args(shlex.split(words))


def test_the_page_names_every_example() -> None:
    """Each file of docs/fleet/ is linked."""
    assert len(COMMANDS) > 8
    assert all(f"(fleet/{file.name})" in PAGE for file in EXAMPLES.iterdir())


@pytest.mark.slow
def test_the_real_check_in_an_nhc_wrapper(tmp_path: Path) -> None:
    """The check answers before NHC's time is over, and its gauges are parsed by Prometheus' own parser."""
    parser = pytest.importorskip("prometheus_client.parser")
    program = tmp_path / "bandmark"
    program.write_text(f'#!/bin/bash\nexec {shlex.quote(sys.executable)} -m bandmark "$@"\n')
    program.chmod(0o755)
    prom = tmp_path / "a b.prom"
    script = f"timeout 30 bandmark check --device cpu --prometheus {shlex.quote(str(prom))}"
    done = run(script, tmp_path, PYTHONPATH=os.pathsep.join(sys.path))
    assert done.returncode == 3 and len(done.stdout) <= 81  # no band of such memory, and no history
    families = {family.name for family in parser.text_string_to_metric_families(prom.read_text())}
    assert "bandmark_check_status" in families
