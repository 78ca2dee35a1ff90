"""Publishing a run: check it, take out what is private, and place it among the published results."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bandmark.errors import FileError, UsageError
from bandmark.options import SYSTEM_NAME
from bandmark.publishing import folder
from bandmark.publishing.leaderboard import refuse_links
from bandmark.reports import split_run
from bandmark.results.case import in_order
from bandmark.results.files import RunFiles, read_record_beside, read_rows, to_csv
from bandmark.results.privacy import Removal, clean_run, own_names
from bandmark.results.reading import JsonObject
from bandmark.results.row import Row
from bandmark.units import format_bytes, json_text, quote
from bandmark.validation.validate import Checked, check_pair

_POSITION = re.compile(r"\[\d+\]")

_NOTHING = "nothing: no name, serial number, address or path was found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A run as it would become public."""

    source: Path
    csv: Path
    """Where it would be."""
    rows: tuple[Row, ...]
    record: JsonObject
    removed: tuple[Removal, ...]
    is_published: bool
    """Whether the very same run is there already."""

    @property
    def json(self) -> Path:
        """The JSON of the same stem."""
        return self.csv.with_suffix(".json")

    def texts(self) -> dict[Path, str]:
        """Return the files and what they would hold."""
        return {self.csv: to_csv(self.rows), self.json: json_text(self.record) + "\n"}


def prepare(
    checked: Checked, results: Path, system: str | None = None, ask: Callable[[str], str] | None = None
) -> Publication:
    """Return a checked run without errors as it would become public in a folder of results.

    Args:
        system: the name of the system; None to take the file's, or to ask.
        ask: asks for the name, given the file's, where nothing tells it; None where nobody can be asked.

    Raises:
        UsageError: the name is unknown, or none.
        FileError: there is nothing to publish, a file is a symbolic link, or the run is published with other contents.
    """
    if checked.record is None or checked.violations:
        raise ValueError("a run with violations is not published")
    _refuse_without_headline(checked)
    name = system or _system(checked.record, checked.csv, results, ask)
    if not SYSTEM_NAME.fullmatch(name):
        raise UsageError(f"--system {name!r}: take lower-case letters, digits and hyphens, as in dgx-spark.")
    csv = results / name / f"{checked.rows[0].run_id}.csv"
    refuse_links(checked.csv, checked.json, results, csv.parent, csv, csv.with_suffix(".json"))
    named = [replace(row, system=name) for row in in_order(checked.rows)]
    rows, record, removed = clean_run(named, checked.record | {"system": name}, own_names(checked.record))
    publication = Publication(
        source=checked.csv,
        csv=csv,
        rows=tuple(rows),
        record=record,
        removed=tuple(removed),
        is_published=_is_published(checked.csv, csv, rows, record, results),
    )
    _refuse_unsound(publication)
    return publication


def _refuse_without_headline(checked: Checked) -> None:
    """Raise FileError if no figure of the run can stand for the system."""
    if any(row.verified for run in split_run(checked.json, checked.rows, {}) for row in run.ranked):
        return
    counts = Counter((row.status, row.regime or "unknown") for row in checked.rows)
    what = ", ".join(f"{n} {status} in the {regime} regime" for (status, regime), n in sorted(counts.items()))
    raise FileError(
        f"{checked.csv}: nothing to publish: no row is ok, verified and in the dram regime ({what}). "
        "`bandmark show` shows the reasons; remove the causes and run again."
    )


def _system(record: JsonObject, csv: Path, results: Path, ask: Callable[[str], str] | None) -> str:
    """Return the name of the system: as the user gave it, the catalogue or the folder tells it; else ask."""
    name = str(record["system"])
    is_known = record["settings"].get("system") or record["peak"].get("device_id")
    if is_known or _same_file(csv, results / name / csv.name):
        return name
    if ask is None:
        raise UsageError(
            f"{record['device']['name']!r} does not tell which system it is in. "
            f"Name the system with --system NAME: the maker's name of the machine, or --system {name}."
        )
    return ask(name).strip() or name


def _refuse_unsound(publication: Publication) -> None:
    """Raise FileError if what would be published is refused, or no longer passes `bandmark validate`."""
    source = publication.source
    if refused := next((one for one in publication.removed if one.refused), None):
        raise FileError(
            f"{source}: {refused.place} is {refused.text}, {refused.what}. Take those rows out, or rename it."
        )
    again = Checked(publication.csv)
    csv, record = publication.texts().values()
    check_pair(again, csv.encode(), record.encode())
    if again.violations:
        raise FileError(f"{again.violations[0]} (in what would be published; take it out of {source} by hand)")


def _is_published(source: Path, csv: Path, rows: list[Row], record: JsonObject, results: Path) -> bool:
    """Return whether the same run is published; raises FileError if another one is, or under another system."""
    published = [file for file in sorted(results.glob(f"*/{csv.stem}.*")) if file.suffix in (".csv", ".json")]
    for file in published:
        if file.parent != csv.parent and not _same_file(file.with_suffix(".csv"), source):
            raise FileError(
                f"{csv.stem} is published already, as {file}. Remove that first, or publish it as that system."
            )
    if not any(file.parent == csv.parent for file in published):
        return False
    if difference := _difference(csv, rows, record):
        raise FileError(
            f"{csv} differs from what would be published: {difference}. Results are not changed once published. "
            "A run that is not published yet is published from outside the folder."
        )
    return True


def _difference(csv: Path, rows: list[Row], record: JsonObject) -> str | None:
    """Return the first place at which a published pair differs from a run, with both values."""
    if not csv.exists():
        return f"{csv.name} is missing beside {csv.stem}.json"
    old = dict(_leaves({"row": [row.values() for row in read_rows(csv)], **read_record_beside(csv)}))
    new = dict(_leaves({"row": [row.values() for row in rows], **json.loads(json.dumps(record))}))
    different = (place for place in (*old, *new) if str(old.get(place)) != str(new.get(place)))
    return next((f"{place} is {quote(old.get(place))}, here {quote(new.get(place))}" for place in different), None)


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the texts, numbers and flags in a JSON value, each with its place."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{place}.{key}".lstrip("."))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _leaves(inner, f"{place}[{i}]")
    elif value is not None:
        yield place, value


def _same_file(a: Path, b: Path) -> bool:
    return a.exists() and b.exists() and os.path.samefile(a, b)


def place(publication: Publication, results: Path) -> list[Path]:
    """Write the pair and renew what is generated; return the files that changed.

    A source that lies among the results under another name is moved.

    Raises:
        FileError: something can't be written, or another result in the folder is damaged.
    """
    csv, source = publication.csv, publication.source
    try:
        folder.generate(results)  # fails on a damaged result before anything is written
        changed = []
        if not publication.is_published:
            csv.parent.mkdir(parents=True, exist_ok=True)
            RunFiles(csv).save(publication.rows, publication.record)
            changed += [csv, publication.json]
        if results.resolve() in source.resolve().parents and not _same_file(source, csv):
            for old in (source, source.with_suffix(".json")):
                old.unlink()
                changed.append(old)
        return changed + folder.write(results)
    except OSError as error:
        raise FileError(f"can't write {error.filename or csv}: {error.strerror}.") from error


def describe(publication: Publication) -> list[str]:
    """Return every value that would become public, in lines: equal ones once, many numbers as their range."""
    rows, record = publication.rows, publication.record
    sizes = [format_bytes(len(text.encode())) for text in publication.texts().values()]
    statuses = Counter(row.status for row in rows)
    counts = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
    values: dict[str, dict[Any, None]] = {}
    for place, value in _leaves({"row": [row.values() for row in rows], **record}):
        values.setdefault(_POSITION.sub("", place), {})[value] = None
    removed = [f"{one.place}: {one.text} ({one.what})" for one in publication.removed]
    return [
        f"files     {publication.csv} ({sizes[0]}), {publication.json.name} ({sizes[1]})",
        f"system    {rows[0].system}",
        f"device    {rows[0].device}",
        f"rows      {counts}; {sum(len(entry['seconds_per_launch']) for entry in record['samples'])} raw samples",
        *(f"{key} {_listed(list(known))}" for key, known in values.items()),
        *(f"removed   {line}" for line in removed or [_NOTHING]),
    ]


def _listed(values: list[Any]) -> str:
    if len(values) > 3 and all(isinstance(value, int | float) for value in values):
        return f"{len(values)} numbers from {min(values)} to {max(values)}"
    return "; ".join(map(str, values))


def git_commands(publication: Publication, results: Path) -> list[str]:
    """Return the commands that make a pull request of what changed in the folder of results."""
    system, branch = publication.rows[0].system, f"{publication.rows[0].system}-{publication.csv.stem}"
    return [
        f"git switch -c {branch}",
        f"git add -A {shlex.quote(str(results))}",
        f"git commit -m {shlex.quote(f'Add a run of {system}')}",
        f"git push -u origin {branch}",
        "gh pr create --fill    # or open the pull request on the web page that git push names",
    ]
