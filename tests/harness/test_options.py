"""The options of a run: one declaration, from which flags, keywords and settings follow."""

from __future__ import annotations

import argparse
from dataclasses import asdict, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.errors import UsageError
from bandmark.options import _HOW, _WHAT, RESULTS, RunOptions, add_arguments, from_arguments, from_keywords, names
from fakes import FakeBackend, make_session

FIELDS = {option.name: option for option in fields(RunOptions)}

EXAMPLES: dict[str, tuple[list[str], Any]] = {
    "suites": (["--suite", "bandwidth"], ("bandwidth",)),
    "backends": (["--backend", "numpy,torch"], ("numpy", "torch")),
    "kernels": (["--kernel", "copy, triad"], ("copy", "triad")),
    "dtypes": (["--dtype", "float32"], ("float32",)),
    "size_bytes": (["--size", "64MiB"], 64 * 2**20),
    "device": (["--device", "cuda:1"], "cuda:1"),
    "variants": (["--variant", "all"], ("all",)),
    "weights": (["--weights", "nvfp4,int8"], ("nvfp4", "int8")),
    "layer": (["--layer", "llama-3.1-8b"], "llama-3.1-8b"),
    "heads": (["--heads", "14,2,64"], (14, 2, 64)),
    "quick": (["--quick"], True),
    "time_limit_s": (["--time-limit", "5"], 5.0),
    "duration_s": (["--duration", "2h"], 7200.0),
    "threads": (["--threads", "2"], 2),
    "cpus": (["--cpus", "0-2,9"], (0, 1, 2, 9)),
    "seed": (["--seed", "7"], 7),
    "data": (["--data", "zeros"], "zeros"),
    "peak": (["--peak", "2x5600"], "2x5600"),
    "system": (["--system", "box"], "box"),
}
"""Each option on the command line, and its value."""


def parsed(*words: str) -> RunOptions:
    """The options of a command line."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return from_arguments(parser.parse_args(words))


@pytest.mark.parametrize("name", FIELDS)
def test_every_option_has_a_flag_a_group_and_help(name: str) -> None:
    """A flag in lower case, one of the three groups, and a line of help; an example of each is tested here."""
    metadata = FIELDS[name].metadata
    assert metadata["flag"].startswith("--") and metadata["flag"] == metadata["flag"].lower()
    assert metadata["group"] in (_WHAT, _HOW, RESULTS)
    assert 10 < len(metadata["help"]) < 100
    assert name in EXAMPLES


def test_flags_are_in_their_groups() -> None:
    """The help has each flag once, under the title of its group, and the groups are returned for other options."""
    parser = argparse.ArgumentParser()
    groups = add_arguments(parser)
    assert list(groups) == [_WHAT, _HOW, RESULTS]
    for title, group in groups.items():
        flags = [action.option_strings for action in group._group_actions]
        assert flags == [[o.metadata["flag"]] for o in FIELDS.values() if o.metadata["group"] == title]
    text = parser.format_help()
    assert all(text.count(f"\n  {option.metadata['flag']} ") == 1 for option in FIELDS.values())


def test_what_is_not_given_is_the_default_of_the_field() -> None:
    """A command line without flags, and a call without keywords, give the options as they are declared."""
    assert parsed() == from_keywords({}) == RunOptions()
    assert {name: option.default for name, option in FIELDS.items()} == asdict(RunOptions())


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_option_means_the_same_everywhere(name: str) -> None:
    """A flag, the keyword with its value, and the keyword with the flag's text give the same options and settings."""
    words, value = EXAMPLES[name]
    options = RunOptions(**{name: value})
    assert parsed(*words) == options == from_keywords({name: value})
    if len(words) > 1:
        text = words[1]
        takes_text = FIELDS[name].metadata.get("type") not in (int, float)
        assert not takes_text or from_keywords({name: text}) == options
    backend = FakeBackend()
    assert make_session([], [backend], options=options).record().to_json()["settings"][name] == value


def test_all_options_at_once() -> None:
    """Flags do not hide each other."""
    words = [word for example, _ in EXAMPLES.values() for word in example]
    assert parsed(*words) == RunOptions(**{name: value for name, (_, value) in EXAMPLES.items()})


@pytest.mark.parametrize(
    ("keywords", "options"),
    [
        ({"kernels": "triad"}, RunOptions(kernels=("triad",))),
        ({"kernels": "copy,triad"}, RunOptions(kernels=("copy", "triad"))),
        ({"kernels": ["copy", "triad"]}, RunOptions(kernels=("copy", "triad"))),
        ({"kernels": None, "peak": None}, RunOptions()),
        ({"dtypes": ["f64", "bf16", "float32"]}, RunOptions(dtypes=("float64", "bfloat16", "float32"))),
        ({"dtypes": "all"}, RunOptions(dtypes=("all",))),
        ({"size_bytes": 1e8}, RunOptions(size_bytes=100_000_000)),
        ({"size_bytes": "64 MiB"}, RunOptions(size_bytes=64 * 2**20)),
        ({"time_limit_s": 5}, RunOptions(time_limit_s=5)),
        ({"heads": (14, 2, 64)}, RunOptions(heads=(14, 2, 64))),
        ({"heads": [14, 2, 64]}, RunOptions(heads=(14, 2, 64))),
        ({"variants": (), "seed": 1}, RunOptions()),
    ],
)
def test_keywords_as_people_write_them(keywords: dict[str, Any], options: RunOptions) -> None:
    """A single name, a list, a size in words or as a float, and a peak as a number do as on the command line."""
    assert from_keywords(keywords) == options
    assert hash(from_keywords(keywords)) == hash(options)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"kernel": ("triad",)}, r"run\(\) has no option 'kernel'\. Did you mean 'kernels'\? The options are suites, "),
        ({"xyz": 1}, r"run\(\) has no option 'xyz'\. The options are "),
        ({"kernels": 7}, "kernels=7 is a int; it takes names"),
        ({"kernels": ","}, "kernels=',': ',' holds no name; it takes names"),
        ({"kernels": ()}, r"kernels=\(\): '' holds no name; it takes names"),
        ({"quick": 1}, "quick=1 is a int; it takes True or False"),
        ({"quick": "yes"}, "quick='yes' is a str; it takes True or False"),
        ({"quick": None}, "quick=None is a NoneType; it takes True or False"),
        ({"seed": True}, "seed=True is a bool; it takes a whole number"),
        ({"seed": 2.5}, r"seed=2\.5 is a float; it takes a whole number"),
        ({"seed": "x"}, "seed='x': .*; it takes a whole number"),
        ({"seed": None}, "seed=None is a NoneType; it takes a whole number"),
        ({"size_bytes": True}, "size_bytes=True is a bool; it takes a number of bytes, or a size such as '64MiB'"),
        ({"size_bytes": (1, 2)}, "size_bytes=.* is a tuple"),
        ({"time_limit_s": "soon"}, "time_limit_s='soon': .*; it takes a number"),
        ({"heads": 32}, "heads=32 is a int; it takes three whole numbers"),
        ({"peak": 76.8}, r"peak=76\.8 is a float; it takes text"),
        ({"device": 1}, "device=1 is a int; it takes text"),
    ],
)
def test_wrong_names_and_types_name_the_option(keywords: dict[str, Any], message: str) -> None:
    """A keyword that is none, or a value of another type, is a TypeError that names the option."""
    with pytest.raises(TypeError, match=message):
        from_keywords(keywords)


@pytest.mark.parametrize("size", ["-5", "big", "1e999", -5, 0, float("nan")])
def test_a_size_that_is_none(size: Any) -> None:
    """A size that can't be is refused in the same words as on the command line."""
    with pytest.raises(UsageError, match=f"{size}.* is not a size"):
        from_keywords({"size_bytes": size})


@given(st.lists(st.sampled_from(["copy", "triad", "all"]), min_size=1), st.sampled_from([",", ", ", " , ", ",,"]))
def test_names_are_split_at_commas(parts: list[str], comma: str) -> None:
    """Spaces around names, and empty ones, do not count."""
    assert names(comma.join(parts)) == tuple(parts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "ones"}, "unknown data 'ones'"),
        ({"peak": "fast"}, "--peak 'fast' is not a peak"),
        ({"seed": -1}, "--seed -1 is not a seed"),
        ({"time_limit_s": float("nan")}, "--time-limit nan must be a positive number of seconds"),
        ({"system": "My Box"}, "--system 'My Box': take lower-case letters"),
    ],
)
def test_values_that_no_run_takes(options: dict[str, Any], message: str) -> None:
    """Values are checked without a machine, and the message has the flag."""
    with pytest.raises(UsageError) as refused:
        RunOptions(**options).check()
    assert str(refused.value).startswith(message)


def test_heads_that_are_none() -> None:
    """Three positive numbers, or bad usage that says so."""
    for text in ("14,2", "a,b,c", "1,2,3,4", "0,1,2"):
        with pytest.raises(UsageError, match=f"--heads {text}: give query heads, KV heads and elements of a head"):
            parsed("--heads", text)
        with pytest.raises(UsageError, match=f"--heads {text}: give query heads"):
            from_keywords({"heads": text.split(",")})
