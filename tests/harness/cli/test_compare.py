"""bandmark compare end to end: files in, table and exit code out."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bandmark
from bandmark.cli.app import main
from bandmark.errors import UsageError
from bandmark.measure.stats import summarize
from bandmark.results.files import to_csv
from bandmark.results.row import Row
from bandmark_kernels import DTYPES, KERNELS, Shape
from fakes import make_result
from foreign_files import BABELSTREAM, NVBANDWIDTH, STREAM, nvbench, nvbench_state

N = 33554432


def measured(rng: np.random.Generator, run_id: str, kernel: str, gbs: float, **changes: Any) -> tuple[Row, list[float]]:
    """Return a row with 1 % of noise in 20 samples, and the samples."""
    shape, dtype = Shape(N), DTYPES[changes.get("dtype", "float64")]
    read, written = KERNELS[kernel].bytes_read(shape, dtype), KERNELS[kernel].bytes_written(shape, dtype)
    seconds = [float(s) for s in (read + written) / gbs / 1e9 * (1 + 0.01 * rng.standard_normal(20))]
    s = summarize(seconds)
    row = make_result(
        run_id=run_id,
        kernel=kernel,
        n=N,
        n_elements=N,
        bytes_read=read,
        bytes_written=written,
        time_median_s=s.median_s,
        time_min_s=s.min_s,
        time_q1_s=s.q1_s,
        time_q3_s=s.q3_s,
        time_max_s=s.max_s,
        ci95_rel=s.ci95_rel,
        bandwidth_gbs=(read + written) / s.median_s / 1e9,
        bandwidth_best_gbs=(read + written) / s.min_s / 1e9,
        **changes,
    )
    return row, seconds


def write_runs(folder: Path, gbs: dict[str, float], runs: int = 3, seed: int = 1, **changes: Any) -> list[str]:
    """Write runs with these bandwidths by kernel, which vary by 0.3 % from run to run; return their files."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    files = []
    for i in range(runs):
        run_id = f"20261123T10{seed:02}0{i}Z-00{i:02}"
        pairs = [measured(rng, run_id, k, g * (1 + 0.003 * rng.standard_normal()), **changes) for k, g in gbs.items()]
        file = folder / f"{run_id}.csv"
        file.write_text(to_csv(row for row, _ in pairs), encoding="utf-8")
        samples = [
            {
                **{name: getattr(r, name) for name in ("backend", "kernel", "dtype", "variant", "launches_per_sample")},
                "seconds_per_launch": s,
            }
            for r, s in pairs
        ]
        file.with_suffix(".json").write_text(json.dumps({"run_id": run_id, "samples": samples}), encoding="utf-8")
        files.append(str(file))
    return files


KERNEL_GBS = {"copy": 100.0, "scale": 100.0, "add": 110.0, "triad": 110.0}


@pytest.fixture
def sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two folders of three runs each, of which the second has a triad that is 8 % slower."""
    monkeypatch.chdir(tmp_path)
    write_runs(tmp_path / "old", KERNEL_GBS, seed=1)
    write_runs(tmp_path / "new", KERNEL_GBS | {"triad": 101.2}, seed=2)
    return tmp_path


def verdicts(text: str) -> dict[str, str]:
    """Return the verdicts of a printed table by kernel."""
    found = re.findall(r"^(\w+) +numpy .*?(FASTER|SLOWER|SAME|UNCLEAR)", text, re.MULTILINE)
    return dict(found)


EXPECTED = {"copy": "SAME", "scale": "SAME", "add": "SAME", "triad": "SLOWER"}


def test_two_folders(sides: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Folders are sides of replicates; the table goes to stdout, nothing to stderr, and the exit code is 0."""
    assert main(["compare", "old", "new"]) == 0
    out, err = capsys.readouterr()
    assert verdicts(out) == EXPECTED and err == ""
    assert "4 cases: 1 SLOWER, 3 SAME" in out and "3 runs on Fake GPU" in out


def test_the_documentation_shows_this_output(sides: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The examples in docs/comparing.md are what the command prints for these runs, apart from left out lines."""
    write_runs(sides / "fast", {kernel: 1.5 * gbs for kernel, gbs in KERNEL_GBS.items()}, runs=1, seed=6)
    page = (Path(__file__).parents[3] / "docs/comparing.md").read_text(encoding="utf-8")
    examples = re.findall(r"^\$ bandmark (compare [^\n]*)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(examples) == 2
    for command, shown in examples:
        assert main(command.split()) == 0
        printed = " ".join(capsys.readouterr().out.split())
        for part in shown.split("...\n"):
            assert " ".join(part.split()) in printed


def test_commas_and_options_say_the_same(sides: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files with commas between them, and --baseline and --candidate, are the same sides as the folders."""
    old, new = (sorted(str(p) for p in (sides / name).glob("*.csv")) for name in ("old", "new"))
    for arguments in ([",".join(old), ",".join(new)], ["--baseline", *old, "--candidate", *new]):
        assert main(["compare", *arguments]) == 0
        assert verdicts(capsys.readouterr().out) == EXPECTED


def test_a_file_with_a_comma_in_its_name(sides: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is really called so is one file."""
    first = next((sides / "old").glob("*.csv"))
    first.rename(sides / "a,b.csv")
    assert main(["compare", "a,b.csv", "new", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["baseline"]["label"] == "a,b.csv"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ([], 0),
        (["--fail-on-regression"], 1),
        (["--fail-on-regression", "5"], 1),
        (["--fail-on-regression", "20"], 0),
        (["--fail-on-regression", "--json"], 1),
    ],
)
def test_exit_codes(options: list[str], code: int, sides: Path) -> None:
    """Only --fail-on-regression makes a SLOWER an exit code of 1, with a percentage only one beyond it."""
    assert main(["compare", "old", "new", *options]) == code


def test_nothing_else_fails(sides: Path) -> None:
    """With --fail-on-regression, FASTER, SAME and UNCLEAR exit with 0."""
    assert main(["compare", "new", "old", "--fail-on-regression"]) == 0
    singles = [str(next((sides / name).glob("*.csv"))) for name in ("old", "new")]
    assert main(["compare", *singles, "--fail-on-regression"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["old"], "two sides, the baseline first"),
        (["old", "new", "--baseline", "old"], "without either"),
        (["--baseline", "old"], "without either"),
        (["old", "missing.csv"], "can't read missing.csv"),
        (["old", ","], "names no file"),
        (["old", "new", "--margin", "0"], "is not a margin"),
        (["old", "new", "--margin", "nan"], "is not a margin"),
        (["old", "new", "--fail-on-regression", "1"], "add --margin 1"),
        (["old", "new", "--fail-on-regression", "-1"], "is no percentage"),
        (["old", "new", "--fail-on-regression", "nan"], "is no percentage"),
        (["old", "new", "--history", "empty"], "holds no result files"),
        (["old", "empty"], "holds no result file"),
        (["old,old", "new"], "times: a copy is no replicate"),
    ],
)
def test_bad_usage(arguments: list[str], message: str, sides: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not accepted is told on stderr, with exit code 2 and nothing on stdout."""
    (sides / "empty").mkdir()
    assert main(["compare", *arguments]) == 2
    out, err = capsys.readouterr()
    assert message in err and out == ""


def test_a_file_taken_for_a_percentage(capsys: pytest.CaptureFixture[str]) -> None:
    """A file after --fail-on-regression is taken for its percentage: the message says to name files before it."""
    with pytest.raises(SystemExit, match="2"):
        main(["compare", "--fail-on-regression", "a.csv", "b.csv"])
    assert "name the files before this option" in capsys.readouterr().err


def test_unlike_settings(sides: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Zeros against random data is refused with exit code 2, naming it; --anyway compares and notes it."""
    write_runs(sides / "zeros", KERNEL_GBS, seed=3, data="zeros")
    assert main(["compare", "old", "zeros"]) == 2
    assert "data: random against zeros" in capsys.readouterr().err
    assert main(["compare", "old", "zeros", "--anyway"]) == 0
    assert "note: unlike settings: data" in capsys.readouterr().out


def test_single_runs(sides: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One run a side finds what no two runs differ by, and says so; --history of stored runs finds more, named."""
    write_runs(sides / "store" / "fake-1", KERNEL_GBS, runs=6, seed=4)
    write_runs(sides / "fast", {kernel: 1.5 * gbs for kernel, gbs in KERNEL_GBS.items()}, runs=1, seed=6)
    singles = [str(next((sides / name).glob("*.csv"))) for name in ("old", "new", "fast")]
    assert main(["compare", singles[0], singles[2]]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "4 cases: 4 FASTER" in out and "note: 1 run a side:" in out
    assert main(["compare", *singles[:2]]) == 0
    out = capsys.readouterr().out
    assert set(verdicts(out).values()) == {"UNCLEAR"} and "--history" in out
    assert main(["compare", *singles[:2], "--history", "store"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "1 SLOWER" in out and "6 stored runs: 20261123T" in out


def test_several_candidates(sides: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each further side is compared with the first."""
    write_runs(sides / "newer", KERNEL_GBS, seed=5)
    assert main(["compare", "old", "new", "newer", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [c["candidate"]["label"] for c in found] == ["new", "newer"]
    assert [c["count"]["SLOWER"] for c in found] == [1, 0]
    assert main(["compare", "old", "new", "newer"]) == 0
    assert capsys.readouterr().out.count("\n\nbaseline   old: 3 runs") == 1


def test_unstable_samples(sides: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run whose samples in the JSON fall into two speeds makes the case UNCLEAR, although its row is ok."""
    record = next((sides / "new").glob("*.json"))
    content = json.loads(record.read_text())
    for entry in content["samples"]:
        if entry["kernel"] == "triad":
            entry["seconds_per_launch"] = [s * (1.2 if i % 2 else 1) for i, s in enumerate(entry["seconds_per_launch"])]
    record.write_text(json.dumps(content))
    assert main(["compare", "old", "new"]) == 0
    out = capsys.readouterr().out
    assert verdicts(out) == EXPECTED | {"triad": "UNCLEAR"} and "two speeds" in out


@pytest.mark.parametrize("mixed", [False, True])
def test_other_tools(mixed: bool, sides: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Other tools' results are second sides whose conversion is said."""
    (sides / "stream.txt").write_text(STREAM)
    (sides / "babel.csv").write_text(BABELSTREAM)
    (sides / "nvb.json").write_text(json.dumps(NVBANDWIDTH))
    (sides / "bench.json").write_text(nvbench({"triad": [nvbench_state(N, "F64", 3, 7e-3)]}))
    said = {
        "stream.txt": "STREAM's best rate",
        "babel.csv": "bytes / shortest time",
        "nvb.json": "counts a copy once",
        "bench.json": "by the median time",
    }
    for name, words in said.items():
        assert main(["compare", *((name, "old") if mixed else ("old", name))]) == 0
        out = " ".join(capsys.readouterr().out.split())
        assert words in out and f"{name}: 1 run of" in out


def test_replicates_of_another_tool(sides: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three results of STREAM are replicates like ours."""
    names = []
    for i in range(3):
        names.append(f"stream{i}.txt")
        (sides / names[-1]).write_text(STREAM.replace("30724.7", f"307{20 + i}.7"))
    assert main(["compare", "old", ",".join(names)]) == 0
    out = capsys.readouterr().out
    assert verdicts(out)["triad"] == "SLOWER" and "3 runs of STREAM" in out


def test_piped_output_is_plain(sides: Path) -> None:
    """A pipe gets plain text, and python -m bandmark exits as main does."""
    command = [sys.executable, "-m", "bandmark", "compare", "old", "new", "--fail-on-regression"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=sides)
    assert done.returncode == 1 and done.stderr == "" and "\x1b" not in done.stdout
    assert "GB/s (10^9 bytes) by the median time, mean of the runs. interval: of the change" in done.stdout


def test_library(sides: Path) -> None:
    """compare() of the library takes files, folders and frames, and returns what the command prints."""
    found = bandmark.compare("old", "new")
    assert {c.kernel: c.verdict for c in found.cases} == EXPECTED
    frames = [[bandmark.load(p) for p in sorted((sides / name).glob("*.csv"))] for name in ("old", "new")]
    assert list(bandmark.compare(*frames).frame()["verdict"]) == list(found.frame()["verdict"])
    whole = bandmark.load(*sorted((sides / "old").glob("*.csv")))
    assert bandmark.compare(whole, sides / "new", margin=0.1).count()["SAME"] == 4


def test_library_refuses_in_words(sides: Path) -> None:
    """A frame of something else, or another type, is refused with what is accepted."""
    frame = bandmark.load(*sorted((sides / "old").glob("*.csv")))
    with pytest.raises(UsageError, match="lacks run_id"):
        bandmark.compare(frame.drop(columns=["run_id"]), "new")
    with pytest.raises(UsageError, match="holds a int"):
        bandmark.compare([3], "new")  # type: ignore[list-item]
