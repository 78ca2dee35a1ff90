"""Sizes and times as people write and read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.errors import UsageError
from bandmark.units import (
    _MAX_QUOTED,
    count_of,
    format_bytes,
    format_duration,
    format_seconds,
    json_text,
    parse_bytes,
    parse_duration,
    printable,
    quote,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64MiB", 64 * 2**20),
        ("64 mib", 64 * 2**20),
        ("1e8", 10**8),
        ("100MB", 10**8),
        ("1.5GB", 1_500_000_000),
        ("1.5GiB", 3 * 2**29),
        ("2K", 2000),
        ("2Ki", 2048),
        ("4096", 4096),
        (" 8 B ", 8),
        (".5k", 500),
        ("1", 1),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    """Plain numbers, decimal and binary units, in any case, with or without the B."""
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "0",
        "0MiB",
        "0.5",
        "-1",
        "-64MiB",
        "64TiBs",
        "64XB",
        "MiB",
        "1e",
        "1e-3",
        "0x10",
        "1,000",
        "nan",
        "inf",
        "1e999",
        "9e400GiB",
        "64 MiB x",
        "1 2",
    ],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    """Zero, negative, endless and unparsable sizes are refused, with the text and examples of what is accepted."""
    with pytest.raises(UsageError, match="is not a size") as refused:
        parse_bytes(text)
    assert repr(text) in str(refused.value)
    assert "64MiB" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("2h", 7200), ("3d", 259200), ("1.5 h", 5400), ("90", 90)]
)
def test_times_are_read(text: str, seconds: float) -> None:
    """Seconds, minutes, hours and days; a number alone is seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0.5s", "-1m", "10x", "m", "1h30m", "inf"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """Times below a second and unparsable ones are refused, with examples of what is accepted."""
    with pytest.raises(UsageError, match="10m"):
        parse_duration(text)


def test_long_times_are_written_in_a_large_unit() -> None:
    """The largest of which there are two."""
    texts = [format_duration(seconds) for seconds in (4.5, 90, 150, 5400, 9000, 259200)]
    assert texts == ["4.5 s", "90 s", "2.5 min", "90 min", "2.5 h", "3 d"]


def test_json_is_strict() -> None:
    """Numbers that JSON has not are refused, not written as NaN."""
    assert json_text({"a": [1, 2.5]}) == '{\n "a": [\n  1,\n  2.5\n ]\n}'
    with pytest.raises(ValueError, match="Out of range float"):
        json_text(float("nan"))


@given(st.integers(1, 2**45))
def test_whole_numbers_of_bytes_are_exact(size: int) -> None:
    """A number of bytes without a unit is read as it stands."""
    assert parse_bytes(str(size)) == size


@given(st.integers(1, 2**45))
def test_written_sizes_can_be_read_back(size: int) -> None:
    """What is shown reads back to within its three figures."""
    assert parse_bytes(format_bytes(size)) == pytest.approx(size, rel=0.006)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (805306368, "768 MiB"),
        (2**40, "1024 GiB"),
        (int(999.7 * 2**20), "1000 MiB"),
        (2**30 - 1, "1 GiB"),
    ],
)
def test_sizes_are_written_with_a_binary_unit(size: int, text: str) -> None:
    """The largest unit that leaves at least one, with three figures."""
    assert format_bytes(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.00123, "1.23 ms"),
        (0.127, "127 ms"),
        (2.5, "2.5 s"),
        (6.4e-4, "640 us"),
        (1.0, "1 s"),
        (0.9997, "1 s"),
        (9.997e-4, "1 ms"),
        (1234.5, "1234 s"),
    ],
)
def test_times_are_written(seconds: float, text: str) -> None:
    """A time has three figures and its best-reading unit."""
    assert format_seconds(seconds) == text


@pytest.mark.parametrize("text", ["\x1b[31mred", "two\nlines", "right-to-left \u202e", "bell\a", "\ud800", "\x00"])
def test_nothing_moves_the_terminal(text: str) -> None:
    """Control characters, invisible ones and lone surrogates are shown as escapes."""
    assert printable(text).isprintable() and quote(text).isprintable()


def test_plain_text_stays() -> None:
    """Letters of any script are shown as they are."""
    assert printable("Grüße, 東京 µs") == "Grüße, 東京 µs"


def test_quotes_are_short() -> None:
    """A long cell is cut, and its length is told."""
    assert quote("ab") == "'ab'"
    assert quote("x" * 1000) == "'" + "x" * (_MAX_QUOTED - 1) + "... (1002 characters)"


def test_counts_have_their_noun() -> None:
    """Of one thing the noun is in the singular."""
    assert [count_of(n, "run") for n in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]
