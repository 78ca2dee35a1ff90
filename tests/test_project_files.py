"""The workflows, the action, the issue forms and the container file parse, ask for little, and name what exists."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from bandmark.cli.app import COMMANDS, build_parser

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
ACTION = ROOT / "action.yml"
FORMS = sorted(path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")


def load(path: Path) -> dict[Any, Any]:
    """The content of a YAML file; `on` is the key True, as YAML 1.1 has it."""
    content: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def steps(path: Path) -> list[dict[str, Any]]:
    """All steps of a workflow or an action."""
    content = load(path)
    jobs = content["jobs"].values() if "jobs" in content else [content["runs"]]
    return [step for job in jobs for step in job["steps"]]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_asks_for_little(workflow: Path) -> None:
    """It may read by default, each job ends by itself, and runs of one branch do not pile up."""
    content = load(workflow)
    assert content["permissions"] in ({}, {"contents": "read"}) and "concurrency" in content
    for name, job in content["jobs"].items():
        assert 0 < job["timeout-minutes"] <= 120, name


@pytest.mark.parametrize("path", [*WORKFLOWS, ACTION], ids=lambda path: path.stem)
def test_actions_are_pinned_by_digest(path: Path) -> None:
    """Each action of others is named by a commit, with its version as a comment; one version of each is used."""
    lines = [line for line in path.read_text().splitlines() if re.search(r"\buses: (?!\./)", line)]
    for line in lines:
        assert re.search(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


def test_one_version_of_each_action() -> None:
    """Workflows and the action pin the same commit of an action."""
    used = {step["uses"] for path in (*WORKFLOWS, ACTION) for step in steps(path) if "@" in step.get("uses", "")}
    assert len(used) == len({name.split("@")[0] for name in used})


@pytest.mark.parametrize("path", [*WORKFLOWS, ACTION], ids=lambda path: path.stem)
def test_no_expression_is_pasted_into_a_script(path: Path) -> None:
    """Scripts read what others may choose from the environment: a branch's name is not run as code."""
    assert [step["run"] for step in steps(path) if "${{" in step.get("run", "")] == []


@pytest.mark.parametrize("path", [*WORKFLOWS, ACTION], ids=lambda path: path.stem)
def test_scripts_name_what_exists(path: Path) -> None:
    """Scripts are valid bash; files, targets of make and commands of bandmark that they name exist."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for script in (step["run"] for step in steps(path) if "run" in step):
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert set(re.findall(r"\bmake ([a-z-]+)", script)) <= targets
        assert set(re.findall(r"(?:\bbandmark|\"\$bandmark\") ([a-z][a-z-]*)", script)) <= set(COMMANDS)
        assert all((ROOT / file).exists() for file in re.findall(r"\b(?:tools|\.ci)/\S+", script))


def test_the_release_stores_no_token() -> None:
    """It is published by the identity of the job alone, in an environment, with an attestation."""
    job = load(ROOT / ".github/workflows/release.yml")["jobs"]["publish"]
    assert job["permissions"] == {"attestations": "write", "contents": "read", "id-token": "write"}
    assert job["environment"] == "release" and "secrets." not in (ROOT / ".github/workflows/release.yml").read_text()
    assert any("attest" in step.get("uses", "") for step in job["steps"])
    assert job["steps"][-1]["run"] == "uv publish --trusted-publishing always"


def test_the_action_documents_its_inputs() -> None:
    """Each input has a description, a default, and a row in docs/automation.md."""
    page = (ROOT / "docs/automation.md").read_text()
    for name, entry in load(ACTION)["inputs"].items():
        assert {"description", "default"} <= entry.keys() and f"| `{name}` |" in page
    assert build_parser(["run"]).parse_args(["run", *shlex.split(load(ACTION)["inputs"]["arguments"]["default"])])


@pytest.mark.parametrize(
    ("code", "fail_below", "expected"), [(0, "", 0), (1, "70", 1), (2, "", 2), (3, "", 0), (3, "70", 3)]
)
def test_the_exit_code_of_the_action(code: int, fail_below: str, expected: int, tmp_path: Path) -> None:
    """It is that of the run; without a row that is `ok` the job fails only where there is a figure to fail by."""
    program = tmp_path / "a b/bandmark/bin/bandmark"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/calls"\n[ "$1" = run ] && exit {code}\necho a table\n')
    program.chmod(0o755)
    (tmp_path / "my run.csv").touch()
    variables = {
        "ARGUMENTS": "--quick --kernel copy,read",
        "FAIL_BELOW": fail_below,
        "OUTPUT": "my run.csv",
        "RUNNER_TEMP": str(tmp_path / "a b"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
    }
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", steps(ACTION)[-1]["run"]]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | variables, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (expected, "")
    gate = f"--fail-below {fail_below} " if fail_below else ""
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == [f"run --quick --kernel copy,read {gate}--output my run.csv", "show my run.csv"]
    assert (tmp_path / "summary").read_text() == "```\na table\n```\n"
    assert ("::warning::" in done.stdout) == (code == 3 and not fail_below)


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_a_form_names_commands_that_exist(form: Path) -> None:
    """A form has a name, a description and fields with identifiers of their own; its commands can be typed."""
    content = load(form)
    assert content["name"] and content["description"]
    identifiers = [field["id"] for field in content["body"] if field["type"] != "markdown"]
    assert len(identifiers) == len(set(identifiers)) > 0
    commands = re.findall(r"`(bandmark [^`]+)`", form.read_text())
    assert commands
    for words in (shlex.split(command)[1:] for command in commands):
        build_parser(words).parse_args(words)


def test_the_forms_ask_for_what_helps() -> None:
    """A bug report needs the self-test file; a published result the files and the consent."""
    bug, result = (load(ROOT / f".github/ISSUE_TEMPLATE/{name}.yml")["body"] for name in ("bug", "result"))
    required = {field["id"] for field in (*bug, *result) if field.get("validations", {}).get("required")}
    assert {"selftest", "files"} <= required
    (consent,) = (field for field in result if field.get("id") == "consent")
    assert consent["attributes"]["options"][0]["required"]


def test_the_container_runs_bandmark() -> None:
    """It installs the checkout and torch without CUDA, is a few lines, and runs commands that exist."""
    text = (ROOT / "Containerfile").read_text()
    assert len(text.splitlines()) <= 12 and "--torch-backend=cpu" in text and '"/src[cpu]"' in text
    instructions = dict(re.findall(r"^(ENTRYPOINT|CMD) \[(.*)\]$", text, re.MULTILINE))
    assert instructions["ENTRYPOINT"] == '"bandmark"'
    words = re.findall(r'"([^"]+)"', instructions["CMD"])
    build_parser(words).parse_args(words)
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert ".git" in ignored and not {"harness", "kernels", "README.md", "LICENSE", "pyproject.toml"} & set(ignored)


def test_the_site_has_every_page() -> None:
    """The navigation lists each page of docs/ once; lint builds the site with --strict, which --quiet would undo."""
    pages = re.findall(r"([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(pages) == sorted(page.name for page in (ROOT / "docs").glob("*.md"))
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^SITE +:= .*mkdocs build --strict$", makefile, re.MULTILINE)
    assert makefile.count("\t$(SITE)\n") == 2
