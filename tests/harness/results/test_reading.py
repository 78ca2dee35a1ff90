"""Whatever a file is, reading it gives its contents or a sentence about it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bandmark.errors import FileError, UsageError
from bandmark.results import reading
from bandmark.results.reading import decode, parse_json, read_bytes, result_files, walk

FILE = Path("run.json")


def attempt(read: Callable[[Path, bytes], Any], data: bytes) -> tuple[Any, str | None]:
    """What a reader made of some bytes, and what it said if it refused them."""
    try:
        return read(FILE, data), None
    except FileError as error:
        return None, str(error)


def test_a_file_is_read(tmp_path: Path) -> None:
    """The bytes of a regular file come back as they are."""
    (tmp_path / "a.csv").write_bytes(b"a,b\n")
    assert read_bytes(tmp_path / "a.csv") == b"a,b\n"


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    """A pipe is refused and not waited for; so are folders, devices, and names that are missing, huge or odd."""
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, Path(os.devnull)):
        with pytest.raises(FileError, match="no regular file"):
            read_bytes(path)
    for path in (tmp_path / "none.csv", tmp_path / ("x" * 300), tmp_path / "a\0b"):
        with pytest.raises(FileError, match="can't read"):
            read_bytes(path)


def test_a_huge_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files above the limit are refused by their size, which the message tells."""
    monkeypatch.setattr(reading, "_MAX_BYTES", 3)
    (tmp_path / "a.csv").write_bytes(b"1234")
    with pytest.raises(FileError, match="4 bytes"):
        read_bytes(tmp_path / "a.csv")


@given(st.binary(max_size=200))
def test_any_bytes_are_text_or_a_message(data: bytes) -> None:
    """Bytes are UTF-8 text without zeros and byte order marks, or the message says what they are."""
    text, message = attempt(decode, data)
    if message is None:
        assert text and text.encode() == data and "\0" not in text
    else:
        assert message.isprintable()


@given(st.binary(max_size=100))
def test_any_bytes_are_json_or_a_message(data: bytes) -> None:
    """Nothing but a FileError leaves the parser."""
    _, message = attempt(parse_json, data)
    assert message is None or message.startswith("run.json:")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_json_comes_back(value: object) -> None:
    """What json.dumps writes is read again."""
    assert parse_json(FILE, json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("NaN", "NaN is no JSON number"),
        ("[Infinity]", "Infinity is no JSON number"),
        ("1" * 5000, "5000 digits"),
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' stands there twice"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": 1', "truncated"),
    ],
)
def test_what_is_no_strict_json(text: str, message: str) -> None:
    """Numbers that are none, keys that stand twice, endless digits and depth are told."""
    with pytest.raises(FileError, match=message):
        parse_json(FILE, text.encode())


def test_many_keys_take_linear_time() -> None:
    """A key that stands twice is found among 200,000 without comparing each with all."""
    pairs = ",".join(f'"k{i}":0' for i in range(200_000))
    with pytest.raises(FileError, match="twice"):
        parse_json(FILE, f'{{{pairs},"k199999":1}}'.encode())


def test_files_below_folders(tmp_path: Path) -> None:
    """Each CSV once and in order; hidden files, such as those that macOS leaves, and hidden folders are left out."""
    for name in ("b.csv", "a.csv", "._a.csv", "x/c.csv", ".git/d.csv", "x/e.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    files = result_files([tmp_path, tmp_path / "a.csv"])
    assert [str(file.relative_to(tmp_path)) for file in files] == ["a.csv", "b.csv", "x/c.csv"]
    assert len(list(walk(tmp_path))) == 4


def test_nothing_to_read(tmp_path: Path) -> None:
    """A path that is missing, and a folder without results, are named."""
    for path, message in ((tmp_path / "none", "does not exist"), (tmp_path, "holds no result files")):
        with pytest.raises(UsageError, match=message):
            result_files([path])


def test_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unreadable subfolder is told, not skipped."""
    (tmp_path / "a.csv").touch()
    (tmp_path / "closed").mkdir()
    real = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(FileError, match=r"closed: Permission denied"):
        result_files([tmp_path])
