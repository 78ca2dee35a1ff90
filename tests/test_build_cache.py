"""The cache of compiled test programs builds a file once, whoever asks, and never keeps half of one."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest

from build_cache import cached


def _build_slowly(folder: Path) -> None:
    def build(draft: Path) -> None:
        with open(folder / "builds", "a") as log:
            log.write("one\n")
        time.sleep(0.2)
        draft.write_text("built")

    assert cached(".txt", "same", build, folder / "cache").read_text() == "built"


def test_processes_that_ask_at_once_build_once(tmp_path: Path) -> None:
    """The first builds under a lock, the others wait for its file."""
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_build_slowly, args=(tmp_path,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert (tmp_path / "builds").read_text() == "one\n"


def test_the_name_follows_from_everything_that_matters(tmp_path: Path) -> None:
    """Another source, compiler or kind of file is another file; the same again is not built."""
    keys = [
        (".a", ("text", "g++ 12")),
        (".a", ("text", "g++ 13")),
        (".a", ("other", "g++ 12")),
        (".b", ("text", "g++ 12")),
    ]
    files = {cached(suffix, key, lambda draft: draft.write_text("x") and None, tmp_path) for suffix, key in keys}
    assert len(files) == 4

    def never(draft: Path) -> None:
        raise AssertionError("built again")

    assert {cached(suffix, key, never, tmp_path) for suffix, key in keys} == files


def test_a_failed_build_leaves_no_file(tmp_path: Path) -> None:
    """What a build wrote before it failed is not taken for its result."""

    def fail(draft: Path) -> None:
        draft.write_text("half")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        cached(".txt", 1, fail, tmp_path)
    assert cached(".txt", 1, lambda draft: draft.write_text("whole") and None, tmp_path).read_text() == "whole"
