"""What gives an owner away is found and taken out, and what results are made of is left alone."""

from __future__ import annotations

import getpass
import json
import socket
from pathlib import Path

import pytest

from bandmark import __version__
from bandmark.device.catalog import load_catalog
from bandmark.results.privacy import REMOVED, clean_record, clean_rows, clean_text, own_names
from corpus import good_run
from fakes import make_result

TEXT, RECORD = good_run(kernels=("copy",))


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
        "hf_abcdefghijklmnopqrst",
        "ghp_abcdefghijklmnop1234",
    ],
)
def test_secrets_are_taken_out(secret: str) -> None:
    """Names, addresses, numbers and paths go, wherever in a sentence; the sentence stays."""
    for text in (secret, f"OSError: {secret}", f"it says '{secret}', and stops", f"({secret})"):
        cleaned, found = clean_text(text)
        assert REMOVED in cleaned and found
        assert secret.rsplit("/", maxsplit=1)[-1].rsplit("\\", maxsplit=1)[-1].split("@", maxsplit=1)[
            0
        ] not in cleaned.replace("it says", "")
    assert clean_text(f"it says '{secret}', and stops")[0].endswith("and stops")


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


def test_own_names_are_words() -> None:
    """A name is taken out where it stands alone, in any case, and not within another word."""
    assert clean_text("Ada's run on ada-2, adaptive", ("ada",)) == (
        f"{REMOVED}'s run on ada-2, adaptive",
        [("name of this machine or its user", "Ada")],
    )


def test_records_lose_what_is_private() -> None:
    """Unknown keys go, facts that are private by name go, private parts of texts go, and each is told."""
    record = json.loads(json.dumps(RECORD))
    record["hostname"] = "box"
    record["machine"]["serial"] = "123"
    record["backends"]["numpy"]["user_name"] = "someone"
    record["backends"]["numpy"]["blas"] = [{"path": "/usr/lib/libblas.so", "version": "3"}]
    record["notes"] = ["built in /home/someone/src"]
    cleaned, removed = clean_record(record)
    assert {one.place for one in removed} == {
        "hostname",
        "machine.serial",
        "backends.numpy.user_name",
        "backends.numpy.blas[0].path",
        "notes[0]",
    }
    assert cleaned["notes"] == [f"built in {REMOVED}"]
    assert cleaned["backends"]["numpy"]["blas"] == [{"version": "3"}]
    assert "someone" not in json.dumps(cleaned) and "box" not in json.dumps(cleaned)
    assert record["hostname"] == "box", "the record itself is not changed"
    assert clean_record(cleaned) == (cleaned, [])


def test_good_records_stay() -> None:
    """A record of the harness is public as it is."""
    assert clean_record(RECORD) == (RECORD, [])


def test_other_versions_may_have_other_keys() -> None:
    """Keys that this version does not know are no part of its records; in another version's they may be."""
    other = RECORD | {"more": 1, "bandmark_version": f"{__version__}1"}
    assert clean_record(other)[0] == other
    assert "more" not in clean_record(RECORD | {"more": 1})[0]


def test_rows_lose_what_is_private() -> None:
    """Texts of rows are cleaned, equal findings told once; nothing else changes."""
    rows = [make_result(status="error", reason="OSError: /home/someone/x is missing"), make_result()] * 2
    cleaned, removed = clean_rows(rows)
    assert [row.reason for row in cleaned[:2]] == [f"OSError: {REMOVED} is missing", None]
    assert cleaned[1] is rows[1]
    assert [one.found for one in removed] == ["'/home/someone/x'"]


def test_a_models_name_is_looked_at() -> None:
    """A config.json's folder may be called after its owner."""
    cleaned, removed = clean_rows([make_result(layer="mine-of-jane.doe@example.org qkv", layer_uses=1)])
    assert cleaned[0].layer == f"{REMOVED} qkv" and len(removed) == 1
