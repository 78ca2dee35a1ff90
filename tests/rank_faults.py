"""Faults of single ranks under torchrun, for tests: `install` writes a sitecustomize that every process imports.

FAULTS holds "3:kill 5:lost": by rank what happens to the child that measures, or to the rank itself (lost, frozen).
"""

from __future__ import annotations

from pathlib import Path

_SITECUSTOMIZE = """
import errno, os, signal, subprocess, sys, threading, time

fault = dict(part.split(":") for part in os.environ.get("FAULTS", "").split()).get(os.environ.get("RANK"))
sleep = time.sleep


def send(number):
    os.kill(os.getpid(), number)


def child(what):
    def instead(seconds):
        sleep(seconds)
        if what == "kill":
            send(signal.SIGKILL)
        if what == "stop":
            send(signal.SIGSTOP)
        if what == "hang":
            sleep(3600)
        if what == "exit":
            os._exit(7)
        if what == "exception":
            raise RuntimeError("a fault of the test")
        if what == "memory":
            raise MemoryError("no room")
        if what == "straggle":
            sleep(6)

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    time.sleep = instead
    if what == "disk":
        os.fsync = full


def rank(what):
    begin = subprocess.Popen.__init__

    def then(self, *arguments, **options):
        begin(self, *arguments, **options)
        number = {"lost": signal.SIGKILL, "frozen": signal.SIGSTOP}[what]
        threading.Timer(0.5, send, [number]).start()

    subprocess.Popen.__init__ = then


if fault and "TORCHELASTIC_RUN_ID" in os.environ:
    if "BANDMARK_START_AT" in os.environ:
        if fault not in ("lost", "frozen"):
            child(fault)
    elif fault in ("lost", "frozen"):
        rank(fault)
"""


def install(folder: Path) -> None:
    """Write the module into a folder, which belongs in front of PYTHONPATH."""
    (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE)
