"""Known keys of known shapes become public, names are those of the catalogue, and texts are scrubbed."""

from __future__ import annotations

import getpass
import json
import socket
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from bandmark.device.peaks import load_catalog
from bandmark.measure.measurement import Measurement
from bandmark.options import RunOptions
from bandmark.results.files import read_rows
from bandmark.results.privacy import (
    _MAX_TEXT,
    _REMOVED,
    Removal,
    _public_keys,
    check_private,
    clean_run,
    clean_text,
    own_names,
)
from bandmark.results.row import Row, columns
from corpus import good_run
from fakes import make_result

RESULTS = Path(__file__).parents[3] / "results"

TEXT, RECORD = good_run(kernels=("copy",))


def clean_record(record: dict[str, Any]) -> tuple[dict[str, Any], list[Removal]]:
    """The record without what is private, and what that was; its rows are on two backends."""
    rows = [make_result(kernel="copy", backend=backend, variant=None) for backend in ("numpy", "torch")]
    _, cleaned, removed = clean_run(rows, record)
    return cleaned, removed


def clean_rows(rows: list[Row], names: tuple[str, ...] = ()) -> tuple[list[Row], list[Removal]]:
    """Rows without what is private, and what that was."""
    cleaned, _, removed = clean_run(rows, {}, names)
    return cleaned, removed


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
    assert cleaned["notes"] == [f"built in {_REMOVED}"]
    assert cleaned["backends"]["numpy"]["blas"] == [{"version": "3"}]
    assert "someone" not in json.dumps(cleaned) and "box" not in json.dumps(cleaned)
    assert record["hostname"] == "box", "the record itself is not changed"
    assert clean_record(cleaned) == (cleaned, [])


def test_good_records_stay() -> None:
    """A record of the harness is public as it is."""
    assert clean_record(RECORD) == (RECORD, [])


@pytest.mark.parametrize("version", ["0.1.0", "99.0"])
@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("more", 1),
        ("settings.more", "x"),
        ("machine.more", [1, "x"]),
        ("machine.environment.MY_HOST", "kermit"),
        ("device.uuid", "x"),
        ("peak.more", {"x": "y"}),
        ("backends.numpy.more", "x"),
        ("backends.other", {"version": "1"}),
        ("backends.numpy.blas", [{"filepath": "x"}]),
        ("samples.0.more", "x"),
        ("samples.0.seconds_per_launch", [0.5, {"user": "x"}]),
        ("notes", [{"user": "x"}]),
        ("machine.cpu_count", {"host": "x"}),
    ],
)
def test_unknown_keys_are_removed_at_every_depth(place: str, value: object, version: str) -> None:
    """Whatever the version of the record, a key that is not known does not become public, and is named."""
    record = json.loads(json.dumps(RECORD)) | {"bandmark_version": version}
    *path, last = place.split(".")
    inner = record
    for key in path:
        inner = inner[int(key)] if key.isdigit() else inner[key]
    inner[last] = value
    cleaned, removed = clean_record(record)
    assert [one.what for one in removed] == ["no part of a run record"]
    assert (
        '"x"' not in json.dumps(cleaned) and "kermit" not in json.dumps(cleaned) and "more" not in json.dumps(cleaned)
    )


def test_lists_are_cleaned_item_by_item() -> None:
    """A text among numbers is scrubbed like any other."""
    record = json.loads(json.dumps(RECORD))
    record["samples"][0]["clocks_mhz"] = [1.0, "user=kermit"]
    cleaned, removed = clean_record(record)
    assert cleaned["samples"][0]["clocks_mhz"] == [1.0, _REMOVED]
    assert [one.place for one in removed] == ["samples[0].clocks_mhz[1]"]


def test_whatever_a_run_records_may_be_published() -> None:
    """A new option or measured value is public only once it is listed, so that nobody forgets to ask whether it may."""
    public = _public_keys(["numpy", "torch"])
    assert {f"settings.{field.name}" for field in fields(RunOptions)} <= public
    assert {f"samples.{field.name}" for field in fields(Measurement)} - {"samples.noise"} <= public  # it is not stored
    assert set(RECORD) == {key for key in public if "." not in key} and clean_record(RECORD) == (RECORD, [])


@pytest.mark.parametrize(
    "names",
    [{"kernel": "a b"}, {"backend": "/home/kermit/x"}, {"dtype": "x" * 50}, {"variant": "node001"}, {"status": "?"}],
)
def test_names_that_identify_rows_are_refused(names: dict[str, str]) -> None:
    """A name that is none, or gives something away, is no text to scrub: it stays, and is refused."""
    (cleaned,), removed = clean_rows([make_result(**names)])
    assert cleaned == make_result(**names) and [one.refused for one in removed] == [True]
    entry = {**RECORD["samples"][0], **names}
    if set(names) <= set(RECORD["samples"][0]):
        assert [one.refused for one in clean_record(RECORD | {"samples": [entry]})[1]] == [True]


@pytest.mark.parametrize(
    "column",
    [
        c.name
        for c in columns()
        if c.type == "str"
        and c.name
        in {"device", "peak_source", "reason", "backend_version", "driver", "verdict", "layer", "bandmark_version"}
    ],
)
def test_every_free_text_is_scrubbed(column: str) -> None:
    """No column of free text is left out, also one of a version with a suffix."""
    (cleaned,), removed = clean_rows([make_result(**{column: "1.0+user=kermit"})], ("kermit",))
    assert "kermit" not in str(getattr(cleaned, column)) and removed[0].place == column


def test_columns_are_names_or_texts_or_chosen() -> None:
    """Each column of text is scrubbed, or takes the catalogue's names, or is one of those that a pattern confines."""
    odd = {c.name: "of kermit" for c in columns() if c.type == "str"}
    (cleaned,), removed = clean_rows([make_result(**odd)], ("kermit",))
    left = {name for name in odd if "kermit" in (getattr(cleaned, name) or "")}
    assert left - {one.place for one in removed if one.refused} == {"run_id", "system", "started_utc"}


def test_a_validator_names_what_is_private() -> None:
    """Each private part of a published pair is a violation of its file, with its place."""
    record = RECORD | {"more": 1}
    rows = [make_result(kernel="copy", backend=b, reason="user=kermit") for b in ("numpy", "torch")]
    violations = list(check_private(Path("a.csv"), Path("a.json"), rows, record))
    assert [(str(violation.file), violation.column) for violation in violations] == [
        ("a.csv", "reason"),
        ("a.json", "more"),
    ]


def test_published_runs_are_public_as_they_are() -> None:
    """Keys of earlier versions stay in the list, so that published files stay valid."""
    for csv in RESULTS.glob("*/*.csv"):
        record = json.loads(csv.with_suffix(".json").read_text())
        assert list(check_private(csv, csv.with_suffix(".json"), read_rows(csv), record)) == []


def test_rows_lose_what_is_private() -> None:
    """Texts of rows are cleaned, equal findings told once; nothing else changes."""
    rows = [make_result(status="error", reason="OSError: /home/someone/x is missing"), make_result()] * 2
    cleaned, removed = clean_rows(rows)
    assert [row.reason for row in cleaned[:2]] == [f"OSError: {_REMOVED} is missing", None]
    assert cleaned[1] is rows[1]
    assert [one.text for one in removed] == ["'/home/someone/x'"]


def test_a_models_name_is_looked_at() -> None:
    """A config.json's folder may be called after its owner."""
    cleaned, removed = clean_rows([make_result(layer="mine-of-jane.doe@example.org qkv", layer_uses=1)])
    assert cleaned[0].layer == f"{_REMOVED} qkv" and len(removed) == 1


PUBLIC = {"system": "fake-1", "device": {"name": "Fake CPU"}, "machine": {"cpu_model_name": "Fake CPU"}}


def test_a_key_with_dots_is_no_place() -> None:
    """A key that is called like the place of a known one is unknown."""
    cleaned, removed = clean_record(RECORD | {"settings.kernels": "x", "machine.environment.OMP_PLACES": "y"})
    assert cleaned == RECORD and len(removed) == 2


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
        "fe80::1%eth0",
        "::ffff:10.1.2.3",
        "00_1a_2b_3c_4d_5e",
        "..\\jane\\x",
        "\\Users\\jane\\x",
        "C:\\Users\\Jane Doe\\x.csv",
        "~\\jane",
        "~jane",
        "$HOME/jane",
        "-L/opt/jane/lib",
        "git@github.com:jane/x.git",
        "DESKTOP-AB12CD3",
        "Janes-MacBook-Pro",
        "r05n12",
        "x1000c0s0b0n0",
        "http://box7:8080/",
        "smb://server/jane",
        "s3://jane-bucket",
        "npm_abcdefghijklmnop",
        "Basic YWxhZGRpbjpvcGVu",
        "--user jane",
        "password hunter2",
        "api-key: abcd1234",
        "aws_secret_access_key=abcdefgh",
        "owner=jane",
    ],
)
def test_secrets_are_taken_out(secret: str) -> None:
    """Names, addresses, numbers and paths go, wherever in a sentence; the sentence stays."""
    parts = [part for part in secret.replace("\\", "/").replace("=", "/").split("/") if len(part) > 3]
    for text in (secret, f"OSError: {secret}", f"it says '{secret}', and stops", f"({secret})", f"in {secret}."):
        cleaned, removed = clean_text(text)
        assert _REMOVED in cleaned and removed
        assert not any(part in cleaned for part in parts)
        assert clean_text(cleaned) == (cleaned, [])
    assert clean_text(f"it says '{secret}', and stops")[0] == f"it says '{_REMOVED}', and stops"


@pytest.mark.parametrize("pair", ["{'user': 'jane doe'}", '"login": "jane doe"', 'HOSTNAME="jane doe"'])
def test_quoted_values_are_taken_out(pair: str) -> None:
    """A value in quotes goes to its end, and its name may be in quotes."""
    cleaned, removed = clean_text(f"OSError: {pair}, and more")
    assert "jane" not in cleaned and "doe" not in cleaned and removed and cleaned.endswith(", and more")


@pytest.mark.parametrize("pattern", ["node-0", "node-0-to-node-12", "threads-2"])
def test_patterns_of_suites_are_no_hosts(pattern: str) -> None:
    """A run on NUMA nodes can be published: its patterns are checked by the suite that makes them."""
    row = make_result(suite="scaling", pattern=pattern)
    assert clean_rows([row]) == ([row], [])


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
    assert own_names(PUBLIC) == ("kermit", "kermit.example.org", "piggy")
    assert own_names(PUBLIC | {"system": "kermit"}) == ("kermit.example.org", "piggy")
    monkeypatch.setattr(getpass, "getuser", lambda: (_ for _ in ()).throw(KeyError("no name")))
    assert "piggy" in own_names(PUBLIC)


def test_own_names_are_found_within_words() -> None:
    """A name is taken out wherever it is, in any case; the longest name first."""
    cleaned, removed = clean_text("Kermit's run on kermit-2 and xKERMITy, piggykermit", ("kermit", "piggykermit"))
    assert cleaned == f"{_REMOVED}'s run on {_REMOVED}-2 and x{_REMOVED}y, {_REMOVED}"
    assert {kind for kind, _ in removed} == {"name of this machine or its user"}


def test_names_of_the_catalogue_are_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who is called like a kernel has no name to hide."""
    for name in ("copy", "float32", "nvfp4"):
        monkeypatch.setattr(getpass, "getuser", lambda name=name: name)
        assert name not in own_names(PUBLIC)


def test_longer_texts_are_removed_unseen() -> None:
    """The work on a text is bounded by its length, whatever the patterns make of it."""
    assert clean_text("a" * _MAX_TEXT)[0] != _REMOVED
    assert clean_text("a" * (_MAX_TEXT + 1))[0] == _REMOVED
