"""Row files: what is written reads back, nothing is lost by a failed write, and what is no result is refused."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import stat
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bandmark.errors import FileError
from bandmark.results import files as store
from bandmark.results.files import RunFiles, read_rows, to_csv, write_file
from bandmark.results.row import SCHEMA, Row, columns
from fakes import make_result

AWKWARD = [
    'NVIDIA "Fake", rev 2',
    "line one\nline two",
    "carriage\rreturn",
    "both\r\n",
    "  spaces  ",
    ";\t|",
    "µé☃",
    "'=1+1",
]


def lines(path: Path) -> list[str]:
    """The names of the files in a folder."""
    return sorted(p.name for p in path.iterdir())


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_device_names_survive(tmp_path: Path, name: str) -> None:
    """Commas, quotes and line ends in a name are quoted, for this reader and for others (RFC 4180)."""
    file = tmp_path / "a.csv"
    rows = [make_result(device=name), make_result(kernel="copy")]
    RunFiles(file).save(rows, {})
    assert read_rows(file) == rows
    with file.open(encoding="utf-8", newline="") as text:
        assert [row["device"] for row in csv.DictReader(text)] == [name, "Fake GPU"]


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), st.integers(0, 10**12)),
        max_size=4,
    )
)
def test_any_names_survive(tmp_path: Path, contents: list[tuple[str, int]]) -> None:
    """Whatever text a device and a reason hold, the file reads back as the same rows."""
    rows = [make_result(device=text, reason=text, n_elements=number) for text, number in contents]
    RunFiles(tmp_path / "a.csv", force=True).save(rows, {})
    assert read_rows(tmp_path / "a.csv") == rows


def test_the_text_of_a_file() -> None:
    """A header of all columns, one line per row, LF line ends, no blank first column, empty for unknown."""
    text = to_csv([make_result(), make_result(kernel="copy", reason='a "quoted", long reason')])
    assert "\r" not in text and text.endswith("\n") and text.count("\n") == 3
    header, one, two = text.splitlines()
    assert header == ",".join(c.name for c in columns())
    assert one.startswith(
        "1,20261123T101500Z-3f2a,fake-1,Fake GPU,numpy,triad,float64,1000,24000,dram,16000,8000,20,5,0.001"
    )
    assert '"a ""quoted"", long reason"' in two
    assert ",,," in one


def test_pandas_reads_it() -> None:
    """The CSV needs no options to be read by pandas."""
    frame = pd.read_csv(io.StringIO(to_csv([make_result(), make_result(kernel="copy", verified=None)])))
    assert list(frame["kernel"]) == ["triad", "copy"]
    assert frame["bandwidth_gbs"].dtype == "float64"
    assert frame["temperature_c"].isna().all()


def test_a_run_has_two_files_of_one_stem(tmp_path: Path) -> None:
    """The JSON stands beside the CSV, both readable by others as the umask says, and nothing else is left."""
    before = os.umask(0o022)
    try:
        RunFiles(tmp_path / "run.csv").save([make_result()], {"a": [1, None]})
    finally:
        os.umask(before)
    assert lines(tmp_path) == ["run.csv", "run.json"]
    assert json.loads((tmp_path / "run.json").read_text()) == {"a": [1, None]}
    assert stat.S_IMODE((tmp_path / "run.csv").stat().st_mode) == 0o644
    assert os.umask(before) == before


def test_nothing_is_written_before_anything_is_measured(tmp_path: Path) -> None:
    """The place is tried, and left as it was: a run that measures nothing leaves no file."""
    RunFiles(tmp_path / "run.csv")
    assert lines(tmp_path) == []


def test_a_record_that_is_no_json_changes_nothing(tmp_path: Path) -> None:
    """Both files are written or none: what was saved before stays, and so does its record."""
    files = RunFiles(tmp_path / "run.csv")
    files.save([make_result()], {"n": 1})
    with pytest.raises(ValueError, match="JSON"):
        files.save([make_result(), make_result(kernel="copy")], {"bad": float("nan")})
    assert read_rows(tmp_path / "run.csv") == [make_result()]
    assert json.loads((tmp_path / "run.json").read_text()) == {"n": 1} and len(lines(tmp_path)) == 2


@pytest.mark.parametrize("name", ["run.csv", "run.json"])
def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path, name: str) -> None:
    """What another program wrote between the trial and the first save is not overwritten unasked."""
    files = RunFiles(tmp_path / "run.csv")
    (tmp_path / name).write_text("precious")
    with pytest.raises(FileError, match=f"{name} exists"):
        files.save([make_result()], {})
    assert lines(tmp_path) == [name] and (tmp_path / name).read_text() == "precious"


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    """Temporary files of an earlier run of the same name go; those of other names stay."""
    for name in (".run.csv.x1.tmp", ".run.json.x2.tmp", ".other.csv.x3.tmp"):
        (tmp_path / name).write_text("")
    RunFiles(tmp_path / "run.csv")
    assert lines(tmp_path) == [".other.csv.x3.tmp"]


@pytest.mark.parametrize("existing", ["run.csv", "run.json"])
def test_an_existing_file_is_refused(tmp_path: Path, existing: str) -> None:
    """Neither of the two files is overwritten unasked; the message names it and --force."""
    (tmp_path / existing).write_text("precious")
    with pytest.raises(FileError, match=f"{existing} exists.*--force"):
        RunFiles(tmp_path / "run.csv")
    assert lines(tmp_path) == [existing]
    assert (tmp_path / existing).read_text() == "precious"


def test_force_replaces_only_when_there_is_something_to_write(tmp_path: Path) -> None:
    """With --force the old files stay as they are until the first rows, and for good if none come."""
    for name in ("run.csv", "run.json"):
        (tmp_path / name).write_text("precious")
    files = RunFiles(tmp_path / "run.csv", force=True)
    assert lines(tmp_path) == ["run.csv", "run.json"]
    assert {p.read_text() for p in tmp_path.iterdir()} == {"precious"}
    files.save([make_result()], {})
    assert read_rows(tmp_path / "run.csv") == [make_result()]
    assert (tmp_path / "run.json").read_text() == "{}\n"


@pytest.mark.parametrize("name", ["run.json", "run", "run.csv.gz", "-x"])
def test_other_suffixes_are_refused(tmp_path: Path, name: str) -> None:
    """The name must end in .csv, so that the JSON's is another."""
    with pytest.raises(FileError, match=r"must end in \.csv"):
        RunFiles(tmp_path / name)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """A missing folder is told before anything is measured."""
    with pytest.raises(FileError, match=r"can't write .*run\.csv: there is no folder .*missing\. Make it"):
        RunFiles(tmp_path / "missing" / "run.csv")


def test_a_folder_that_can_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only folder is told before anything is measured (simulated where the user may write anywhere)."""
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):

        def refuse(*arguments: object, **options: object) -> None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))

        monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(FileError, match=r"can't write .*Permission denied"):
        RunFiles(folder / "run.csv")
    assert lines(folder) == []


def fail(number: int) -> object:
    """A function that fails as the system does."""

    def failing(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    return failing


@pytest.mark.parametrize("call", ["replace", "fsync"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_failed_write_leaves_the_old_contents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    """On a full or broken disk the last saved pair stays, no temporary file is left, and the error says what to do."""
    files = RunFiles(tmp_path / "run.csv")
    files.save([make_result()], {"n": 1})
    monkeypatch.setattr(store.os, call, fail(number))
    with pytest.raises(FileError) as failed:
        files.save([make_result(), make_result(kernel="copy")], {"n": 2})
    assert os.strerror(number) in str(failed.value) and "run.json" in str(failed.value)
    assert lines(tmp_path) == ["run.csv", "run.json"]
    assert read_rows(tmp_path / "run.csv") == [make_result()]
    assert json.loads((tmp_path / "run.json").read_text()) == {"n": 1}


def test_an_interrupted_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle of a write leaves the old contents and no temporary file."""
    files = RunFiles(tmp_path / "run.csv")

    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.save([make_result()], {})
    assert lines(tmp_path) == []


def test_a_reader_never_sees_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the moment of replacement the old file is whole, and the new one is whole elsewhere."""
    files = RunFiles(tmp_path / "run.csv")
    files.save([make_result()], {})
    rows = [make_result(), make_result(kernel="copy")]
    seen: list[tuple[list[Row], str]] = []
    replace = os.replace

    def spy(new: str, old: Path) -> None:
        if old.suffix == ".csv":
            seen.append((read_rows(old), Path(new).read_text()))
        replace(new, old)

    monkeypatch.setattr(store.os, "replace", spy)
    files.save(rows, {})
    assert seen == [([make_result()], to_csv(rows))]


GOOD = to_csv([make_result(), make_result(kernel="copy")])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        ("name,value\ncopy,1\n", "is not a bandmark result; its first line lacks the columns schema, run_id"),
        (GOOD[:-1], "the file is truncated"),
        (GOOD[: GOOD.rindex(",fake-1,")], "the file is truncated"),
        (GOOD[: GOOD.rindex(",fake-1,")] + "\n", "line 3: 2 cells, but the header has"),
        (GOOD + "\n", ":4: an empty line"),
        (
            GOOD.replace("\n1,", f"\n{SCHEMA + 1},"),
            f"line 2: schema {SCHEMA + 1} is newer than this version's {SCHEMA}",
        ),
        (GOOD.replace("\n1,", "\none,"), "line 2: column 'schema' holds 'one'"),
        (GOOD.replace("\n1,", "\n²,"), "line 2: column 'schema' holds '²'"),
        (GOOD.replace(",copy,", ",,"), "line 3: column 'kernel' is empty"),
        (GOOD.replace(",true,", ",yes,"), "line 2: column 'verified' holds 'yes'"),
        ("x" * 200_000 + "\n", "field larger than field limit"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)
def test_what_is_no_result_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """Foreign, truncated, damaged and newer files are refused, with the file and, where there is one, the line."""
    file = tmp_path / "bad.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(FileError) as refused:
        read_rows(file)
    assert str(file) in str(refused.value)
    assert words in str(refused.value)


def test_the_line_of_a_violation_counts_line_ends_in_names(tmp_path: Path) -> None:
    """The number in the message is the one that an editor shows, even after a name of several lines."""
    text = to_csv([make_result(device="one\ntwo\nthree"), make_result(kernel="copy", samples=20)])
    file = tmp_path / "bad.csv"
    file.write_text(text.replace("copy,float64,1000", "copy,float64,many"), encoding="utf-8")
    with pytest.raises(FileError, match=r"line 5: column 'n_elements' holds 'many'"):
        read_rows(file)


def test_binary_is_refused(tmp_path: Path) -> None:
    """A file that is no text is told as such."""
    file = tmp_path / "bad.csv"
    file.write_bytes(b"\x93NUMPY\x01\x00v\x00{'descr': '<f8'\xff\xfe}")
    with pytest.raises(FileError, match="binary"):
        read_rows(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A file that can't be read is told with the system's reason."""
    with pytest.raises(FileError, match=r"can't read .*gone\.csv: No such file"):
        read_rows(tmp_path / "gone.csv")
    with pytest.raises(FileError, match=r"can't read .*: it is no regular file"):
        read_rows(tmp_path)


def test_windows_line_ends_are_read(tmp_path: Path) -> None:
    """A file that an editor saved with CR LF reads as the same rows."""
    file = tmp_path / "a.csv"
    file.write_bytes(GOOD.replace("\n", "\r\n").encode())
    assert read_rows(file) == [make_result(), make_result(kernel="copy")]


@pytest.mark.parametrize("content", ["text\n", b"\x89PNG\r\n"])
def test_a_file_is_replaced_whole(tmp_path: Path, content: str | bytes) -> None:
    """Text and bytes are written as they are, and nothing else is left behind."""
    file = tmp_path / "a.out"
    file.write_text("precious")
    write_file(file, content)
    assert file.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert lines(tmp_path) == ["a.out"]
