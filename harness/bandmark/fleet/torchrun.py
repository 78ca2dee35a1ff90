"""Measure on every rank of torchrun, so that no rank takes another's results with it.

The agent of torchrun ends all ranks when one of them dies. Each rank therefore only supervises a child process that
measures; the ranks exchange what came out through the agent's store, without collectives, and every child writes its
own files. The rank that ends last gathers, or the first that has waited until the deadline.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from bandmark.device.system import cgroup_folders, read_pairs, read_text
from bandmark.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_UNJUDGED, FileError
from bandmark.session.ranks import Member, Ticket, read_member
from bandmark.units import printable

START_AT = "BANDMARK_START_AT"
"""Variable that tells a child when to begin, in seconds since 1970."""

_CHECK_IN_S = 60.0  # after which those ranks start that are there
OPENING_S = 5.0
"""Seconds from the published start until sampling begins: imports, and the opening of the device."""
_GATHER_S = 2.0  # after the deadline until a rank gathers without the others
_LAST_S = (10.0, 15.0, 20.0)
"""Seconds after SIGTERM until a child is asked to keep what it has, until it is killed, and until a rank gathers:
torchrun kills all ranks 30 s after it asked them to end."""
_POLL_S = 0.02

_ENDED_WELL = (EXIT_OK, EXIT_FAILED, EXIT_UNJUDGED, EXIT_INTERRUPTED)
"""Exit codes of a child whose rows say what there is to say."""


class Store(Protocol):
    """What is needed of torch.distributed.Store."""

    def set(self, key: str, value: str) -> Any:
        """Set a key."""

    def get(self, key: str) -> bytes:
        """Return the value of a key that is there."""

    def add(self, key: str, amount: int) -> int:
        """Add to a counter and return its new value."""

    def check(self, keys: list[str]) -> bool:
        """Return whether all keys are there."""


def is_rank(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether torchrun started this process, and not a supervisor."""
    return "TORCHELASTIC_RUN_ID" in environment and START_AT not in environment


def connect(ticket: Ticket) -> Store:
    """Return the store of torchrun's agent, under keys of this launch."""
    from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

    hosts = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True" and ticket.rank == 0
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = TCPStore(address, port, ticket.world, hosts, timedelta(seconds=_CHECK_IN_S), wait_for_workers=False)
    launch = f"{ticket.job}/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    return PrefixStore(f"bandmark/{launch}", store)


@dataclass(slots=True, kw_only=True)
class Child:
    """A process that measures and writes its own pair of files, and what ends it."""

    ticket: Ticket
    deadline_s: float
    """Seconds from the start of sampling after which it counts as hung."""
    terminated_s: float = math.inf
    """When its end was asked for, by the monotonic clock."""

    def end_soon(self) -> None:
        """Ask for the end now, without the time that is left to it where another rank died."""
        self.terminated_s = time.monotonic() - _LAST_S[0]

    def measure(self, command: Sequence[str], csv: Path, start_at: float) -> Member:
        """Run it until it ends or the deadline, and return what it left and what went wrong.

        Sampling starts at a moment in seconds since 1970, or as soon as the device is open if that has passed.

        Its session is its own, so that a signal for the ranks does not end it.
        """
        kills = _oom_kills()
        with tempfile.TemporaryFile() as errors:
            environment = {**os.environ, START_AT: f"{start_at:.6f}"}
            child = subprocess.Popen(
                command, env=environment, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True
            )
            problem = self._wait(child, time.monotonic() + start_at - time.time() + self.deadline_s)
            errors.seek(0)
            lines = errors.read().decode(errors="replace").splitlines()
        member = read_member(csv, self.ticket) if csv.exists() else Member(ticket=self.ticket)
        crashed = child.returncode not in _ENDED_WELL or not member.figures or "Traceback" in " ".join(lines)
        if problem is None and crashed:
            problem = _reason(child.returncode, lines, _oom_kills() > kills)
        return replace(member, problem=problem or member.problem)

    def _wait(self, child: subprocess.Popen[bytes], deadline: float) -> str | None:
        """Wait for the child; one that is not ready in time is ended, and the reason returned.

        Where another rank was lost, the child is asked to keep what it has.
        """
        asked = False
        while child.poll() is None:
            now = time.monotonic()
            if not asked and now >= self.terminated_s + _LAST_S[0]:
                child.terminate()
                asked = True
            if now >= min(deadline, self.terminated_s + _LAST_S[1]):
                problem = _hung(child.pid, self.deadline_s)
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                return problem
            time.sleep(_POLL_S)
        return None


@dataclass(slots=True, kw_only=True)
class Supervisor(Child):
    """One rank: it starts the child, waits for it, hands its result over, and may gather all results.

    The agent asks for the end where another rank has died.
    """

    store: Store

    def run(self, command: Sequence[str], csv: Path) -> list[Member] | None:
        """Measure with a child process and return all members, None where another rank gathers."""
        with self._sigterm_noted():
            start = self._await_start()
            deadline = start + self.deadline_s
            member = self.measure(command, csv, time.time() + start - time.monotonic())
            self.store.set(f"member/{self.ticket.rank}", json.dumps(asdict(member)))
            is_last = self.store.add("ended", 1) == self.ticket.world
            return self._gather() if self._may_gather(is_last, deadline + _GATHER_S) else None

    def _may_gather(self, is_last: bool, until: float) -> bool:
        """Wait until another rank has gathered, or return that this one is to."""
        while not self.store.check(["gathered"]):
            if is_last or time.monotonic() >= min(until, self.terminated_s + _LAST_S[2]):
                return self.store.add("gatherer", 1) == 1
            time.sleep(_POLL_S)
        return False

    @contextmanager
    def _sigterm_noted(self) -> Iterator[None]:
        def note(signum: int, frame: object) -> None:
            self.terminated_s = min(self.terminated_s, time.monotonic())

        before = signal.signal(signal.SIGTERM, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _await_start(self) -> float:
        """Return when sampling begins, by this process's monotonic clock.

        Whoever checks in last publishes the start, or any rank after a while. The others wait for that moment, so their
        clocks need not agree.
        """
        until = time.monotonic() + _CHECK_IN_S
        if self.store.add("present", 1) == self.ticket.world:
            self.store.set("start", "published")
        while not self.store.check(["start"]):
            if time.monotonic() >= min(until, self.terminated_s):
                self.store.set("start", "published")
            time.sleep(_POLL_S)
        return time.monotonic() + OPENING_S

    def _gather(self) -> list[Member]:
        """Return the members of all ranks; one that handed nothing over is a member with a problem."""
        members = []
        for rank in range(self.ticket.world or 0):
            if self.store.check([f"member/{rank}"]):
                members.append(Member.of_json(self.store.get(f"member/{rank}").decode()))
            else:
                lost = Ticket(node="", rank=rank, world=self.ticket.world, job=self.ticket.job)
                members.append(Member(ticket=lost, problem="its process was lost, or it is stopped: no answer"))
        self.store.set("gathered", "yes")
        return members


def _hung(pid: int, deadline_s: float) -> str:
    """Return why a process is not ready in time, by its state (proc_pid_stat(5): T is stopped)."""
    _, _, rest = (read_text(Path(f"/proc/{pid}/stat")) or "").rpartition(")")
    what = "stopped by a signal" if rest.strip()[:1] in ("T", "t") else "hung"
    return f"{what}: not ready {deadline_s:g} s after the start"


def _reason(code: int, lines: Sequence[str], out_of_memory: bool) -> str:
    """Return why a child ended with a code, with the last line that it wrote on stderr."""
    said = printable(next((line.removeprefix("bandmark: ") for line in reversed(lines) if line.strip()), ""))
    if code == -signal.SIGKILL and out_of_memory:
        return "out of memory: the kernel killed it"
    if code < 0:
        return f"killed by signal {-code} ({signal.Signals(-code).name})"
    if "MemoryError" in said:
        return f"out of memory: {said}"
    if "No space left" in " ".join(lines):
        return f"disk full: {said}"
    return f"ended with {code}: {said}" if said else f"ended with {code}"


def _oom_kills() -> int:
    """Return how many processes of this control group the kernel has killed for want of memory."""
    folders = cgroup_folders(Path("/"), "memory")
    return max((read_pairs(folder / "memory.events", " ").get("oom_kill", 0) for folder in folders), default=0)


def part_path(output: Path, part: str) -> Path:
    """Return where a process writes: F.csv becomes F.rank3.csv for "rank3"; raises FileError for another ending."""
    if output.suffix != ".csv":
        raise FileError(f"--output {output} must end in .csv (each process gets its own, .{part}.csv and so on).")
    return output.with_suffix(f".{part}.csv")


def child_command(arguments: Sequence[str], csv: Path) -> list[str]:
    """Return the command of a child: that of the rank, with its own file."""
    return [sys.executable, "-m", "bandmark", *arguments, "--output", str(csv)]


def await_start() -> None:
    """Wait for the moment at which the ranks begin, in a child; elsewhere there is none."""
    if (moment := os.environ.get(START_AT)) is not None:
        time.sleep(max(0.0, float(moment) - time.time()))
