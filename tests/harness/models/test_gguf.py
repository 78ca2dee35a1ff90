"""GGUF files: bytes are counted from the header, and every malformed file is told in a sentence."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bandmark.decoding.step import step_of
from bandmark.errors import FileError
from bandmark.models.config import find_or_read
from bandmark.models.gguf_header import _BLOCKS
from bandmark.models.weights import FileModel

F32, F16, Q8_0, Q4_K, Q6_K, MXFP4 = 0, 1, 8, 12, 14, 39
Tensors = dict[str, tuple[tuple[int, ...], int]]


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def _value(value: Any) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    items = b"".join(_value(item)[4:] for item in value)
    return struct.pack("<II", 9, struct.unpack("<I", _value(value[0])[:4])[0]) + struct.pack("<Q", len(value)) + items


def gguf(keys: dict[str, Any], tensors: Tensors) -> bytes:
    """Return the header of a GGUF file with these keys and tensors (shape with the row first, and type)."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    pairs = b"".join(_text(key) + _value(value) for key, value in keys.items())
    infos = b"".join(
        _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, 0)
        for name, (shape, kind) in tensors.items()
    )
    return head + pairs + infos


KEYS: dict[str, Any] = {
    "general.architecture": "llama", "llama.block_count": 2, "llama.attention.head_count": 8,
    "llama.attention.head_count_kv": 2, "tokenizer.ggml.tokens": ["a", "bc"] * 1000,
}  # fmt: skip


def dense(layers: int = 2) -> Tensors:
    """Return the tensors of a small dense model of 256 x 512, with a separate output matrix."""
    tensors: Tensors = {"token_embd.weight": ((256, 1000), Q4_K), "output.weight": ((256, 1000), Q6_K)}
    tensors["output_norm.weight"] = ((256,), F32)
    for layer in range(layers):
        shapes = {"attn_q": 256, "attn_k": 64, "attn_v": 64, "attn_output": 256, "ffn_gate": 512, "ffn_up": 512}
        tensors |= {f"blk.{layer}.{name}.weight": ((256, rows), Q4_K) for name, rows in shapes.items()}
        tensors[f"blk.{layer}.ffn_down.weight"] = ((512, 256), Q6_K)
        tensors[f"blk.{layer}.attn_norm.weight"] = ((256,), F32)
    return tensors


def size_of(tensors: Tensors) -> float:
    """Return the bytes of some tensors."""
    return sum(np.prod(shape) / _BLOCKS[kind][0] * _BLOCKS[kind][1] for shape, kind in tensors.values())


def read(path: Path, data: bytes) -> FileModel:
    """Return the model of a file with these bytes."""
    path.write_bytes(data)
    model = find_or_read(str(path))
    assert isinstance(model, FileModel) and model.own_format
    return model


def test_a_dense_model_reads_what_its_tensors_have(tmp_path: Path) -> None:
    """A token reads every tensor but the embedding, exactly; the cache is as wide as keys and values."""
    model = read(tmp_path / "small.gguf", gguf(KEYS, dense()))
    read_by_token = {name: tensor for name, tensor in dense().items() if name != "token_embd.weight"}
    assert model.name == "small" and model.own_format
    assert model.own_format.bytes_read(model) == pytest.approx(size_of(read_by_token))
    assert model.parameters == sum(np.prod(shape) for shape, _ in dense().values())
    assert model.kv_bytes_per_token == 2 * 2 * 128 and model.kv_bytes(100) == 100 * 512
    assert step_of(model, model.own_format, context=0).weight_bytes == pytest.approx(size_of(read_by_token))


def test_a_tied_embedding_is_read_as_output_matrix(tmp_path: Path) -> None:
    """Without an output matrix the embedding is read whole for each token."""
    tensors = {name: tensor for name, tensor in dense().items() if name != "output.weight"}
    model = read(tmp_path / "tied.gguf", gguf(KEYS, tensors))
    assert model.own_format and model.own_format.bytes_read(model) == pytest.approx(size_of(tensors))
    assert model.tied and model.parameters == sum(np.prod(shape) for shape, _ in tensors.values())


def test_a_mixture_reads_the_experts_that_are_used(tmp_path: Path) -> None:
    """Of the experts' tensors a token reads those used, a batch more of them; memory holds all."""
    experts: Tensors = {
        f"blk.{layer}.ffn_{kind}_exps.weight": ((256, 256, 8), MXFP4)
        for layer in (0, 1)
        for kind in ("gate", "up", "down")
    }
    keys = {**KEYS, "llama.expert_count": 8, "llama.expert_used_count": 2}
    model = read(tmp_path / "moe.gguf", gguf(keys, dense() | experts))
    body = {name: tensor for name, tensor in dense().items() if name != "token_embd.weight"}
    assert model.own_format and (model.experts, model.moe_layers) == (8, 2)
    assert model.own_format.bytes_read(model) == pytest.approx(size_of(body) + size_of(experts) / 4)
    assert model.own_format.bytes_read(model, batch=1000) == pytest.approx(size_of(body) + size_of(experts), rel=1e-6)
    assert model.own_format.bytes_stored(model) >= size_of(body) + size_of(experts)


def test_windows_and_recurrent_layers(tmp_path: Path) -> None:
    """Layers that slide read a window; layers with a state have no cache, and move the state."""
    keys = {**KEYS, "general.architecture": "gemma3", "gemma3.attention.sliding_window": 100}
    model = read(tmp_path / "slide.gguf", gguf(keys, dense(6)))
    assert model.kv_bytes(1000) == 2 * 128 * (5 * 100 + 1000)
    listed = {**keys, "gemma3.attention.sliding_window_pattern": [True, False] * 3}
    model = read(tmp_path / "listed.gguf", gguf(listed, dense(6)))
    assert model.kv_bytes(1000) == 2 * 128 * 3 * (100 + 1000)
    tensors = dense(1) | {"blk.1.attn_qkv.weight": ((256, 1024), Q4_K), "blk.1.ssm_a": ((1, 8), F32)}
    state = {**KEYS, "llama.ssm.inner_size": 512, "llama.ssm.state_size": 128}
    model = read(tmp_path / "state.gguf", gguf(state, tensors))
    assert (model.linear_layers, model.state_bytes()) == (1, 2 * 4 * 512 * 128)
    assert model.kv_bytes(10) == 10 * 2 * 128


def test_latent_and_joint_caches(tmp_path: Path) -> None:
    """A latent cache is as wide as its projection; a joint query, key and value matrix is told apart by the heads."""
    tensors = {name: tensor for name, tensor in dense(1).items() if "attn_k" not in name and "attn_v" not in name}
    latent = tensors | {"blk.0.attn_kv_a_mqa.weight": ((256, 96), F16)}
    assert read(tmp_path / "mla.gguf", gguf(KEYS, latent)).kv_bytes(10) == 10 * 2 * 96
    joint = tensors | {"blk.0.attn_qkv.weight": ((256, 384), Q8_0)}
    assert read(tmp_path / "qkv.gguf", gguf(KEYS, joint)).kv_bytes(10) == 10 * 2 * (2 * 2 * 32)


def test_the_parts_of_a_split_file_count_together(tmp_path: Path) -> None:
    """Any part stands for all; a missing one is named."""
    tensors = list(dense().items())
    first, second = tmp_path / "big-00001-of-00002.gguf", tmp_path / "big-00002-of-00002.gguf"
    first.write_bytes(gguf(KEYS, dict(tensors[:5])))
    with pytest.raises(FileError, match="big-00002-of-00002"):
        find_or_read(str(first))
    model = read(second, gguf({}, dict(tensors[5:])))
    assert model.name == "big" and model.parameters == sum(np.prod(shape) for shape, _ in dense().values())


BROKEN = {
    "empty": (b"", "little-endian GGUF"),
    "other": (b"PK\x03\x04" * 10, "little-endian GGUF"),
    "big-endian": (b"GGUF\x00\x00\x00\x03" + bytes(16), "little-endian GGUF"),
    "version 1": (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 2 or 3"),
    "many tensors": (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0), "makes no sense"),
    "many keys": (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60), "makes no sense"),
    "long name": (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**60), "makes no sense"),
    "cut off": (gguf(KEYS, dense())[:-3], "cut off"),
    "nothing": (gguf({}, {}), "no architecture"),
    "twice": (gguf(KEYS, dense()).replace(b"0.attn_k.weight", b"0.attn_q.weight"), "attn_q.weight' stands there twice"),
    "no embedding": (gguf(KEYS, {"output.weight": ((256, 9), F16)}), "token_embd"),
    "unknown type": (gguf(KEYS, {"token_embd.weight": ((256, 9), 99)}), "type 99"),
    "no shape": (gguf(KEYS, {"token_embd.weight": ((), F16)}), "makes no sense"),
    "zero": (gguf(KEYS, {"token_embd.weight": ((0, 9), F16)}), "makes no sense"),
    "huge": (gguf(KEYS, {"token_embd.weight": ((2**40, 2**40), F16)}), "makes no sense"),
    "five": (gguf(KEYS, {"token_embd.weight": ((1,) * 5, F16)}), "dimensions"),
    "word": (gguf({**KEYS, "llama.expert_count": "x"}, dense()), "not a size"),
    "experts": (gguf(KEYS, dense() | {"blk.0.ffn_up_exps.weight": ((256, 256, 8), F16)}), "experts"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_malformed_files_are_told_in_a_sentence(name: str, tmp_path: Path) -> None:
    """What is wrong, and what to do, by the file's name."""
    data, words = BROKEN[name]
    path = tmp_path / "bad.gguf"
    path.write_bytes(data)
    with pytest.raises(FileError, match=rf"bad\.gguf.*{words}.*Name a whole GGUF"):
        find_or_read(str(path))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, a folder and a pipe are refused without waiting."""
    folder, pipe = tmp_path / "folder.gguf", tmp_path / "pipe.gguf"
    folder.mkdir()
    os.mkfifo(pipe)
    os.mkfifo(tmp_path / "config.json")
    for path in (folder, pipe, tmp_path / "config.json"):
        with pytest.raises(FileError, match="no regular file"):
            find_or_read(str(path))
    with pytest.raises(FileError, match="can't read"):
        find_or_read(str(tmp_path / "missing.gguf"))


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(4, 2000), st.integers(0, 255))
def test_any_changed_byte_is_a_model_or_a_sentence(tmp_path: Path, place: int, byte: int) -> None:
    """Whatever a byte of the header becomes, there is a model with positive counts or an error that names the file."""
    keys = {**KEYS, "tokenizer.ggml.tokens": ["a"], "llama.expert_count": 0}
    data = bytearray(gguf(keys, dense()))
    data[place % len(data)] = byte
    path = tmp_path / "any.gguf"
    path.write_bytes(data)
    fault = ""
    try:
        model = find_or_read(str(path))
    except FileError as error:
        fault = str(error)
    if fault:
        assert "any.gguf" in fault
    else:
        assert model.active_parameters > 0 and model.kv_bytes(1000) >= 0
