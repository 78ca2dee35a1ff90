"""The one way into a CSV: what is no text or no result is named for what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from bandmark.errors import FileError
from bandmark.results.files import read_rows
from bandmark.results.reading import InvalidFile, decode, read_sheet
from corpus import good_run

TEXT = good_run(kernels=("copy",))[0]


def write(folder: Path, data: bytes) -> Path:
    """Write a file."""
    file = folder / "run.csv"
    file.write_bytes(data)
    return file


def test_lines_have_their_numbers(tmp_path: Path) -> None:
    """Each row has the line on which it begins, also after a cell of several lines."""
    head, first, second = TEXT.splitlines(keepends=True)
    text = head + first.replace('"Fake CPU, 1 kB"', '"Fake\nCPU\n"') + second
    sheet = read_sheet(write(tmp_path, text.encode()))
    assert [line for line, _ in sheet.lines] == [2, 5]
    assert sheet.header[:2] == ["schema", "run_id"]


def test_data_that_was_read_is_not_read_again(tmp_path: Path) -> None:
    """With the contents given, the file is not opened."""
    assert len(read_sheet(tmp_path / "none.csv", TEXT.encode()).lines) == 2


def test_the_reader_of_rows_is_the_same(tmp_path: Path) -> None:
    """What a sheet refuses, read_rows refuses in the same words; line ends and unknown columns it takes."""
    file = write(tmp_path, b"\xff\xfe" + TEXT.encode("utf-16-le"))
    with pytest.raises(FileError, match="a byte 0 at 3: binary data, or another encoding"):
        read_rows(file)
    rows = read_rows(write(tmp_path, TEXT.encode()))
    assert read_rows(write(tmp_path, TEXT.replace("\n", "\r\n").encode())) == rows


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbfa", "byte order mark"),
        (b"a\nb\nc\xff\n", r"run\.csv:3: byte 5 is not UTF-8"),
        (b"\x1f\x8b\x00", "a byte 0 at 2: binary data"),
        (b"PK\x03\x04\x00", "a byte 0 at 4: binary data"),
        (b"a\x00b", "a byte 0 at 1"),
    ],
)
def test_what_is_no_text(data: bytes, said: str) -> None:
    """Bytes that are no UTF-8 text are refused, with the place."""
    with pytest.raises(InvalidFile, match=said):
        decode(Path("run.csv"), data)


def test_what_can_not_be_read(tmp_path: Path) -> None:
    """A missing file, a folder and an impossible name are errors of files."""
    for path in (tmp_path / "none.csv", tmp_path, Path("a\0b")):
        with pytest.raises(FileError, match="can't read"):
            read_sheet(path)
