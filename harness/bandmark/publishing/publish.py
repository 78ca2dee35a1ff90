"""How does a run get among the published results? Checked, cleaned, named, placed, and the page renewed."""

from __future__ import annotations

import json
import os
import shlex
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bandmark.errors import FileError, UsageError
from bandmark.options import SYSTEM_NAME
from bandmark.publishing import schema
from bandmark.results.case import in_order
from bandmark.results.files import RunFiles, to_csv
from bandmark.results.privacy import Removal, clean_record, clean_rows, own_names
from bandmark.results.row import Row
from bandmark.units import format_bytes
from bandmark.validation.validate import Checked, check_pair

Ask = Callable[[str], str]
"""Asks a person for the system's name, given the name that the file suggests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A run as it would become public."""

    source: Path
    csv: Path
    """Where it would lie."""
    rows: tuple[Row, ...]
    record: dict[str, Any]
    removed: tuple[Removal, ...]
    renamed_from: str | None
    """The system's name in the file, where it gets another."""

    @property
    def json(self) -> Path:
        """The JSON of the same stem."""
        return self.csv.with_suffix(".json")

    def texts(self) -> dict[Path, str]:
        """Return the files and what they would hold."""
        return {self.csv: to_csv(self.rows), self.json: json.dumps(self.record, indent=1, allow_nan=False) + "\n"}


def prepare(checked: Checked, results: Path, system: str | None = None, ask: Ask | None = None) -> Publication:
    """Return a run as it would become public.

    Args:
        checked: a run without faults.
        results: the folder of published results.
        system: the name of the system; None to take the file's, or to ask.
        ask: asks for the name where the file does not tell it; None where nobody can be asked.

    Raises:
        UsageError: the name is unknown, or none.
        FileError: there is nothing to publish, or the run is published already with other contents.
    """
    if checked.record is None or checked.faults:
        raise ValueError("a run with faults is not published")
    _refuse_without_headline(checked)
    name = system or _system(checked, results, ask)
    if not SYSTEM_NAME.fullmatch(name):
        raise UsageError(f"--system {name!r}: take lower-case letters, digits and hyphens, as in dgx-spark.")
    before = checked.rows[0].system
    names = own_names(checked.record)
    rows, from_rows = clean_rows([replace(row, system=name) for row in in_order(checked.rows)], names)
    record, from_record = clean_record(checked.record | {"system": name}, names)
    made = Publication(
        source=checked.csv,
        csv=results / name / f"{rows[0].run_id}.csv",
        rows=tuple(rows),
        record=record,
        removed=(*from_rows, *from_record),
        renamed_from=before if before != name else None,
    )
    _refuse_unsound(made)
    _refuse_other_contents(made, results)
    return made


def _refuse_without_headline(checked: Checked) -> None:
    """Raise FileError if no figure of the run can stand for the system."""
    if any(row.status == "ok" and row.verified and row.regime == "dram" for row in checked.rows):
        return
    seen = Counter((row.status, row.regime or "unknown") for row in checked.rows)
    what = ", ".join(f"{n} {status} in the {regime} regime" for (status, regime), n in sorted(seen.items()))
    raise FileError(
        f"{checked.csv}: nothing to publish: no row is ok, verified and in the dram regime ({what}). "
        "The reasons stand in the rows (`bandmark show`); remove what they name and run again."
    )


def _system(checked: Checked, results: Path, ask: Ask | None) -> str:
    """Return the name of the system: as the user gave it, the catalogue or the folder tells it; else ask."""
    record = checked.record or {}
    found = str(record["system"])
    among = same_file(checked.csv, results / found / checked.csv.name)
    if record["settings"].get("system") or record["peak"].get("device_id") or among:
        return found
    if ask is None:
        raise UsageError(
            f"{record['device']['name']!r} does not tell which system it is in. "
            f"Name the system with --system NAME: the maker's name of the machine, or --system {found}."
        )
    return ask(found).strip() or found


def _refuse_unsound(made: Publication) -> None:
    """Raise FileError if what would be published does not pass `bandmark validate`: cleaning must not break a run."""
    again = Checked(made.csv)
    csv, record = made.texts().values()
    check_pair(again, csv.encode(), record.encode())
    if again.faults:
        raise FileError(f"{again.faults[0]} (in what would be published; take it out of {made.source} by hand)")


def _refuse_other_contents(made: Publication, results: Path) -> None:
    """Raise FileError if the run was published before with other figures, or under another system."""
    for file in sorted(results.glob(f"*/{made.csv.name}")):
        if same_file(file, made.source):
            continue
        if file.parent != made.csv.parent:
            raise FileError(
                f"{made.csv.stem} is published already, as {file}. Remove that first, or publish it as that system."
            )
        if file.read_bytes() != made.texts()[made.csv].encode():
            raise FileError(f"{file} exists, and differs from {made.source}. Results are not changed once published.")


def same_file(a: Path, b: Path) -> bool:
    """Return whether two paths are one file."""
    return a.exists() and b.exists() and os.path.samefile(a, b)


def place(made: Publication, results: Path) -> list[Path]:
    """Write the pair and renew what is generated; return the files that changed.

    A source that lies among the results under another name is moved.

    Raises:
        FileError: something can't be written, or another result in the folder is damaged.
    """
    try:
        schema.generated(results)  # fails on a damaged result before anything is written
        made.csv.parent.mkdir(parents=True, exist_ok=True)
        changed = [f for f, text in made.texts().items() if not f.exists() or f.read_bytes() != text.encode()]
        if changed:
            RunFiles(made.csv, force=True).save(made.rows, made.record)
        if results.resolve() in made.source.resolve().parents and not same_file(made.source, made.csv):
            for old in (made.source, made.source.with_suffix(".json")):
                old.unlink()
                changed.append(old)
        return changed + schema.write(results)
    except OSError as error:
        raise FileError(f"can't write {error.filename or made.csv}: {error.strerror}.") from error


def describe(made: Publication) -> list[str]:
    """Return what would become public, in lines."""
    first, record = made.rows[0], made.record
    statuses = Counter(row.status for row in made.rows)
    samples = sum(len(entry["seconds_per_launch"]) for entry in record["samples"])
    renamed = f" (in the file: {made.renamed_from})" if made.renamed_from else ""
    sizes = [len(text.encode()) for text in made.texts().values()]
    lines = [
        f"files     {made.csv} ({format_bytes(sizes[0])}), {made.json.name} ({format_bytes(sizes[1])})",
        f"system    {first.system}{renamed}",
        f"device    {first.device}",
        f"rows      {', '.join(f'{n} {status}' for status, n in sorted(statuses.items()))}; {samples} raw samples",
    ]
    lines += [f"{name:<9} {_facts(record[name])}" for name in ("settings", "machine", "device", "peak")]
    lines += [f"{name:<9} {_facts(facts)}" for name, facts in record["backends"].items()]
    lines += [f"note      {note}" for note in record["notes"]]
    lines += [f"removed   {one.place}: {one.found} ({one.what})" for one in made.removed]
    return lines if made.removed else [*lines, "removed   nothing: no name, serial number, address or path was found"]


def _facts(block: dict[str, Any]) -> str:
    """Return what is known of a block in one line."""
    known = {key: value for key, value in block.items() if value not in (None, "", {}, [], False)}
    return ", ".join(f"{key} {json.dumps(v) if isinstance(v, dict | list) else v}" for key, v in known.items())


def git_commands(made: Publication, results: Path) -> list[str]:
    """Return the commands that make a pull request of what changed in the folder of results."""
    branch = f"{made.rows[0].system}-{made.csv.stem}"
    return [
        f"git switch -c {branch}",
        f"git add -A {shlex.quote(str(results))}",
        f"git commit -m {shlex.quote(f'Add a run of {made.rows[0].system}')}",
        f"git push -u origin {branch}",
        "gh pr create --fill    # or open the pull request on the web page that git push names",
    ]
