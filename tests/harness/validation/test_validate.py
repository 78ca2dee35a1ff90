"""Row files as strangers send them: a good run passes, and each kind of damage is named where it is."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import corpus
from bandmark.cli import main
from bandmark.errors import FileError, UsageError
from bandmark.results import reading
from bandmark.validation import validate
from bandmark.validation.validate import check, check_run
from corpus import DAMAGES, Damage, Pair, good_run, pair

GOOD = pair(good_run())


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A good run's CSV."""
    return GOOD.write(tmp_path)


def test_a_good_run_has_no_violation(good: Path) -> None:
    """What the harness writes passes, and all its rows are read."""
    (checked,) = check([good])
    assert [str(violation) for violation in checked.violations] == []
    assert len(checked.rows) == 10 and checked.record is not None


def test_a_run_of_the_command_line_has_no_violation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A real run on this machine, from measuring to its files, passes its own validation."""
    file = str(tmp_path / "run.csv")
    options = ["--backend", "numpy", "--kernel", "copy,read,gemv", "--dtype", "float64", "--size", "1MiB"]
    assert main(["run", *options, "--time-limit", "0.3", "--output", file]) in (0, 3)
    capsys.readouterr()
    code = main(["validate", file])
    said = capsys.readouterr()
    assert (code, said.out) == (0, "")
    assert said.err == "1 run, 3 rows (3 measured): no errors\n"


def test_the_corpus_is_large() -> None:
    """There are at least 50 kinds of damage, each with a name of its own and a message."""
    assert len({damage.name for damage in DAMAGES}) == len(DAMAGES) >= 50
    assert all(damage.message for damage in DAMAGES)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
def test_damage_is_refused(
    damage: Damage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each kind of damage gives exit code 2 and one line that names file, place, what stands there and what should."""
    harmed = damage.harm(GOOD)
    assert harmed != GOOD, "the damage does nothing"
    harmed.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["validate", "run.csv"]) == 2
    printed = capsys.readouterr().out
    assert all(line.startswith(("run.csv:", "run.json:")) for line in printed.splitlines()), printed
    violations = check([Path("run.csv")])[0].violations
    right = [
        violation
        for violation in violations
        if re.search(damage.message, str(violation))
        and damage.column in (None, violation.column)
        and damage.line in (None, violation.line)
    ]
    assert right, "\n".join(map(str, violations))


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
def test_violations_are_fit_for_any_terminal(damage: Damage, tmp_path: Path) -> None:
    """A message has one line of moderate length without control characters, whatever stands in the file."""
    for violation in check_run(damage.harm(GOOD).write(tmp_path)).violations:
        said = str(violation).replace(str(tmp_path), "")
        assert said.isprintable() and len(said) < 400
        json.dumps(violation.as_json())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_input_raises(tmp_path: Path, data: st.DataObject) -> None:
    """However the bytes of the two files are changed, there are violations or none, and no exception."""
    changed = [
        bytearray(data.draw(st.binary(max_size=200))) if data.draw(st.integers(0, 9)) == 0 else bytearray(whole)
        for whole in (GOOD.csv, GOOD.json or b"")
    ]
    for content in changed:
        for _ in range(data.draw(st.integers(0, 3))):
            place = data.draw(st.integers(0, len(content)))
            length = data.draw(st.integers(0, 40))
            content[place : place + length] = data.draw(st.binary(max_size=8) | st.sampled_from(_HARMFUL))
    checked = check_run(Pair(bytes(changed[0]), bytes(changed[1])).write(tmp_path))
    if (bytes(changed[0]), bytes(changed[1])) == (GOOD.csv, GOOD.json):
        assert not checked.violations
    assert all(str(violation).isprintable() for violation in checked.violations)


_HARMFUL = (b",", b"\n", b'"', b"{", b"[", b"]", b"null", b"-1", b"1e400", b"9" * 30, b"true", b"\x00", b"\r", b": {}")

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), JUNK)
def test_no_run_record_raises(tmp_path: Path, data: st.DataObject, junk: Any) -> None:
    """Any value at any place of the JSON gives violations or none, and no exception."""
    record = GOOD.record
    block: Any = record
    while True:
        key = data.draw(st.sampled_from(sorted(block) if isinstance(block, dict) else range(len(block))))
        if not isinstance(block[key], dict | list) or not block[key] or data.draw(st.integers(0, 3)) == 0:
            break
        block = block[key]
    block[key] = junk
    check_run(Pair(GOOD.csv, json.dumps(record).encode()).write(tmp_path))


def test_files_that_are_none(tmp_path: Path) -> None:
    """What is missing is an error of usage; an empty folder too; a folder in place of a file is a violation."""
    with pytest.raises(UsageError, match=r"nothing\.csv does not exist"):
        check([tmp_path / "nothing.csv"])
    with pytest.raises(UsageError, match="holds no result files"):
        check([tmp_path])
    (tmp_path / "run.csv").mkdir()
    (tmp_path / "run.json").write_bytes(GOOD.json or b"")
    (checked,) = check([tmp_path / "run.json"])
    assert [str(f) for f in checked.violations] == [
        f"{tmp_path}/run.csv: can't read {tmp_path}/run.csv: it is no regular file; name a file that can be read"
    ]


def test_huge_files_are_not_read(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file above the limit is refused by its size alone."""
    monkeypatch.setattr(reading, "_MAX_BYTES", 1000)
    monkeypatch.setattr(Path, "read_bytes", lambda file: pytest.fail("was read"))
    violations = check_run(good).violations
    assert len(violations) == 2
    assert re.search(r"run\.csv: it has \d+ bytes, and no result has 1000", str(violations[0]))


def test_files_that_can_not_be_read(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without permission is a violation that says so."""

    def refuse(file: Path) -> bytes:
        raise FileError(f"can't read {file}: Permission denied.")

    monkeypatch.setattr(validate, "read_bytes", refuse)
    assert [str(violation).rpartition(": ")[2] for violation in check_run(good).violations] == [
        "Permission denied; name a file that can be read"
    ] * 2


def test_a_json_alone_has_no_csv(good: Path) -> None:
    """Named by its JSON, a run is the same pair; without the CSV that is the violation."""
    good.unlink()
    (checked,) = check([good.with_suffix(".json")])
    assert "run.csv: missing; a run is a CSV and a JSON of the same stem" in str(checked.violations[0])


def test_a_run_is_checked_once(good: Path) -> None:
    """The CSV, the JSON and the folder name the same run."""
    assert len(check([good, good.with_suffix(".json"), good.parent])) == 1


def published(folder: Path, made: tuple[str, dict[str, Any]]) -> Path:
    """Put a run where it belongs among published results."""
    (folder / "datapackage.json").write_text("{}")
    place = folder / made[1]["system"] / f"{made[1]['run_id']}.csv"
    place.parent.mkdir(exist_ok=True)
    place.write_text(made[0])
    place.with_suffix(".json").write_text(json.dumps(made[1]))
    return place


def said(folder: Path) -> list[str]:
    """All violations below a folder."""
    return [str(violation).replace(f"{folder}/", "") for checked in check([folder]) for violation in checked.violations]


def test_published_results_pass(tmp_path: Path) -> None:
    """A folder of published results holds runs at their places, and what is generated beside them."""
    published(tmp_path, good_run())
    (tmp_path / "README.md").touch()
    assert said(tmp_path) == []


def test_a_published_run_has_its_name_and_place(tmp_path: Path) -> None:
    """Among published results a run lies in its system's folder, under its run_id."""
    place = published(tmp_path, good_run())
    for file in (place, place.with_suffix(".json")):
        file.rename(file.with_stem("mine"))
    (violation,) = said(tmp_path)
    assert violation.startswith("fake-1/mine.csv: a file of another name or place")
    assert violation.endswith(str(place.relative_to(tmp_path)))


def test_a_published_run_keeps_secrets(tmp_path: Path) -> None:
    """Among published results a path in a text is a violation; in a file at home it is none."""
    text, record = good_run()
    record["notes"].append("see /home/someone/log")
    place = published(tmp_path, (text, record))
    (violation,) = said(tmp_path)
    assert "notes[1]: '/home/someone/log' (path), expected nothing private" in violation
    assert check_run(place).violations == []


def test_a_key_that_no_run_record_has(tmp_path: Path) -> None:
    """A key that this version does not write is a violation, published or not."""
    text, record = good_run()
    record["hostname"] = "box"
    place = published(tmp_path, (text, record))
    violation, private = said(tmp_path)
    assert "hostname: an unknown key, expected the keys that bandmark writes" in violation
    assert "hostname: 'box' (no part of a run record)" in private
    assert len(check_run(place).violations) == 1


def test_a_run_is_published_once(tmp_path: Path) -> None:
    """The same run as two systems is a violation, which names both; two runs of one system are none."""
    published(tmp_path, good_run())
    published(tmp_path, good_run(run_id="20261124T101500Z-3f2a", seed=9))
    assert said(tmp_path) == []
    published(tmp_path, good_run(system="other-2"))
    (violation,) = said(tmp_path)
    name = "20261123T101500Z-3f2a"
    assert violation.startswith(
        f"other-2/{name}.csv: run {name} again; a run is published once; fake-1/{name}.csv holds it"
    )


def test_strays_among_published_results(tmp_path: Path) -> None:
    """A file that is no part of published results is named, hidden or not, and a link to a folder too."""
    published(tmp_path, good_run())
    names = (".keep", "fake-1/.DS_Store", "fake-1/core.bin", "notes.txt", "old/README.md")
    for name in (*names, ".git/config"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "fake-1")
    expected = {f"{name}: no part of published results; take it out of the folder" for name in (*names, "link")}
    assert set(said(tmp_path)) == expected


def test_a_fault_of_form_hides_no_private_text(tmp_path: Path) -> None:
    """A published record with a key of the wrong type is looked through for names and paths all the same."""
    text, record = good_run()
    record |= {"complete": "yes", "notes": ["see /home/someone/log", 7]}
    published(tmp_path, (text, record))
    violations = "\n".join(said(tmp_path))
    assert "complete: 'yes', expected true or false" in violations
    assert "notes[0]: '/home/someone/log' (path), expected nothing private" in violations


def test_blank_lines_are_one_violation(tmp_path: Path) -> None:
    """A file of two million blank lines is refused at the first of them."""
    (violation, *_) = check_run(Pair(GOOD.csv + b"\n" * 2_000_000, GOOD.json).write(tmp_path)).violations
    assert "run.csv:12: an empty line" in str(violation)


def test_a_record_without_its_number_of_rows(tmp_path: Path) -> None:
    """Versions before 0.2.0 did not count rows; of a later one the number was taken out."""
    text, record = good_run()
    assert record.pop("rows") == 10
    (violation,) = check_run(pair((text, record)).write(tmp_path)).violations
    assert violation.column == "rows" and "a number" in violation.wanted


def test_a_json_without_a_csv_is_found_in_a_folder(tmp_path: Path) -> None:
    """Each half of a run that lies in a folder is checked, a CSV or a JSON."""
    published(tmp_path, good_run()).unlink()
    assert any("missing" in violation for violation in said(tmp_path))


def test_violations_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json each violation is an object with its file, line, column, what stands there and what should."""
    damage = next(d for d in DAMAGES if d.name == "a decimal comma")
    assert main(["validate", "--json", str(damage.harm(GOOD).write(tmp_path))]) == 2
    (violation,) = json.loads(capsys.readouterr().out)
    assert (violation["line"], violation["column"], violation["case"]) == (2, "time_median_s", "numpy copy float64")
    assert violation["found"].startswith("'0,00") and "decimal point" in violation["wanted"]


def test_what_is_wrong_alike_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A violation of all rows is one line that counts the others, and an orderly number of kinds is printed."""
    text = GOOD.csv.decode().replace(",random,", ",Random,")
    main(["validate", str(Pair(text.encode(), GOOD.json).write(tmp_path))])
    assert "(and in 9 more lines)" in capsys.readouterr().out
    columns = text.splitlines()[0].count(",") + 1
    junk = io.StringIO(text).readline() + ("#REF!," * columns)[:-1] + "\n"
    main(["validate", str(Pair(junk.encode(), GOOD.json).write(tmp_path))])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 21 and "more kinds of errors; --json prints all" in lines[-1]


def test_the_corpus_states_what_it_damages() -> None:
    """The corpus is made by code from one good run, so that it follows the layout of the files."""
    assert good_run() == good_run()
    assert corpus.KERNELS == ("copy", "triad", "nstream", "read", "gemv")
