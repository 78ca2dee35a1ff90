"""Processes that share a folder leave pairs with tickets, and a reader takes what has arrived."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bandmark.errors import FileError
from bandmark.session import ranks
from bandmark.session.ranks import (
    Member,
    Ticket,
    _salt,
    device_id,
    facts_of,
    hardware_of,
    rank_file,
    read_member,
    read_members,
    read_ticket,
    use_own_gpu,
)
from fleets import folder_of, member
from stored_runs import stored_run, write


@pytest.mark.parametrize(
    ("environment", "rank", "world", "local", "job"),
    [
        ({"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "TORCHELASTIC_RUN_ID": "x"}, 3, 8, 1, "x"),
        ({"SLURM_PROCID": "0", "OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "4"}, 2, 4, None, None),
        ({"SLURM_PROCID": "5", "SLURM_NTASKS": "6", "SLURM_LOCALID": "1", "SLURM_JOB_ID": "77"}, 5, 6, 1, "77"),
        ({"SLURM_PROCID": "1", "SLURM_LOCALID": "0", "SLURM_STEP_TASKS_PER_NODE": "1(x4)"}, 1, None, None, None),
        ({"SLURM_PROCID": "1", "SLURM_LOCALID": "0", "SLURM_STEP_TASKS_PER_NODE": "16(x4)"}, 1, None, 0, None),
        ({"RANK": "3", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}, 3, None, None, None),
        ({"PMI_RANK": "1", "PMI_SIZE": "2"}, 1, 2, None, None),
        ({"JOB_COMPLETION_INDEX": "9"}, 9, None, None, None),
        ({"RANK": "first"}, None, None, None, None),
        ({}, None, None, None, None),
    ],
)
def test_the_place_in_a_launch(environment: dict[str, str], rank: Any, world: Any, local: Any, job: Any) -> None:
    """Each launcher's variables are understood, and what is no number is unknown."""
    ticket = read_ticket(environment | {"BANDMARK_NODE": "box"})
    assert ticket == Ticket(node="box", rank=rank, world=world, local_rank=local, job=job)
    assert ticket.name == ("box" if rank is None else f"box rank {rank}")


@pytest.mark.parametrize(
    ("before", "local", "after"),
    [
        (None, 2, "2"),
        ("4,5,6", 1, "5"),
        ("7", 3, "7"),
        ("GPU-a, GPU-b", 1, " GPU-b"),
        ("1", None, "1"),
        (None, None, None),
    ],
)
def test_a_rank_sees_its_own_gpu(before: str | None, local: int | None, after: str | None) -> None:
    """It is that of its rank on the node among those that are visible; a launcher that gave one GPU had its reason."""
    environment = {} if before is None else {"CUDA_VISIBLE_DEVICES": before}
    use_own_gpu(Ticket(node="n", local_rank=local), environment)
    assert environment.get("CUDA_VISIBLE_DEVICES") == after


def session(uuid: str | None = None, address: str = "cpu") -> Any:
    """As much of a session as names files."""
    backend = SimpleNamespace(sensors=SimpleNamespace(uuid=uuid) if uuid else None)
    return SimpleNamespace(run_id="20261127T101500Z-3f2a", target=SimpleNamespace(backends=[backend], address=address))


def test_files_are_named_without_private_names(tmp_path: Path) -> None:
    """Neither node nor UUID is in a name; the ticket has the node, and is there before anything is measured."""
    folder = tmp_path / "a b" / "results"
    csv = rank_file(folder, Ticket(node="secret-host", rank=7, world=9))(session("GPU-1234"))
    assert (
        csv.parent == folder and csv.name.startswith("rank00007-") and csv.name.endswith("-20261127T101500Z-3f2a.csv")
    )
    assert "secret" not in csv.name and "1234" not in csv.name
    ticket = json.loads(csv.with_suffix(".node").read_text())
    assert (ticket["node"], ticket["rank"], ticket["world"]) == ("secret-host", 7, 9)
    (started,) = read_members(folder)
    assert started.problem == "it started and left no result" and started.ticket.node == "secret-host"


def test_ids_follow_the_device_and_the_salt() -> None:
    """One device has one id wherever it is; without a UUID it is the place in the node; another salt, another id."""
    by_uuid = {device_id(session("GPU-1", address), b"salt", node) for address in ("cuda:0", "cuda:1") for node in "ab"}
    assert len(by_uuid) == 1
    others = {device_id(session(None, a), b"salt", node) for a in ("cpu", "cuda:0") for node in ("a", "b")}
    assert len(others) == 4 and by_uuid.isdisjoint(others)
    assert device_id(session("GPU-1"), b"other", "a") not in by_uuid


def test_all_processes_have_one_salt(tmp_path: Path) -> None:
    """Of many that begin at once one makes the salt; it is private, and nothing else is left."""
    with ThreadPoolExecutor(16) as pool:
        salts = set(pool.map(_salt, [tmp_path / "new"] * 64))
    (file,) = (tmp_path / "new").iterdir()
    assert len(salts) == 1 and len(salts.pop()) == 32 and file.stat().st_mode & 0o77 == 0
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="Choose another folder"):
        _salt(tmp_path / "file")


def test_a_pair_is_read_without_its_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures, hardware and facts come from the pair; the samples, which are most of it, are not parsed."""
    record, rows = stored_run()
    csv, parse, parsed = write(tmp_path, record, rows), ranks.parse_json, []
    monkeypatch.setattr(ranks, "parse_json", lambda path, data: parsed.append(data) or parse(path, data))
    known = read_member(csv)
    assert b"seconds_per_launch" not in parsed[0]
    assert list(known.figures) == ["numpy copy float64", "numpy read float64", "numpy gemv float64"]
    assert known.figures["numpy copy float64"].value == pytest.approx(rows[0].bandwidth_gbs, rel=1e-8)
    assert known.hardware is not None and known.hardware.device == "Fake CPU" and known.hardware.memory_gib == 64
    assert known.facts["numpy"] == "2.4.6" and known.problem is None
    assert (known.hardware, known.facts) == (hardware_of(record.to_json()), facts_of(record.to_json()))


def test_who_comes_late_takes_the_salt_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that saw no salt, and finds one when it puts its own in place, takes that."""
    first = _salt(tmp_path)
    monkeypatch.setattr(Path, "exists", lambda path: False)
    assert _salt(tmp_path) == first and len(list(tmp_path.iterdir())) == 1


def test_a_record_in_another_layout_is_read_whole(tmp_path: Path) -> None:
    """A JSON that was rewritten on one line has the same facts."""
    csv = write(tmp_path, *stored_run())
    before = read_member(csv)
    csv.with_suffix(".json").write_text(json.dumps(json.loads(csv.with_suffix(".json").read_text())))
    assert read_member(csv) == before and before.hardware is not None


@pytest.mark.parametrize("damage", ["cut csv", "no json", "cut json", "list", "empty object"])
def test_a_damaged_pair_is_a_problem_and_no_error(damage: str, tmp_path: Path) -> None:
    """Whatever a node left, the other nodes' results are read, and the file is named."""
    csv = write(tmp_path, *stored_run())
    json_file = csv.with_suffix(".json")
    texts = {"cut json": json_file.read_text()[:300], "list": "[]", "empty object": "{}"}
    if damage == "cut csv":
        csv.write_text(csv.read_text()[:-40])
    elif damage == "no json":
        json_file.unlink()
    else:
        json_file.write_text(texts[damage])
    (member,) = read_members(tmp_path)
    assert member.problem and csv.stem in member.problem and member.hardware is None


def test_a_member_survives_the_store() -> None:
    """What a rank hands over is what another gets."""
    for known in (member(3, world=8), Member(ticket=Ticket(node="n"), problem="lost")):
        assert Member.of_json(json.dumps(asdict(known))) == known


def test_a_folder_of_ranks(tmp_path: Path) -> None:
    """Every pair is a member, with its ticket, in any depth; other files are not looked at."""
    folder_of(tmp_path / "deep" / "er", 3)
    (tmp_path / "notes.txt").write_text("x")
    members = list(read_members(tmp_path))
    assert [m.ticket.rank for m in members] == [0, 1, 2] and all(m.figures for m in members)
