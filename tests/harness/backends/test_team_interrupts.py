"""An interrupt at any moment of a team's run ends the run, and never leaves a thread behind or waits for ever."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bandmark.backends import team

INTERRUPTS = """
import signal, time
from bandmark.backends.team import Team

def interrupt(number, frame):
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, interrupt)
ended, seen = [0, 0], 0

def call(i):
    def work():
        ended[i] += 1
    return work

def until_interrupted(team):
    try:
        signal.setitimer(signal.ITIMER_REAL, 1e-4 * (1 + seen % 13))
        while True:
            team.run([call(0), call(1)])
    except KeyboardInterrupt:
        return

with Team([0, 0]) as team:
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        until_interrupted(team)
        seen += 1
        counts = list(ended)
        time.sleep(2e-4)
        assert ended == counts, 'a thread worked on after the run had ended'
    team.run([call(0), call(1)])
    assert ended == [n + 1 for n in counts]
print(seen)
"""


def test_interrupts_at_odd_moments() -> None:
    """After hundreds of interrupts the team still runs every call once, and ends."""
    done = subprocess.run([sys.executable, "-c", INTERRUPTS], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


def test_an_interrupt_goes_before_other_errors() -> None:
    """What ends the program is raised itself, not in a group that nobody catches; errors alone are a group."""
    with pytest.raises(KeyboardInterrupt):
        team._raise([ValueError("a"), KeyboardInterrupt(), KeyboardInterrupt()])
    with pytest.raises(ExceptionGroup):
        team._raise([ValueError("a"), ValueError("b")])
    with pytest.raises(ValueError, match="a"):
        team._raise([ValueError("a")])
    team._raise([])
