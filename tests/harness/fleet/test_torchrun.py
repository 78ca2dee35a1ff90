"""Under torchrun no rank takes another's results with it, and each that fails is named with its reason."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bandmark.errors import FileError
from bandmark.fleet import torchrun
from bandmark.fleet.torchrun import START_AT, Supervisor, _reason, child_command, is_rank, part_path
from bandmark.results.files import read_rows
from bandmark.session.ranks import Member, Ticket
from rank_faults import install
from stored_runs import stored_run, write

RANKS = 8
FAST = ("--quick", "--kernel", "copy,read", "--size", "4MiB", "--time-limit", "1", "--backend", "numpy")


def launch(folder: Path, ranks: int, faults: str, *options: str) -> tuple[int, str, float]:
    """Run all ranks on this machine and return exit code, stdout and seconds."""
    install(folder)
    environment = {k: v for k, v in os.environ.items() if k not in ("RANK", START_AT)}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), environment.get("PYTHONPATH", ""), *sys.path])
    environment["FAULTS"] = faults
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    command += ["-m", "bandmark", "run", "--output", str(folder / "F.csv"), *FAST, *options]
    begin = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stdout, time.monotonic() - begin


SCENARIOS = {
    "straggler": ("3:straggle", {}),
    "what ends": (
        "1:kill 2:exception 3:exit 4:memory 6:disk",
        {
            1: "killed by signal 9 (SIGKILL)",
            2: "RuntimeError: a fault of the test",
            3: "ended with 7",
            4: "out of memory: MemoryError",
            6: "disk full: ",
        },
    ),
    "what waits": ("3:stop 5:hang", {3: "stopped by a signal: not ready", 5: "hung: not ready"}),
    "what is lost": ("0:lost 5:lost 4:frozen", {0: "lost", 5: "lost", 4: "stopped: no answer"}),
}
"""The faults, and what is said of which ranks."""


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_faults_of_ranks(name: str, tmp_path: Path) -> None:
    """The others' rows are complete, the culprits alone are named, and torchrun fails if any is."""
    pytest.importorskip("torch")
    faults, culprits = SCENARIOS[name]
    code, out, seconds = launch(tmp_path, RANKS, faults, "--deadline", "40")
    print(f"{name}: exit code {code}, {seconds:.0f} s\n{out}")
    named = {n: line for n in range(RANKS) for line in out.splitlines() if line.split("  ")[0].endswith(f"rank {n}")}
    reported = {n: line for n, line in named.items() if "GB/s" not in line}
    assert reported.keys() == culprits.keys()
    assert all(reason in reported[rank] for rank, reason in culprits.items())
    for rank in set(range(RANKS)) - culprits.keys():
        assert {row.kernel for row in read_rows(tmp_path / f"F.rank{rank}.csv") if row.bandwidth_gbs} == {
            "copy",
            "read",
        }
    assert (code != 0) == (bool(culprits) or not out.startswith("as expected"))
    limit_s = 180  # torchrun itself waits 30 s for a rank that is frozen
    assert seconds < limit_s


class MemoryStore:
    """A store in this process."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def set(self, key: str, value: str) -> None:
        """Set a key."""
        self.values[key] = value.encode()

    def get(self, key: str) -> bytes:
        """Return a value."""
        return self.values[key]

    def add(self, key: str, amount: int) -> int:
        """Count."""
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + amount
            return self._counts[key]

    def check(self, keys: list[str]) -> bool:
        """Return whether all keys are there."""
        return all(key in self.values for key in keys)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing takes long here, and threads can't handle signals."""
    waits = {"_CHECK_IN_S": 1.0, "OPENING_S": 0.0, "_GATHER_S": 0.2, "_LAST_S": (0.2, 0.4, 0.6)}
    for name, seconds in waits.items():
        monkeypatch.setattr(torchrun, name, seconds)
    monkeypatch.setattr(torchrun.signal, "signal", lambda number, handler: None)


def supervise(
    store: MemoryStore, folder: Path, codes: dict[int, str], world: int, deadline_s: float = 1.0
) -> dict[int, list[Member] | None]:
    """Run a supervisor in a thread for each rank that has code, and return what each gathered."""
    gathered: dict[int, list[Member] | None] = {}

    def run(rank: int) -> None:
        supervisor = Supervisor(ticket=Ticket(node="here", rank=rank, world=world), store=store, deadline_s=deadline_s)
        gathered[rank] = supervisor.run([sys.executable, "-c", codes[rank]], folder / f"F.rank{rank}.csv")

    threads = [threading.Thread(target=run, args=[rank]) for rank in codes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return gathered


def results(folder: Path, *ranks: int) -> None:
    """Leave the files of ranks."""
    csv = write(folder, *stored_run())
    for rank in ranks:
        for suffix in (".csv", ".json"):
            (folder / f"F.rank{rank}{suffix}").write_bytes(csv.with_suffix(suffix).read_bytes())


def test_one_rank_gathers_all(tmp_path: Path) -> None:
    """The rank that ends last has the members of all, in order, and the others nothing; failures have reasons."""
    results(tmp_path, 0, 1)
    begin = time.monotonic()
    gathered = supervise(MemoryStore(), tmp_path, {0: "", 1: "", 2: "import sys; sys.exit('no luck')"}, 3, 60.0)
    assert time.monotonic() - begin < 50, "nobody waits for the deadline"
    (members,) = [members for members in gathered.values() if members is not None]
    assert [m.ticket.rank for m in members] == [0, 1, 2]
    assert [m.problem for m in members] == [None, None, "ended with 1: no luck"]
    assert members[0].figures and members[0].hardware is not None


def test_lost_ranks_are_named(tmp_path: Path) -> None:
    """Where ranks never come, one of the others gathers after the deadline, and names them."""
    results(tmp_path, 1, 2)
    gathered = supervise(MemoryStore(), tmp_path, {1: "", 2: ""}, 4)
    (members,) = [members for members in gathered.values() if members is not None]
    assert [m.ticket.rank for m in members if m.problem] == [0, 3]
    assert all("no answer" in (m.problem or "") for m in members if not m.figures)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import time; time.sleep(60)", "hung: not ready 1 s"),
        ("import os; os.kill(os.getpid(), 19)", "stopped by a signal"),
        ("import os; os.kill(os.getpid(), 9)", "killed by signal 9 (SIGKILL)"),
    ],
)
def test_a_child_that_does_not_end_well(code: str, reason: str, tmp_path: Path) -> None:
    """A child that hangs, is stopped or is killed is ended by the deadline and named, and its rows are kept."""
    results(tmp_path, 0)
    members = supervise(MemoryStore(), tmp_path, {0: code}, 1)[0]
    assert members is not None and members[0].figures
    assert (members[0].problem or "").startswith(reason)


def test_reasons_by_exit_code() -> None:
    """Signals have their names; a message on stderr is quoted; memory and disks that are full are told apart."""
    assert _reason(-9, [], True) == "out of memory: the kernel killed it"
    assert _reason(-15, [], False) == "killed by signal 15 (SIGTERM)"
    assert _reason(2, ["bandmark: no such kernel"], False) == "ended with 2: no such kernel"
    assert _reason(2, ["MemoryError: x"], False) == "out of memory: MemoryError: x"
    assert _reason(2, ["can't write F: No space left on device.", "the end"], False).startswith("disk full")
    assert _reason(7, [], False) == "ended with 7"


def test_after_sigterm_the_wait_is_short(tmp_path: Path) -> None:
    """Where the agent asks for the end, a rank waits neither for its child nor for others until the deadline."""
    results(tmp_path, 0)
    begin = time.monotonic()
    supervisor = Supervisor(
        ticket=Ticket(node="here", rank=0, world=2), store=MemoryStore(), deadline_s=60.0, terminated_s=begin
    )
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    members = supervisor.run([sys.executable, "-c", stubborn], tmp_path / "F.rank0.csv")
    assert members is not None and members[0].figures
    assert time.monotonic() - begin < 30


def test_names_and_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rank has its own file, the child's command repeats the rank's, and a child is no rank itself."""
    assert part_path(Path("a b/F.csv"), "rank3") == Path("a b/F.rank3.csv")
    with pytest.raises(FileError, match=r"must end in \.csv"):
        part_path(Path("-"), "rank0")
    assert child_command(["run", "--output", "F.csv"], Path("G.csv"))[1:] == [
        *("-m", "bandmark", "run", "--output", "F.csv", "--output", "G.csv")
    ]
    assert is_rank({"TORCHELASTIC_RUN_ID": "x"}) and not is_rank({})
    assert not is_rank({"TORCHELASTIC_RUN_ID": "x", START_AT: "1"})
    waits: list[float] = []
    monkeypatch.setattr(torchrun.time, "sleep", waits.append)
    monkeypatch.setenv(START_AT, str(time.time() + 5))
    torchrun.await_start()
    assert 4 < waits[0] <= 5 and signal.SIGTERM
