"""The command line end to end on this machine's CPU, in small sizes: output, exit codes, bad input, killed runs."""

from __future__ import annotations

import csv
import getpass
import io
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import bandmark
from bandmark.cli.app import COMMANDS, EXAMPLES, build_parser, main
from bandmark.device import dimms
from bandmark.device.machine import read_machine
from bandmark.device.peaks import Peak
from bandmark.results.files import read_rows, to_csv, write_file
from bandmark.results.row import columns
from bandmark.session import session as session_module
from bandmark_kernels import DEFAULT_KERNELS, KERNELS, Implementation
from fakes import make_result

MEASURED = (0, 3)
"""Exit codes of a run that measured: 3 where every row is suspect, because of what else runs on the machine."""

SMALL = ("run", "--backend", "numpy", "--quick", "--size", "32KiB", "--time-limit", "0.4")
"""A run of one dtype that takes a fraction of a second."""

RUN = "20261123T101500Z-3f2a"

BANDMARK = (sys.executable, "-m", "bandmark")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty folder, and give SIGTERM its meaning back."""
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def tiny_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this machine have a last-level cache of 4 KiB, so that small arrays are in the dram regime."""
    monkeypatch.setattr(session_module, "read_machine", lambda: replace(read_machine(), llc_bytes=4096))


def call(*arguments: str, env: dict[str, str] | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [*BANDMARK, *arguments],
        capture_output="stdout" not in options,
        text=True,
        timeout=60,
        check=False,
        # Buffered as users have it: what a full disk refuses shows late.
        env=os.environ | {"PYTHONUNBUFFERED": ""} | (env or {}),
        **options,
    )


def test_help_says_what_a_newcomer_needs(capsys: pytest.CaptureFixture[str]) -> None:
    """The question, the commands, and the exit codes; the run command's options with their units."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    for words in ("memory bandwidth", "bandmark run --quick", "bandmark show", "130 interrupted"):
        assert words in re.sub(r"\s+", " ", out)
    for name, text in COMMANDS.items():  # wrapped at any width, and at hyphens
        assert len(re.findall(rf"^    {name}\s", out, re.MULTILINE)) == 1
        assert f"bandmark {EXAMPLES.get(name, name)}" in re.sub(r"\s+", " ", out)
        assert "".join((name + text).split()) in "".join(out.split())
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    out = capsys.readouterr().out
    for words in ("--backend", "64MiB", "GEMV: the matrix", "--fail-below", "below this % of peak", "2x5600"):
        assert words in re.sub(r"\s+", " ", out)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The name and the version, and nothing else."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"bandmark {bandmark.__version__}\n"


HEAVY = ("torch", "cupy", "pandas", "numpy", "resvg_py", "hypothesis", "threadpoolctl")


def loaded_by(arguments: list[str]) -> set[str]:
    """The modules that a command has imported when it ends."""
    program = (
        "import contextlib, io, sys\nfrom bandmark.cli.app import main\n"
        f"with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n    main({arguments})\n"
        "print('\\n'.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["list"], ["list", "--json"]])
def test_light_commands_import_nothing_heavy(arguments: list[str]) -> None:
    """Help, version and list load no numerical library and no drawing: that is what keeps them fast."""
    assert not loaded_by(arguments) & {*HEAVY, "rich"}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_imports_no_numerical_library(command: str) -> None:
    """What computes is loaded when it computes, whichever command it is."""
    assert not loaded_by([command, "--help"]) & {*HEAVY}


@pytest.mark.parametrize(
    ("arguments", "most"),
    [
        (["--help"], 8),
        (["--version"], 8),
        (["list"], 80),
        (["decode", "--help"], 9),
        (["train-step", "--help"], 10),
    ],
)
def test_light_commands_import_few_modules(arguments: list[str], most: int) -> None:
    """Help loads no command; list loads the table of kernels, that of suites, what finds libraries, and no driver."""
    own = {name for name in loaded_by(arguments) if name.startswith("bandmark")}
    assert len(own) <= most
    drivers = ("session", "show", "validation", "comparison", "reports", "options")
    others = () if arguments == ["list"] else ("suites", "measure", "judge")
    assert not {name for name in own if name.startswith(tuple(f"bandmark.{part}" for part in (*drivers, *others)))}


def test_importing_the_packages_imports_nothing_heavy() -> None:
    """`import bandmark` and `import bandmark_kernels` are cheap: what computes is loaded when it computes."""
    program = (
        "import sys, bandmark, bandmark_kernels\n"
        "sys.exit(' '.join(sorted({'torch', 'cupy', 'pandas', 'numpy', 'rich'} & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_run_from_end_to_end(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All kernels of a plain run are verified; table on stdout, notes and file names on stderr, two files of a stem."""
    assert main([*SMALL, "--time-limit", "2", "--peak", "50", "--system", "my-box", "--output", "run.csv"]) in MEASURED
    captured = capsys.readouterr()
    rows = read_rows(own_folder / "run.csv")
    assert [row.kernel for row in rows] == list(DEFAULT_KERNELS)
    for row in rows:
        assert row.verified is True and row.max_error is not None and row.max_error <= 1
        assert row.status in ("ok", "suspect")
        assert row.bytes_moved is not None and row.time_median_s is not None
        assert row.bandwidth_gbs == pytest.approx(row.bytes_moved / row.time_median_s / 1e9)
        assert (row.system, row.backend, row.dtype, row.peak_gbs) == ("my-box", "numpy", "float64", 50.0)
        assert row.n_elements == 4096 or row.suite == "gemv"
    assert "wrote run.csv and run.json" in captured.err and "--quick" in captured.err
    lines = captured.out.splitlines()
    assert [line.split()[0] for line in lines if line.split() and line.split()[0] in KERNELS] == list(DEFAULT_KERNELS)
    assert max(len(line) for line in lines if line.split(" ")[0] in KERNELS) <= 80 and "\x1b" not in captured.out
    assert sorted(p.name for p in own_folder.iterdir()) == ["run.csv", "run.json"]


def test_the_optimizer_from_end_to_end(own_folder: Path) -> None:
    """Both forms are measured and verified in dtypes of their own; where torch has no op, the row says why."""
    options = ["--backend", "numpy,torch", "--kernel", "adamw,adamw_master", "--output", "run.csv"]
    assert (
        main([*SMALL[:1], *options, "--device", "cpu", "--quick", "--size", "32KiB", "--time-limit", "4"]) in MEASURED
    )
    rows = read_rows(own_folder / "run.csv")
    assert [(r.kernel, r.dtype, r.backend, r.suite) for r in rows] == [
        (kernel, dtype, backend, "training")
        for kernel, dtype in (("adamw", "float32"), ("adamw_master", "bfloat16"))
        for backend in ("numpy", "torch")
    ]
    for row in rows[:3]:
        assert row.verified is True and row.n_elements == 8192 and row.bytes_moved == 28 * 8192
    assert rows[3].status == "unsupported" and "28" in (rows[3].reason or "")
    assert main(["validate", "run.csv"]) == 0


def test_the_record_of_a_run(own_folder: Path) -> None:
    """The JSON has the run's settings and every raw sample, agrees with the CSV, and names neither host nor user."""
    assert main([*SMALL, "--kernel", "copy,dot", "--output", "run.csv"]) in MEASURED
    text = (own_folder / "run.json").read_text()
    record = json.loads(text)
    rows = read_rows(own_folder / "run.csv")
    assert {row.run_id for row in rows} == {record["run_id"]} and record["complete"] is True
    for entry, row in zip(record["samples"], rows, strict=True):
        seconds = entry["seconds_per_launch"]
        assert (entry["kernel"], len(seconds)) == (row.kernel, row.samples)
        assert min(seconds) == pytest.approx(row.time_min_s)
    for name in {socket.gethostname(), getpass.getuser(), str(Path.home()), str(own_folder), sys.prefix}:
        owner = re.compile(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])")
        assert not owner.search(text), name
        assert not owner.search((own_folder / "run.csv").read_text()), name


def test_a_run_without_output_names_its_new_file(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The name is the run's: start in UTC and four digits."""
    assert main([*SMALL, "--kernel", "copy"]) in MEASURED
    (file,) = own_folder.glob("*.csv")
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{8}", file.stem)
    assert read_rows(file)[0].run_id == file.stem
    assert f"wrote {file.name} and {file.stem}.json" in capsys.readouterr().err


def test_csv_on_stdout_and_nothing_else(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --output - stdout is the CSV alone, and no file is written."""
    assert main([*SMALL, "--kernel", "triad,copy", "--output", "-"]) in MEASURED
    out = capsys.readouterr().out
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["kernel"] for row in rows] == ["copy", "triad"]
    assert out.splitlines()[0] == ",".join(c.name for c in columns()) and out.count("\n") == 3
    assert list(own_folder.iterdir()) == []


def test_torch_and_numpy_side_by_side(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both libraries measure the same cases in turn, on the CPU."""
    code = main(["run", *SMALL[3:], "--backend", "numpy,torch", "--kernel", "copy,nstream", "--output", "run.csv"])
    assert code in MEASURED
    rows = read_rows(own_folder / "run.csv")
    assert [(row.kernel, row.backend, row.status == "unsupported") for row in rows] == [
        ("copy", "numpy", False),
        ("copy", "torch", False),
        ("nstream", "numpy", False),
        ("nstream", "torch", True),
    ]
    assert rows[3].reason and rows[3].bandwidth_gbs is None
    assert "torch 2." in capsys.readouterr().out


def test_show_prints_the_table_of_the_run(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `run` printed is what `show` prints of its file."""
    assert main([*SMALL, "--kernel", "copy", "--output", "run.csv"]) in MEASURED
    printed = capsys.readouterr().out
    assert main(["show", "run.csv"]) == 0
    assert capsys.readouterr().out == printed
    assert main(["show", "--json", "run.csv"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["kernel"] == "copy"


def test_devices_on_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    """The CPU is there, with its memory and a peak or what to do about it; libraries without a GPU are no error."""
    assert main(["devices"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("cpu: ") and "memory" in out and "peak" in out
    assert main(["devices", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["devices"][0]["address"] == "cpu"


def test_probe_on_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    """`list --probe` imports each library and says what it can do here, or why not."""
    assert main(["list", "--probe", "--json"]) == 0
    states = {name: entry["state"] for name, entry in json.loads(capsys.readouterr().out)["backends"].items()}
    assert states["numpy"].endswith("on the CPU")
    assert "the CPU" in states["torch"]
    assert states["cupy"]


@pytest.mark.usefixtures("tiny_cache")
def test_attention_without_a_gpu(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On a CPU no library attends at memory speed: rows with reasons, the heads in their columns, and no violation."""
    assert main(["run", "--kernel", "kv", "--heads", "14,2,64", "--quick", "--output", "x.csv"]) in MEASURED
    rows = read_rows(own_folder / "x.csv")
    assert {(r.status, r.n, r.heads, r.head_dim, r.suite) for r in rows} == {("unsupported", 128, 14, 64, "attention")}
    assert {(r.dtype, r.weight_format) for r in rows} == {("float16", None), ("float16", "fp8"), ("bfloat16", None)}
    assert all(row.reason for row in rows)
    assert main(["validate", "x.csv"]) == 0
    assert main(["run", "--kernel", "kv", "--heads", "14,2", "--output", "y.csv"]) == 2
    assert "--heads 14,2: give query heads, KV heads and elements of a head, as in 32,8,128" in capsys.readouterr().err


@pytest.mark.usefixtures("tiny_cache")
def test_a_models_matrices_from_end_to_end(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--layer measures each matrix of a config.json from memory, in each format; files are valid, decode takes them."""
    (own_folder / "tiny").mkdir()
    shape = {
        "model_type": "llama",
        "hidden_size": 64,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 96,
    }
    config = json.dumps({**shape, "num_hidden_layers": 3, "vocab_size": 500})
    (own_folder / "tiny" / "config.json").write_text(config)
    run = (
        "run",
        "--layer",
        "tiny",
        "--backend",
        "numpy,torch",
        "--weights",
        "int8,bf16",
        "--quick",
        "--time-limit",
        "2",
        "--output",
        "x.csv",
    )
    assert main([*run]) in MEASURED
    out = capsys.readouterr().out
    rows = read_rows(own_folder / "x.csv")
    shapes = {
        "qkv": (128, 64, 3),
        "o": (64, 64, 3),
        "gate_up": (192, 64, 3),
        "down": (64, 96, 3),
        "lm_head": (500, 64, 1),
    }
    for row in rows:
        name = (row.layer or "").removeprefix("tiny ")
        assert (row.m, row.n, row.layer_uses) == shapes[name] and row.suite == "gemv"
        if row.backend == "numpy" and name != "down":
            assert row.status in ("ok", "suspect") and row.verified and row.regime == "dram"
            assert row.working_set_bytes is not None and row.working_set_bytes * (row.copies or 0) >= 4 * 4096
        else:
            assert row.status == "unsupported" and row.reason
    assert [row.layer for row in rows if row.backend == "numpy"] == [f"tiny {name}" for name in shapes] * 2
    assert "numpy int8: no sum, for down was not measured" in out
    assert str(own_folder) not in (own_folder / "x.json").read_text()
    assert main(["validate", "x.csv"]) == 0
    assert main(["decode", "--results", "x.csv", "--model", "tiny", "--weights", "int8"]) == 0
    assert "of tiny (numpy)" in capsys.readouterr().out


@pytest.mark.usefixtures("tiny_cache")
@pytest.mark.parametrize(("percent", "code"), [("0.0001", 0), ("100", 1)])
def test_fail_below(percent: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code tells whether every row reached the wanted percentage of the peak."""
    actual = main([*SMALL, "--kernel", "copy", "--peak", "5000", "--fail-below", percent])
    assert actual in (code, 3)  # 3: the row is suspect, because of what else runs on the machine
    assert ("is below 100 %" in capsys.readouterr().err) == (actual == 1)


@pytest.mark.usefixtures("tiny_cache")
def test_dram_rows_are_compared_with_the_named_systems(own_folder: Path) -> None:
    """Verified rows in the dram regime have all percentages, and of the ceiling; whatever the device."""
    assert main([*SMALL, "--kernel", "copy,read", "--peak", "1000", "--output", "run.csv"]) in MEASURED
    for row in read_rows(own_folder / "run.csv"):
        assert row.regime == "dram" and row.bandwidth_gbs is not None
        assert row.percent_of_peak == pytest.approx(row.bandwidth_gbs / 10, rel=1e-6)
        assert row.percent_of_dgx_spark == pytest.approx(100 * row.bandwidth_gbs / 273, rel=1e-6)
        assert row.percent_of_rtx_pro_5000 is not None and row.percent_of_dgx_station is not None
        assert row.percent_of_ceiling is not None


def test_fail_below_without_a_peak_is_bad_usage(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A threshold that nothing can be measured against is refused before anything is measured."""
    unread = Peak(explanation="not told")
    monkeypatch.setattr(dimms, "read_dimms", lambda: unread)
    assert main([*SMALL, "--kernel", "copy", "--fail-below", "50"]) == 2
    captured = capsys.readouterr()
    assert "--fail-below needs a peak" in captured.err and captured.out == ""


@pytest.mark.usefixtures("tiny_cache")
def test_suspect_rows_alone_leave_nothing_to_judge(own_folder: Path) -> None:
    """Zeros as inputs make every row suspect: no row failed, and none is ok."""
    assert main([*SMALL, "--kernel", "copy", "--data", "zeros", "--output", "run.csv"]) == 3
    assert read_rows(own_folder / "run.csv")[0].status == "suspect"


def test_an_error_row_is_a_failure(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that raises is a row with the reason, the next is measured, and the exit code is 1."""
    broken = {"numpy": Implementation(lambda **operands: lambda: 1 / 0)}
    monkeypatch.setitem(KERNELS, "copy", replace(KERNELS["copy"], implementations=broken))
    assert main([*SMALL, "--kernel", "copy,read", "--output", "run.csv"]) == 1
    one, two = read_rows(own_folder / "run.csv")
    assert one.status == "error" and "division by zero" in (one.reason or "")
    assert two.verified is True


def test_a_wrong_kernel_is_a_failure(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that computes nothing has times, no bandwidth, and exit code 1."""
    idle = {"numpy": Implementation(lambda **operands: lambda: None)}
    monkeypatch.setitem(KERNELS, "copy", replace(KERNELS["copy"], implementations=idle))
    assert main([*SMALL, "--kernel", "copy", "--output", "run.csv"]) == 1
    (row,) = read_rows(own_folder / "run.csv")
    assert (row.status, row.verified, row.bandwidth_gbs) == ("failed_verification", False, None)
    assert row.time_median_s is not None


BAD_INPUT = [
    (["run", "--kernel", "traid"], "unknown kernel 'traid'. Did you mean 'triad'?"),
    (["run", "--backend", "touch"], "unknown backend 'touch'. Did you mean 'torch'?"),
    (["run", "--dtype", "float23"], "unknown dtype 'float23'. Did you mean 'float32'?"),
    (["run", "--size", "0"], "--size '0' is not a size"),
    (["run", "--size=-5MiB"], "--size '-5MiB' is not a size"),
    (["run", "--size", "big"], "--size 'big' is not a size"),
    (["run", "--size", "1e999"], "--size '1e999' is not a size"),
    (["run", "--backend", "numpy", "--size", "900000GiB"], "needs 1800000 GiB for the 2 arrays of copy"),
    (["run", "--backend", "numpy", "--threads", "0"], "--threads 0 is not possible"),
    (["run", "--backend", "numpy", "--seed", "-1"], "--seed -1 is not a seed"),
    (["run", "--time-limit", "0"], "--time-limit 0 must be a positive number"),
    (["run", "--time-limit", "inf"], "--time-limit inf must be a positive number"),
    (["run", "--peak", "lots"], "--peak 'lots' is not a peak"),
    (["run", "--system", "My Box"], "--system 'My Box'"),
    (["run", "--fail-below", "nan"], "--fail-below nan is no percentage"),
    (["run", "--backend", "numpy", "--device", "cuda"], "NumPy runs on the CPU"),
    (["run", "--device", "warp:9"], "there is no device 'warp:9'"),
    (["run", "--output", "results.json"], "must end in .csv"),
    (
        ["run", "--output", "no/such/folder/run.csv"],
        "can't write no/such/folder/run.csv: there is no folder no/such/folder",
    ),
    (["show", "missing.csv"], "missing.csv does not exist"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_INPUT, ids=[" ".join(a) for a, _ in BAD_INPUT])
def test_bad_input(arguments: list[str], message: str, own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, one message on stderr that says what is wrong, nothing on stdout, no file left."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.startswith("bandmark: ")
    assert captured.out == ""
    assert list(own_folder.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["measure"],
        ["run", "--kernel", ","],
        ["run", "--seed", "x"],
        ["show"],
        ["run", "x"],
    ],
)
def test_bad_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What the parser refuses has exit code 2 too, with the usage."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: bandmark" in capsys.readouterr().err


def test_no_command_shows_help(capsys: pytest.CaptureFixture[str]) -> None:
    """`bandmark` alone is the help on stdout, and no error."""
    assert main([]) == 0
    shown = capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["--help"])
    assert shown == capsys.readouterr() and shown.err == ""


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["rum"], "unknown command 'rum'. Did you mean 'run'?"),
        (["run", "--kernal", "copy"], "unrecognized arguments: --kernal copy. Did you mean --kernel?"),
        (["report", "x", "--as", "htm"], "Did you mean 'html'? Choose from html, md, png, svg."),
        (["report", "x", "-z"], "unrecognized arguments: -z\n"),
    ],
)
def test_misspelt_words_are_answered_with_what_was_meant(
    arguments: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Commands, options and choices that come near a word that exists name it."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2 and meant in capsys.readouterr().err


def test_unknown_contents_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Each of the contents that --data names is one that there is, before anything is measured."""
    assert main(["run", "--data", "random,zero"]) == 2
    assert capsys.readouterr().err == (
        "bandmark: unknown data 'zero'. Did you mean 'zeros'? Choose from random, ramp, zeros.\n"
    )


def test_every_command_has_an_example_that_it_takes() -> None:
    """What help shows below a command can be typed as it stands."""
    for name in COMMANDS:
        words = shlex.split(EXAMPLES.get(name, name))
        assert build_parser(words).parse_args(words).command == name


def test_defaults_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """An option with a default names it once, whether or not its help does."""
    for name in COMMANDS:
        with pytest.raises(SystemExit):
            main([name, "--help"])
        options = re.split(r"\n  -", re.sub(r"\s*\n\s{10,}", " ", capsys.readouterr().out))
        assert all(option.count("(default:") <= 1 for option in options)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_commands_and_options(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The script that a shell loads names every command, and the options of a run."""
    with pytest.raises(SystemExit) as ended:
        main(["--print-completion", shell])
    assert ended.value.code == 0
    script = capsys.readouterr().out
    assert all(name in script for name in COMMANDS) and "fail-below" in script


def test_completion_without_its_library(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without shtab the message says what to install."""
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["--print-completion", "bash"]) == 2
    assert "--print-completion needs shtab: pip install shtab" in capsys.readouterr().err


def test_an_existing_output_is_refused(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is measured or touched; --force replaces, but not when the other options are wrong."""
    (own_folder / "run.csv").write_text("precious")
    assert main([*SMALL, "--kernel", "copy", "--output", "run.csv"]) == 2
    assert "run.csv exists" in capsys.readouterr().err
    assert main(["run", "--kernel", "cpy", "--force", "--output", "run.csv"]) == 2
    assert (own_folder / "run.csv").read_text() == "precious"
    assert main([*SMALL, "--kernel", "copy", "--force", "--output", "run.csv"]) in MEASURED
    assert len(read_rows(own_folder / "run.csv")) == 1


def test_damaged_files_are_told(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`show` of a file that is no result has exit code 2 and names the file."""
    (own_folder / "bad.csv").write_text("a,b\n1,2\n")
    assert main(["show", "bad.csv"]) == 2
    captured = capsys.readouterr()
    assert "bad.csv" in captured.err and captured.out == ""


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize(("command", "code"), [("list", 0), ("show none.csv", 2), ("list --json", 0)])
def test_closed_streams(closed: str, command: str, code: int, own_folder: Path) -> None:
    """Where the caller closed stdout or stderr, a command does its work and ends with its code."""
    python = " ".join(map(shlex.quote, BANDMARK))
    done = subprocess.run(["sh", "-c", f"{python} {command} {closed}"], check=False, capture_output=True, text=True)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
@pytest.mark.parametrize("arguments", [[*SMALL, "--kernel", "copy", "--output", "-"], ["list"]])
def test_a_full_disk_behind_stdout(arguments: list[str]) -> None:
    """What can't be written to stdout is an error with a sentence, not a traceback."""
    with open("/dev/full", "w") as full:
        done = call(*arguments, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert "no space left" in done.stderr and "Traceback" not in done.stderr and "Exception" not in done.stderr


def test_a_reader_that_goes_away() -> None:
    """A closed pipe (| head) ends the command without a traceback."""
    with unread() as pipe:
        done = call("list", stdout=pipe, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(
    "arguments", [["show", "run.csv"], ["decode", "--system", "dgx-spark"], ["show", "missing.csv"]]
)
def test_nobody_reads(own_folder: Path, arguments: list[str]) -> None:
    """With both streams closed a command says nothing and ends as shells report it, or with the code of its error."""
    write_file(own_folder / "run.csv", to_csv([make_result()]))
    with unread() as pipe:
        done = call(*arguments, stdout=pipe, stderr=pipe)
    assert done.returncode == (2 if "missing.csv" in arguments else 141)


@pytest.mark.parametrize("both", [False, True])
def test_a_run_goes_on_without_a_reader(own_folder: Path, both: bool) -> None:
    """A closed pipe fails no run, even if notes and talk have no reader either: its files are whole."""
    with unread() as pipe:
        arguments = (*SMALL, "--kernel", "copy,read", "--output", "run.csv")
        done = call(*arguments, stdout=pipe, stderr=pipe if both else subprocess.PIPE)
    assert done.returncode in MEASURED
    assert both or ("wrote run.csv" in done.stderr and "BrokenPipe" not in done.stderr)
    assert [row.kernel for row in read_rows(own_folder / "run.csv")] == ["copy", "read"]
    assert main(["validate", "run.csv"]) == 0


def test_a_csv_that_nobody_reads_is_lost() -> None:
    """With --output - the pipe is where the result goes: the exit code says that it did not arrive."""
    with unread() as pipe:
        done = call(*SMALL, "--kernel", "copy", "--output", "-", stdout=pipe, stderr=subprocess.PIPE)
    assert done.returncode == 141 and "BrokenPipe" not in done.stderr


@contextmanager
def unread() -> Iterator[int]:
    """A pipe whose reader has gone away."""
    read, write = os.pipe()
    os.close(read)
    try:
        yield write
    finally:
        os.close(write)


@pytest.mark.parametrize(
    "arguments", [["show", "run.csv"], ["compare", "run.csv", "run.csv"], ["list"], ["decode", "--system", "dgx-spark"]]
)
def test_piped_lines_have_no_trailing_space(
    own_folder: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Empty lines of tables are empty, and no cell or wrapped sentence fills up its line."""
    rows = [make_result(status="suspect", reason=f"{'word ' * 30}end"), make_result(kernel="copy", run_id=RUN)]
    write_file(own_folder / "run.csv", to_csv([replace(row, run_id=RUN) for row in rows]))
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "" in lines and [line for line in lines if line != line.rstrip()] == []


def blocked(folder: Path, library: str, how: str) -> dict[str, str]:
    """An environment in which a library is missing, or raises when it is imported."""
    if how == "broken":
        (folder / library).mkdir()
        (folder / library / "__init__.py").write_text("raise OSError('libcudart.so.13: cannot open shared object')")
    else:
        (folder / "sitecustomize.py").write_text(
            "import sys\n"
            "class Block:\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            f"        if name.split('.')[0] == {library!r}:\n"
            "            raise ModuleNotFoundError(name)\n"
            "import importlib.util, importlib.machinery\n"
            "find = importlib.util.find_spec\n"
            f"importlib.util.find_spec = lambda name, *rest: None if name == {library!r} else find(name, *rest)\n"
            "sys.meta_path.insert(0, Block())\n"
        )
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}


def test_a_library_that_every_command_needs_is_broken(own_folder: Path, tmp_path: Path) -> None:
    """Whatever a library raises while it is imported becomes a sentence with the remedy."""
    write_file(own_folder / "run.csv", to_csv([make_result(kernel="copy", run_id=RUN)]))
    folder = tmp_path / "path"
    folder.mkdir()
    done = call("show", "run.csv", env=blocked(folder, "rich", "broken"))
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "rich, which this command needs, can't be imported (OSError: libcudart" in done.stderr
    assert "pip install --force-reinstall rich" in done.stderr


@pytest.mark.parametrize("command", [["merge", "--output"], [*SMALL, "--kernel", "copy", "--output"]])
def test_a_file_name_that_no_file_can_have(
    own_folder: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A name longer than the file system takes is an error that quotes it."""
    inputs = ["run.csv"] if command[0] == "merge" else []
    write_file(own_folder / "run.csv", to_csv([make_result(kernel="copy", run_id=RUN)]))
    assert main([*command, "x" * 300 + ".csv", *inputs]) == 2
    assert "File name too long" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", "torch is not installed; `pip install"),
        ("broken", "torch is installed but can't be imported (OSError: libcudart.so.13: cannot open shared object)"),
    ],
)
def test_without_torch(how: str, message: str, tmp_path: Path) -> None:
    """A missing or broken torch is an error where it was asked for, and otherwise NumPy measures without it."""
    folder = tmp_path / "path"
    folder.mkdir()
    env = blocked(folder, "torch", how)
    asked = call("run", "--backend", "torch", "--quick", env=env)
    assert asked.returncode == 2
    assert message in asked.stderr and "Traceback" not in asked.stderr
    unasked = call("run", *SMALL[3:], "--kernel", "copy", "--output", "-", env=env)
    assert unasked.returncode in MEASURED
    measured = {row["backend"] for row in csv.DictReader(io.StringIO(unasked.stdout))}
    assert "numpy" in measured and "torch" not in measured
    assert ("can't be imported" in unasked.stderr) == (how == "broken")


def test_a_backend_that_is_not_there(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """CuPy asked for on a machine without it is an error that says why."""
    from bandmark.backends import discovery, select

    found = discovery.is_installed
    for module in (discovery, select):
        monkeypatch.setattr(module, "is_installed", lambda name: name != "cupy" and found(name))
    assert main(["run", "--backend", "cupy", "--device", "cpu"]) == 2
    assert "The cupy backend needs an NVIDIA GPU" in capsys.readouterr().err


@pytest.fixture
def running(own_folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A run that takes a while, from the moment when its first group is in the file."""
    arguments = ("run", "--backend", "numpy", "--size", "64KiB", "--time-limit", "60", "--output", "run.csv")
    # A shell's background job ignores SIGINT and so do its children; a handler is reset in the child, as in a terminal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen([*BANDMARK, *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    signal.signal(signal.SIGINT, before)
    file = own_folder / "run.csv"
    deadline = time.monotonic() + 50
    try:
        while not (file.exists() and len(file.read_text().splitlines()) > 1 and file.with_suffix(".json").exists()):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "no row after 50 s"
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_a_killed_run_leaves_valid_files(
    own_folder: Path, running: subprocess.Popen[str], number: signal.Signals, code: int
) -> None:
    """Ctrl-C and SIGTERM keep the finished groups, end valid files and exit with 130; SIGKILL keeps them as well."""
    running.send_signal(number)
    out, err = running.communicate(timeout=30)
    assert running.returncode == code
    assert "Traceback" not in err
    rows = read_rows(own_folder / "run.csv")
    assert 1 <= len(rows) < 2 * len(DEFAULT_KERNELS)
    assert all(row.verified for row in rows)
    record = json.loads((own_folder / "run.json").read_text())
    assert record["complete"] is False and len(record["samples"]) >= 1
    if code == 130:
        assert len(record["samples"]) == len(rows)
        assert f"interrupted after {len(rows)} rows; they are kept" in err
        assert "copy" in out and "wrote run.csv and run.json" in err
        assert sorted(p.name for p in own_folder.iterdir()) == ["run.csv", "run.json"]


def test_ctrl_c_before_the_first_row(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is stopped before its first group ends leaves no file, and exits with 130."""

    def interrupt(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(session_module, "measure_groups", interrupt)
    assert main([*SMALL, "--output", "run.csv"]) == 130
    monkeypatch.setattr(session_module, "open_target", interrupt)
    assert main([*SMALL, "--output", "run.csv"]) == 130
    assert list(own_folder.iterdir()) == []


def test_module_and_script_are_the_same() -> None:
    """`python -m bandmark` does what `bandmark` does."""
    script = Path(sys.executable).with_name("bandmark")
    told = subprocess.run([script, "--version"], capture_output=True, text=True, check=True).stdout
    assert call("--version").stdout == told == f"bandmark {bandmark.__version__}\n"
