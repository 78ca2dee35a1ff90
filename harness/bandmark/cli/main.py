"""What can be said on the command line? Options only: each command's work is in bandmark.cli."""

from __future__ import annotations

import argparse
import errno
import importlib
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from bandmark import __version__
from bandmark.errors import EXIT_INTERRUPTED, EXIT_PIPE, EXIT_USAGE, BandmarkError
from bandmark.reports import FORMS
from bandmark.results.faults import printable_lines

DESCRIPTION = """\
How much of its published memory bandwidth does this machine really give?

  bandmark run              measure, show the table, and write a CSV and a JSON
  bandmark run --quick      a first look in under 20 seconds
  bandmark list             the kernels, and which libraries are installed
  bandmark devices          the devices found here, their memory and their peaks
  bandmark show FILE...     the table of stored results
  bandmark compare A B      whether B is faster than A, case by case
  bandmark report FILE...   a page with charts, for a browser
  bandmark validate FILE... whether result files are sound, and what is wrong with them
  bandmark merge FILE...    many runs in one CSV
  bandmark publish FILE     put a run among the published results
  bandmark decode           tokens per second of language models, here and elsewhere
  bandmark train-step       the time of one step of the optimizer
  bandmark selftest         whether the suite works on this GPU
"""

EXIT_CODES = "exit codes: 0 fine, 1 a result failed, 2 bad usage or bad file, 130 interrupted, 141 pipe closed"


def names(text: str) -> tuple[str, ...]:
    """Split a comma-separated list of names, at least one."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} holds no name")
    return found


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="bandmark",
        description=DESCRIPTION,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"bandmark {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_run(commands.add_parser("run", help="measure this machine", epilog=EXIT_CODES))
    listing = commands.add_parser("list", help="the kernel table and the installed backends")
    listing.add_argument("--probe", action="store_true", help="import each backend and say what it can do here")
    devices = commands.add_parser("devices", help="the devices found here, with their peaks and sources")
    show = commands.add_parser("show", help="the table of stored results")
    show.add_argument("files", nargs="+", metavar="FILE", help="result CSVs")
    _add_compare(commands)
    _add_results(commands)
    _add_decode(commands)
    _add_selftest(commands.add_parser("selftest", help="whether the suite works on this GPU", epilog=EXIT_CODES))
    for command in (listing, devices, show):
        command.add_argument("--json", action="store_true", help="print JSON instead of text")
    return parser


def _add_run(run: argparse.ArgumentParser) -> None:
    what = run.add_argument_group("what to measure")
    what.add_argument(
        "--backend", type=names, metavar="NAME,...", help="numpy, torch, cupy or all (default: what fits)"
    )
    what.add_argument(
        "--kernel", type=names, metavar="NAME,...", help="kernels of `bandmark list`, or all (default: its first ten)"
    )
    what.add_argument("--dtype", type=names, metavar="NAME,...", help="float64, float32, float16, bfloat16")
    what.add_argument("--size", metavar="BYTES", help="bytes of each array (GEMV: of the matrix): 64MiB, 1e8")
    what.add_argument(
        "--device", metavar="DEVICE", help="cpu, cuda, cuda:1 ... (default: the GPU with the highest peak)"
    )
    what.add_argument("--variant", type=names, metavar="NAME,...", help="also run other forms of the kernels, or all")
    what.add_argument("--weights", type=names, metavar="NAME,...", help="gemv with packed weights: nvfp4 ..., or all")
    what.add_argument(
        "--layer", metavar="MODEL", help="gemv on the matrices of a model's decode step: llama-3.1-8b, or a config.json"
    )
    what.add_argument(
        "--heads", metavar="Q,KV,SIZE", help="kv's query heads, KV heads and elements of a head (default: 32,8,128)"
    )
    how = run.add_argument_group("how to measure")
    how.add_argument("--quick", action="store_true", help="a first look in under 20 seconds")
    how.add_argument("--time-limit", type=float, metavar="S", help="seconds for all sampling (default: 90, quick 12)")
    how.add_argument("--threads", type=int, metavar="N", help="processors to use on a CPU (default: all usable)")
    how.add_argument("--seed", type=int, default=1, metavar="N", help="seed of the random inputs (default: 1)")
    how.add_argument("--data", choices=("random", "zeros"), default="random", help="contents of the inputs")
    how.add_argument("--peak", metavar="GBS", help="peak bandwidth by hand: 76.8, or 2x5600 (channels x MT/s)")
    out = run.add_argument_group("what to do with the results")
    out.add_argument("--output", metavar="FILE.csv", help="where to write (default: a new file here); - for stdout")
    out.add_argument("--force", action="store_true", help="replace existing files")
    out.add_argument("--system", metavar="NAME", help="name of this system, as in dgx-spark")
    out.add_argument("--fail-below", type=float, metavar="PCT", help="exit with 1 if a row is below this %% of peak")


COMPARE = """\
A side is a file, a folder of runs, or files with commas between them; runs of one side are replicates, and three a side
find a change of 5 %. With patterns of the shell: --baseline old/*.csv --candidate new/*.csv. The second side may
be another tool's result: STREAM's text, BabelStream's CSV, nvbandwidth's or NVBench's JSON.
"""


def _add_compare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    compare = commands.add_parser(
        "compare",
        help="whether a candidate is faster than a baseline",
        description=COMPARE,
        epilog="exit codes: 0 fine, 1 a case is SLOWER (only with --fail-on-regression), 2 bad usage or bad file",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    compare.add_argument("sides", nargs="*", metavar="SIDE", help="the baseline, then one or more candidates")
    compare.add_argument("--baseline", nargs="+", metavar="FILE", help="runs of the baseline")
    compare.add_argument(
        "--candidate", nargs="+", action="append", metavar="FILE", help="runs of a candidate (may be given again)"
    )
    compare.add_argument(
        "--history", nargs="+", metavar="FILE|FOLDER", help="stored runs that tell the spread between runs"
    )
    compare.add_argument("--margin", type=float, metavar="PCT", help="change up to which cases are SAME (default: 2)")
    compare.add_argument(
        "--fail-on-regression",
        type=percentage,
        nargs="?",
        const=0.0,
        metavar="PCT",
        help="exit with 1 if a case is SLOWER, by more than this %% of bandwidth if given",
    )
    compare.add_argument("--anyway", action="store_true", help="compare although the settings differ")
    compare.add_argument("--json", action="store_true", help="print JSON instead of text")


def percentage(text: str) -> float:
    """Return the number of an option whose value may be left out, so that a file may be taken for it."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no percentage; name the files before this option") from None


def _add_results(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    validate = commands.add_parser("validate", help="whether result files are sound, and what is wrong with them")
    validate.add_argument("files", nargs="+", metavar="FILE|FOLDER", help="result CSVs, or folders of them")
    validate.add_argument("--json", action="store_true", help="print the faults as JSON")
    merge = commands.add_parser("merge", help="many runs in one CSV")
    merge.add_argument("files", nargs="+", metavar="FILE|FOLDER", help="result CSVs, or folders of them")
    merge.add_argument("--output", required=True, metavar="FILE.csv", help="where to write; - for stdout")
    merge.add_argument("--force", action="store_true", help="replace an existing file")
    report = commands.add_parser("report", help="runs as a page for a browser, as Markdown or as a picture")
    report.add_argument("files", nargs="+", metavar="FILE|FOLDER", help="result CSVs, or folders of them")
    report.add_argument("--output", metavar="FILE", help="where to write (default: report.html here); - for stdout")
    report.add_argument("--as", dest="form", choices=FORMS, help="what to write (default: by the file's ending)")
    report.add_argument("--force", action="store_true", help="replace an existing file")
    publish = commands.add_parser("publish", help="put a run among the published results")
    publish.add_argument("file", metavar="FILE", help="a result CSV with its JSON")
    publish.add_argument("--system", metavar="NAME", help="name of the system, as in dgx-spark")
    publish.add_argument("--results", default="results", metavar="DIR", help="folder of published results")
    publish.add_argument("--dry-run", action="store_true", help="show what would become public and write nothing")


def _add_decode(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    decode = commands.add_parser("decode", help="tokens per second of language models", epilog=EXIT_CODES)
    decode.add_argument("--results", nargs="+", metavar="FILE", help="result CSVs (default: a quick run here)")
    decode.add_argument("--model", metavar="NAME|FILE", help="a known model, or a config.json (default: a table)")
    decode.add_argument("--weights", metavar="NAME", help="fp16, bf16, fp8, int8, int4, nvfp4, mxfp4, q4_k_m, ...")
    decode.add_argument("--context", type=int, default=4096, metavar="N", help="tokens before (default: 4096)")
    decode.add_argument("--batch", type=int, default=1, metavar="N", help="sequences at once (default: 1)")
    decode.add_argument("--system", metavar="NAME", help="only this system, as in dgx-spark")
    decode.add_argument("--validate", action="store_true", help="predictions beside published rates, with their errors")
    train = commands.add_parser("train-step", help="the time of one step of the optimizer", epilog=EXIT_CODES)
    train.add_argument("--results", nargs="+", metavar="FILE", help="result CSVs (default: a quick run here)")
    train.add_argument("--model", metavar="NAME|FILE", help="a known model, or a config.json (default: a table)")
    train.add_argument("--system", metavar="NAME", help="only this system, as in dgx-spark")
    for command in (decode, train):
        command.add_argument("--json", action="store_true", help="print JSON instead of text")


def _add_selftest(selftest: argparse.ArgumentParser) -> None:
    selftest.add_argument(
        "--device", metavar="DEVICE", help="cuda, cuda:1 ... (default: the GPU with the highest peak)"
    )
    selftest.add_argument("--kernel", type=names, metavar="NAME,...", help="kernels to check (default: all)")
    selftest.add_argument("--dtype", type=names, metavar="NAME,...", help="dtypes to check (default: all)")
    selftest.add_argument("--size", metavar="BYTES", help="bytes of each array in the timing checks (default: a run's)")
    selftest.add_argument("--output", metavar="FILE.txt", help="where to write the page (default: a new file here)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    arguments = build_parser().parse_args(argv)
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        command = importlib.import_module(f"bandmark.cli.{arguments.command.replace('-', '_')}")
        code: int = command.execute(arguments)
        sys.stdout.flush()  # what a full disk or a closed pipe refuses shows here, not after the exit code
        return code
    except BandmarkError as error:
        _complain(printable_lines(f"bandmark: {error}"))
        return EXIT_USAGE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe went away (| head); pointing stdout elsewhere keeps Python from failing at exit.
        sys.stdout = None
        return EXIT_PIPE
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _complain("bandmark: can't write the output: no space left. Free some, or choose another place.")
        sys.stdout = None
        return EXIT_USAGE


def _complain(text: str) -> None:
    """Print an error on stderr, if anybody reads it."""
    try:
        print(text, file=sys.stderr)
    except BrokenPipeError:
        sys.stderr = None  # as above


def _as_interrupt(signum: int, frame: FrameType | None) -> None:
    """Treat SIGTERM as Ctrl-C: what was measured is kept."""
    raise KeyboardInterrupt
