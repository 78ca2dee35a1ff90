"""What identifies a machine or its owner is taken out of texts, and what results are made of is left alone."""

from __future__ import annotations

import getpass
import socket
import time
from pathlib import Path

import pytest

from bandmark.device.peaks import load_catalog
from bandmark.results.scrub import MAX_TEXT, REMOVED, clean_text, own_names

RECORD = {"system": "fake-1", "device": {"name": "Fake CPU"}, "machine": {"cpu_model_name": "Fake CPU"}}


@pytest.mark.parametrize(
    "secret",
    [
        "/home/someone/.cache/cupy",
        "/Users/Some.One/run.csv",
        "/root/x",
        "/tmp/a/b.so",
        "~/results/x",
        "~someone/results",
        "C:\\Users\\someone\\x",
        "\\\\server\\share",
        "file:///srv/data",
        "someone@example.org",
        "GPU-8a56b1f0-4d5e-11ee-be56-0242ac120002",
        "MIG-8a56b1f0-4d5e-11ee-be56-0242ac120002",
        "8A56B1F0-4D5E-11EE-BE56-0242AC120002",
        "00:1a:2b:3c:4d:5e",
        "00-1A-2B-3C-4D-5E",
        "serial number: 1324521012345",
        "S/N 0324ABC17",
        "box.internal",
        "lab-7.corp",
        "8a56b1f04d5e11eebe560242ac120002",
        "001a.2b3c.4d5e",
        "001a2b3c4d5e",
        "001a-2b3c-4d5e",
        "0:1a:2b:3c:4d:5e",
        "00 1a 2b 3c 4d 5e",
        "192.168.1.17",
        "10.0.0.5",
        "fe80::1ff:fe23:4567:890a",
        "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
        "node001",
        "gpu-a12",
        "gpu-a12.cluster.local",
        "compute-0-1",
        "login2.hpc.uni-x.edu",
        "ip-10-0-0-5",
        "user=jane",
        "host=kermit",
        "SLURMD_NODENAME=tux",
        "../home/jane/x",
        "../../data/jane",
        "/home/Jane Doe/run.csv",
        "x/../home/jane",
        "PATH=/opt/jane/bin",
        "https://jane:pw@example.org/x",
        "jane@node",
        "Service Tag: 7XK2L53",
        "Bearer abcdefghijk123",
        "password: hunter2",
        "AKIAABCDEFGHIJKLMNOP",
        "hf_abcdefghijklmnopqrst",
        "ghp_abcdefghijklmnop1234",
    ],
)
def test_secrets_are_taken_out(secret: str) -> None:
    """Names, addresses, numbers and paths go, wherever in a sentence; the sentence stays."""
    parts = [part for part in secret.replace("\\", "/").replace("=", "/").split("/") if len(part) > 3]
    for text in (secret, f"OSError: {secret}", f"it says '{secret}', and stops", f"({secret})", f"in {secret}."):
        cleaned, removed = clean_text(text)
        assert REMOVED in cleaned and removed
        assert not any(part in cleaned for part in parts)
        assert clean_text(cleaned) == (cleaned, [])
    assert clean_text(f"it says '{secret}', and stops")[0] == f"it says '{REMOVED}', and stops"


@pytest.mark.parametrize(
    "plain",
    [
        "the load average is 1.28 on 2 processors (busy from 0.4); other programs share the memory",
        "`echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled` turns them on",
        "see /proc/meminfo",
        "torch has no one-pass op for a += b + s * c: two ops would move 6 words, not 4",
        "firmware: 2 x 5600 MT/s x 8 bytes (SMBIOS type 17)",
        "working sets 1.97 GiB, 1/2 of it, read/write, and/or, 12:30:45",
        "OpenBLAS 0.3.31.188.0, cuDNN 9.1.0.70, driver 580.95.05, 2.13.0+cu130",
        "cf30153c4c131c8164ee7798e5022d810682e2cb",
        "2BB3:10DE:204D",
        "Linux 6.8.0-1015-nvidia-g1234567890ab, glibc 2.36",
        "numpy.linalg.LinAlgError in torch.ops.aten.mm, std::vector, libcuda.so.1",
        "{0:4:2},{1:3} 0-3,8-11",
        "GRID A100-40C, NVIDIA A100-SXM4-80GB MIG 3g.40gb, gfx942:sramecc+:xnack-",
        "20261123T101500Z-3f2a 2026-11-23T10:15:00Z",
        "Intel(R) Xeon(R) Platinum 8480+ @ 2.0 GHz",
        "see https://example.org/datasheet/gb10.pdf",
    ],
)
def test_results_are_left_alone(plain: str) -> None:
    """What results are full of is no secret."""
    assert clean_text(plain) == (plain, [])


def test_the_catalogue_is_no_secret() -> None:
    """No source, name or note of the device table is taken for private."""
    for row in load_catalog():
        for text in (row.source, row.note, row.marketing_name, *row.names):
            assert clean_text(text)[1] == []


def test_own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's and user's names are private, but for common ones and those of the device itself."""
    monkeypatch.setattr(socket, "gethostname", lambda: "kermit.example.org")
    monkeypatch.setattr(Path, "home", lambda: Path("/home/piggy"))
    monkeypatch.setattr(getpass, "getuser", lambda: "nvidia")
    assert own_names(RECORD) == ("kermit", "kermit.example.org", "piggy")
    assert own_names(RECORD | {"system": "kermit"}) == ("kermit.example.org", "piggy")
    monkeypatch.setattr(getpass, "getuser", lambda: (_ for _ in ()).throw(KeyError("no name")))
    assert "piggy" in own_names(RECORD)


def test_own_names_are_found_within_words() -> None:
    """A name is taken out wherever it is, in any case; the longest name first."""
    cleaned, removed = clean_text("Kermit's run on kermit-2 and xKERMITy, piggykermit", ("kermit", "piggykermit"))
    assert cleaned == f"{REMOVED}'s run on {REMOVED}-2 and x{REMOVED}y, {REMOVED}"
    assert {kind for kind, _ in removed} == {"name of this machine or its user"}


def test_names_of_the_catalogue_are_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who is called like a kernel has no name to hide."""
    for name in ("copy", "float32", "nvfp4"):
        monkeypatch.setattr(getpass, "getuser", lambda name=name: name)
        assert name not in own_names(RECORD)


@pytest.mark.parametrize(
    "junk", ["a", "user", "a.", "a/", "0:", "00 ", "a@", "- ", "node", "1.", "a b/", "serial ", "/home", "aA1", "x_="]
)
def test_the_time_is_linear(junk: str) -> None:
    """The longest texts take no longer per letter than short ones; what is longer still goes unseen."""
    times = []
    for size in (MAX_TEXT // 8, MAX_TEXT):
        text = (junk * size)[:size]
        times.append(min(_seconds(text) for _ in range(3)))
    assert times[1] < 30 * times[0] + 0.01, "8 times the letters; the square would be 64 times the time"
    assert clean_text(junk * MAX_TEXT + "x")[0] == REMOVED


def _seconds(text: str) -> float:
    start = time.perf_counter()
    clean_text(text)
    return time.perf_counter() - start
