"""Files of many processes in one folder: who wrote them, and what each measured.

A process leaves a pair of files, as every run does, and a ticket beside it (.node) with what a published file never
holds: the name of its node, its rank, and an id of the device. The id is a hash with a salt that the folder keeps, so
that one device has one id there and none elsewhere.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bandmark.device.system import parse_number, read_text
from bandmark.errors import FileError
from bandmark.judge.expectations import Hardware
from bandmark.results.case import CaseId
from bandmark.results.files import read_rows, write_file
from bandmark.results.reading import JsonObject, parse_json, read_bytes, walk
from bandmark.results.row import MEASURED, Row
from bandmark.suites import metric_of
from bandmark.units import json_text

if TYPE_CHECKING:
    from bandmark.session.session import Session

_LAUNCHERS = (
    "RANK WORLD_SIZE LOCAL_RANK LOCAL_WORLD_SIZE TORCHELASTIC_RUN_ID",
    "OMPI_COMM_WORLD_RANK OMPI_COMM_WORLD_SIZE OMPI_COMM_WORLD_LOCAL_RANK OMPI_COMM_WORLD_LOCAL_SIZE PMIX_NAMESPACE",
    "PMI_RANK PMI_SIZE MPI_LOCALRANKID MPI_LOCALNRANKS PMI_JOBID",
    "SLURM_PROCID SLURM_NTASKS SLURM_LOCALID SLURM_STEP_TASKS_PER_NODE SLURM_JOB_ID",
    "JOB_COMPLETION_INDEX - - - JOB_NAME",
)
"""Variables of rank, number of ranks, both on the node, and job, by launcher: torchrun, Open MPI, MPICH and Intel MPI,
Slurm, Kubernetes. Slurm comes late since other launchers start their helpers with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """Which process of which launch wrote a pair of files; None is unknown."""

    node: str
    rank: int | None = None
    world: int | None = None
    local_rank: int | None = None
    """Its rank on the node, where it is not alone there."""
    job: str | None = None
    device_id: str | None = None
    run_id: str = ""

    @property
    def name(self) -> str:
        """The process in words."""
        return f"{self.node} rank {self.rank}".lstrip() if self.rank is not None else self.node


def read_ticket(environment: Mapping[str, str] = os.environ) -> Ticket:
    """Return the place of this process in the launch that started it; BANDMARK_NODE overrides the host's name."""
    node = environment.get("BANDMARK_NODE") or socket.gethostname()
    for rank, world, local, beside, job in map(str.split, _LAUNCHERS):
        if (number := parse_number(environment.get(rank))) is not None:
            size, place = (parse_number(environment.get(name)) for name in (world, local))
            alone = re.match(r"1(?!\d)", environment.get(beside, "")) is not None  # Slurm writes 1(x4) for four nodes
            local_rank = None if alone else place
            return Ticket(node=node, rank=number, world=size, local_rank=local_rank, job=environment.get(job))
    return Ticket(node=node)


def use_own_gpu(ticket: Ticket, environment: dict[str, str] | os._Environ[str] = os.environ) -> None:
    """Let a process of several on a node see one GPU alone: that of its rank there, among those that it may see.

    It must be done before a library asks the driver.
    """
    if ticket.local_rank is not None:
        visible = [part for part in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if part.strip()]
        own = visible[ticket.local_rank % len(visible)] if visible else str(ticket.local_rank)
        environment["CUDA_VISIBLE_DEVICES"] = own


def rank_file(folder: Path, ticket: Ticket) -> Callable[[Session], Path]:
    """Return what names the CSV of a session in a folder, after it has left a ticket there."""
    salt = _salt(folder)

    def name(session: Session) -> Path:
        own = replace(ticket, device_id=device_id(session, salt, ticket.node), run_id=session.run_id)
        rank = "" if ticket.rank is None else f"rank{ticket.rank:05d}-"
        csv = folder / f"{rank}{own.device_id}-{session.run_id}.csv"
        write_file(csv.with_suffix(".node"), json_text(asdict(own)) + "\n")
        return csv

    return name


def device_id(session: Session, salt: bytes, node: str) -> str:
    """Return the salted id of the device of a session: of its UUID, or else of its place in the node."""
    uuids = (backend.sensors.uuid for backend in session.target.backends if backend.sensors is not None)
    name = next(filter(None, uuids), f"{node} {session.target.address}")
    return hmac.new(salt, name.encode(), hashlib.sha256).hexdigest()[:12]


def _salt(folder: Path) -> bytes:
    """Return the secret of a folder, made by the first process that needs it; raises FileError."""
    file, own = folder / ".bandmark-salt", folder / f".bandmark-salt.{secrets.token_hex(8)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            own.touch(0o600)
            own.write_text(secrets.token_hex(16))
            try:
                os.link(own, file)  # of several processes one succeeds, and the file is whole when it appears
            except FileExistsError:
                pass
            finally:
                own.unlink()
        return file.read_bytes()
    except OSError as error:
        raise FileError(f"can't keep results in {folder}: {error.strerror}. Choose another folder.") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What was measured of a case."""

    value: float | None
    unit: str
    higher_is_better: bool
    status: str
    reason: str | None
    verdict: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One process of a fleet and what it measured, or why it measured nothing."""

    ticket: Ticket
    run_id: str = ""
    hardware: Hardware | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    """The stack below the figures: versions and settings by name."""
    figures: Mapping[str, Figure] = field(default_factory=dict)
    """By the label of the case."""
    problem: str | None = None

    @property
    def device(self) -> str:
        """What tells the device from all others."""
        return self.ticket.device_id or self.ticket.name

    @classmethod
    def of_json(cls, text: str) -> Member:
        """Return the member that was written as JSON."""
        values = json.loads(text)
        hardware = values["hardware"] and Hardware(**values["hardware"])
        figures = {case: Figure(**figure) for case, figure in values["figures"].items()}
        return cls(**{**values, "ticket": Ticket(**values["ticket"]), "hardware": hardware, "figures": figures})


def figures_of(rows: list[Row]) -> dict[str, Figure]:
    """Return the figures of rows by case; rows of suites that are not known here are left out."""
    figures = {}
    for row in rows:
        try:
            metric = metric_of(row)
        except KeyError:
            continue
        figures[CaseId.of(row).label] = Figure(
            value=metric.value(row) if row.status in MEASURED else None,
            unit=metric.unit,
            higher_is_better=metric.higher_is_better,
            status=row.status,
            reason=row.reason,
            verdict=row.verdict,
        )
    return figures


def hardware_of(record: JsonObject) -> Hardware:
    """Return what of a run record makes devices equal."""
    device, facts = record["device"], backend_facts(record)
    memory, limit = device.get("memory_bytes"), facts.get("power_limit_w")
    return Hardware(
        device=str(device["name"]),
        memory_gib=round(memory / 2**30) if memory else None,
        driver=facts.get("driver"),
        power_limit_w=round(limit) if limit else None,
    )


def backend_facts(record: JsonObject) -> dict[str, Any]:
    """Return what the backends of a run tell of the device, as one."""
    backends = record["backends"].values()
    return {name: value for facts in backends for name, value in facts.items() if value is not None}


_MACHINE_FACTS = ("kernel", "bios", "governor", "transparent_huge_pages", "cpu_usable", "numa_nodes", "python_version")
_DEVICE_FACTS = ("driver", "cuda", "application_clock_mhz", "power_limit_w", "ecc", "mig", "pcie_width")


def facts_of(record: JsonObject) -> dict[str, str]:
    """Return the stack below the figures of a run record: what should be alike on alike machines."""
    device = backend_facts(record)
    facts = {name: record["machine"].get(name) for name in _MACHINE_FACTS}
    facts |= {name: device.get(name) for name in _DEVICE_FACTS}
    facts |= {name: backend.get("version") for name, backend in record["backends"].items()}
    facts["bandmark"] = record["bandmark_version"]
    return {name: str(value) for name, value in facts.items() if value is not None}


def read_member(csv: Path, ticket: Ticket | None = None) -> Member:
    """Return what a pair of files says; a damaged one is a member with a problem."""
    ticket = ticket or _stored_ticket(csv)
    try:
        rows, record = read_rows(csv), _head(csv.with_suffix(".json"))
        member = Member(ticket=ticket, run_id=str(record["run_id"]), figures=figures_of(rows))
        return replace(member, hardware=hardware_of(record), facts=facts_of(record))
    except FileError as error:
        return Member(ticket=ticket, problem=str(error))
    except (KeyError, TypeError, AttributeError) as error:
        return Member(ticket=ticket, problem=f"{csv.with_suffix('.json')} is no run record ({error!r})")


def _stored_ticket(csv: Path) -> Ticket:
    """Return the ticket beside a CSV; where there is none, the file's name stands for the node."""
    try:
        return Ticket(**json.loads(read_text(csv.with_suffix(".node")) or ""))
    except (ValueError, TypeError):
        return Ticket(node=csv.stem)


def _head(path: Path) -> JsonObject:
    """Return a run record without its samples, which are most of it and come last; raises FileError."""
    data = read_bytes(path)
    head, found, _ = data.partition(b',\n "samples": [')
    record: JsonObject = parse_json(path, head + b"}" if found else data)
    return record


def read_members(folder: Path) -> Iterator[Member]:
    """Yield the members whose files are in a folder, and those that left a ticket and no result."""
    for file in walk(folder):
        if file.suffix == ".csv":
            yield read_member(file)
        elif file.suffix == ".node" and not file.with_suffix(".csv").exists():
            ticket = _stored_ticket(file)
            yield Member(ticket=ticket, run_id=ticket.run_id, problem="it started and left no result")
