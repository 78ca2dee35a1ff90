"""config.json of Hugging Face: the shapes it gives, and what it refuses, by the field's name."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandmark.errors import FileError
from bandmark.models import config
from bandmark.models.config import _to_model, find_or_read
from bandmark.models.model import Model, find_model
from bandmark.models.weights import FileModel

LLAMA: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32,
    "num_hidden_layers": 32, "num_key_value_heads": 8, "vocab_size": 128256, "tie_word_embeddings": False,
}  # fmt: skip

CONFIGS: dict[str, dict[str, Any]] = {
    "llama-3.1-8b": LLAMA,
    "qwen2.5-7b": {
        "model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "num_attention_heads": 28,
        "num_hidden_layers": 28, "num_key_value_heads": 4, "vocab_size": 152064, "sliding_window": 131072,
        "use_sliding_window": False, "tie_word_embeddings": False,
    },
    "qwen3-30b-a3b": {
        "model_type": "qwen3_moe", "hidden_size": 2048, "intermediate_size": 6144, "moe_intermediate_size": 768,
        "num_attention_heads": 32, "num_hidden_layers": 48, "num_key_value_heads": 4, "head_dim": 128,
        "num_experts": 128, "num_experts_per_tok": 8, "decoder_sparse_step": 1, "mlp_only_layers": [],
        "vocab_size": 151936, "tie_word_embeddings": False, "sliding_window": None,
    },
    "mixtral-8x7b": {
        "model_type": "mixtral", "hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32,
        "num_hidden_layers": 32, "num_key_value_heads": 8, "num_local_experts": 8, "num_experts_per_tok": 2,
        "vocab_size": 32000, "tie_word_embeddings": False,
    },
    "gpt-oss-20b": {
        "model_type": "gpt_oss", "hidden_size": 2880, "intermediate_size": 2880, "num_attention_heads": 64,
        "num_hidden_layers": 24, "num_key_value_heads": 8, "head_dim": 64, "num_local_experts": 32,
        "num_experts_per_tok": 4, "sliding_window": 128, "vocab_size": 201088, "tie_word_embeddings": False,
        "layer_types": ["sliding_attention", "full_attention"] * 12,
    },
    "deepseek-v3": {
        "model_type": "deepseek_v3", "hidden_size": 7168, "intermediate_size": 18432, "moe_intermediate_size": 2048,
        "num_attention_heads": 128, "num_hidden_layers": 61, "num_key_value_heads": 128, "head_dim": 128,
        "n_routed_experts": 256, "n_shared_experts": 1, "num_experts_per_tok": 8, "first_k_dense_replace": 3,
        "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
        "vocab_size": 129280, "tie_word_embeddings": False,
    },
    "gemma-3-4b": {
        "model_type": "gemma3",
        "text_config": {
            "model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34,
            "sliding_window": 1024,
        },
    },
    "qwen3.5-27b": {
        "model_type": "qwen3_5", "tie_word_embeddings": False,
        "text_config": {
            "hidden_size": 5120, "intermediate_size": 17408, "num_attention_heads": 24, "num_key_value_heads": 4,
            "head_dim": 256, "num_hidden_layers": 64, "vocab_size": 248320, "full_attention_interval": 4,
            "linear_num_key_heads": 16, "linear_num_value_heads": 48, "linear_key_head_dim": 128,
            "linear_value_head_dim": 128, "attn_output_gate": True,
        },
    },
}  # fmt: skip
"""Configs as the models' makers publish them, without the fields that do not concern the shape."""


def shape(model: Model) -> dict[str, Any]:
    """Return the fields that every model has."""
    return {field.name: getattr(model, field.name) for field in fields(Model)}


def model_from(values: Any) -> Model:
    """Return the model of these fields."""
    return _to_model(values, name="m", file="config.json")


@pytest.mark.parametrize("name", CONFIGS)
def test_published_configs_are_the_tables_models(name: str, tmp_path: Path) -> None:
    """A model's config.json has the parameters and the cache of the table's row, and is named after its folder."""
    file = tmp_path / name / "config.json"
    file.parent.mkdir()
    file.write_text(json.dumps(CONFIGS[name]))
    read, known = find_or_read(str(file)), find_model(name)
    assert read.name == name
    assert (read.parameters, read.active_parameters) == (known.parameters, known.active_parameters)
    assert [read.kv_bytes(c) for c in (0, 100, 5000, 10**6)] == [known.kv_bytes(c) for c in (0, 100, 5000, 10**6)]
    assert read.state_bytes() == known.state_bytes()


@pytest.mark.parametrize("field", ["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"])
@pytest.mark.parametrize("value", [None, 0, -1, 1.5, "4096", True, [], 10**9])
def test_missing_and_nonsensical_fields_are_named(field: str, value: Any) -> None:
    """A field that is missing or is no positive whole number is named in the error."""
    with pytest.raises(FileError, match=f"config.json: field '{field}'"):
        model_from({**LLAMA, field: value})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"num_key_value_heads": 5}, "num_key_value_heads"),
        ({"num_attention_heads": 24}, "num_attention_heads"),
        ({"head_dim": 0}, "head_dim"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings"),
        ({"num_experts": 8}, "num_experts_per_tok"),
        ({"num_experts": 8, "num_experts_per_tok": 9}, "num_experts_per_tok"),
        ({"num_experts": 8, "num_experts_per_tok": 2, "first_k_dense_replace": 33}, "num_hidden_layers"),
        ({"num_experts": 8, "num_experts_per_tok": 2, "first_k_dense_replace": -1}, "at least 0"),
        ({"kv_lora_rank": 512}, "qk_nope_head_dim"),
        ({"layer_types": ["full_attention"]}, "layer_types"),
        ({"layer_types": ["sliding_attention"] * 32}, "sliding_window"),
        ({"model_type": "mamba2"}, "mamba2"),
        ({"model_type": "bert"}, "'bert', which is none of the"),
        ({"model_type": None}, "model_type"),
        ({"layer_types": ["conv"] * 16 + ["full_attention"] * 16}, "layer_types' has conv"),
        ({"layer_types": ["mamba"] * 16 + ["full_attention"] * 16}, "mamba_n_heads"),
        ({"num_hidden_layers": 10**7}, "num_hidden_layers"),
        ({"num_attention_heads": [32] * 31 + [16]}, "num_attention_heads"),
    ],
)
def test_fields_that_contradict_each_other(changes: dict[str, Any], named: str) -> None:
    """What does not go together is refused, by the field's name."""
    with pytest.raises(FileError, match=named):
        model_from({**LLAMA, **changes})


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"config"', "[" * 100000])
def test_files_that_are_no_config(text: str, tmp_path: Path) -> None:
    """A file that is no JSON object is refused, by its name."""
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(FileError, match=r"config\.json"):
        find_or_read(str(file))
    with pytest.raises(FileError, match="can't read"):
        find_or_read(str(tmp_path / "missing.json"))


def test_binary_files_are_refused(tmp_path: Path) -> None:
    """A file of weights given instead of its config is refused and not decoded."""
    file = tmp_path / "model.safetensors"
    file.write_bytes(bytes(range(256)))
    with pytest.raises(FileError, match="is not JSON"):
        find_or_read(str(file))


@pytest.mark.parametrize(("experts", "every", "billions"), [(16, 1, 107.8), (128, 2, 400.7)])
def test_llama_4_by_its_own_names(experts: int, every: int, billions: float) -> None:
    """Scout and Maverick: expert width, dense width, a shared expert, every or every second layer with experts."""
    fields = {"num_local_experts": experts, "num_experts_per_tok": 1, "interleave_moe_layer_step": every}
    sizes = {"hidden_size": 5120, "intermediate_size": 8192, "intermediate_size_mlp": 16384, "num_hidden_layers": 48}
    heads = {"num_attention_heads": 40, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 202048}
    text = {"model_type": "llama4_text", **fields, **sizes, **heads, "tie_word_embeddings": False}
    model = model_from({"model_type": "llama4", "text_config": text})
    assert model.parameters / 1e9 == pytest.approx(billions, rel=0.005)
    assert model.active_parameters / 1e9 == pytest.approx(16.2, rel=0.02)
    assert (model.window, model.whole_context_layers) == (8192, 12)


def test_windows_by_the_family() -> None:
    """A window without a list of layers: all layers of Mistral's, every second of Gemma 2's."""
    mistral = model_from({**LLAMA, "model_type": "mistral", "sliding_window": 4096})
    assert (mistral.whole_context_layers, mistral.window) == (0, 4096)
    gemma2 = model_from({**LLAMA, "model_type": "gemma2", "sliding_window": 4096})
    assert gemma2.whole_context_layers == 16
    assert model_from({**LLAMA, "sliding_window": None}).whole_context_layers == 32


def test_tied_where_the_file_does_not_say() -> None:
    """Without the field, the family's default holds: tied in Gemma, not in Llama."""
    bare = {k: v for k, v in LLAMA.items() if k != "tie_word_embeddings"}
    assert model_from(bare).tied is False and model_from({**bare, "model_type": "gemma"}).tied is True
    assert shape(model_from(LLAMA)) == {**shape(find_model("llama-3.1-8b")), "name": "m"}


def test_a_name_or_a_file(tmp_path: Path) -> None:
    """A name of the table is found there; a folder, a path or a name that ends in .json is read as a config."""
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    assert find_or_read("llama-3.1-8b") is find_model("llama-3.1-8b")
    assert find_or_read(str(tmp_path)) == find_or_read(str(tmp_path / "config.json"))
    assert find_or_read(str(tmp_path)).name == tmp_path.name
    with pytest.raises(FileError, match=r"can't read missing\.json"):
        find_or_read("missing.json")


JSON = st.none() | st.booleans() | st.integers(-5, 5000) | st.floats() | st.text(max_size=5) | st.lists(st.integers())


@settings(deadline=None)
@given(st.sampled_from(sorted(CONFIGS)), st.data())
def test_any_change_is_a_model_or_a_named_fault(name: str, data: st.DataObject) -> None:
    """Whatever stands in a field, there is a model with positive counts or an error that names the file."""
    values = dict(CONFIGS[name])
    values[data.draw(st.sampled_from(sorted(values)))] = data.draw(JSON)
    fault = ""
    try:
        model = model_from(values)
    except FileError as error:
        fault = str(error)
    if fault:
        assert fault.startswith("config.json: ")
    else:
        assert 0 < model.active_parameters <= model.parameters
        assert model.kv_bytes(1000) >= 0


KINDS: dict[str, tuple[dict[str, Any], float, float]] = {
    "experts by other names": (
        {"model_type": "ernie4_5_moe", "hidden_size": 2560, "intermediate_size": 12288, "moe_intermediate_size": 1536,
         "moe_k": 6, "moe_layer_start_index": 1, "moe_num_experts": 64, "moe_num_shared_experts": 2,
         "num_attention_heads": 20, "num_hidden_layers": 28, "num_key_value_heads": 4, "vocab_size": 103424},
        21.825, 3.352,
    ),
    "a list of equal sizes": (
        {"model_type": "hunyuan_v1_moe", "hidden_size": 4096, "head_dim": 128, "intermediate_size": 3072,
         "moe_intermediate_size": [3072] * 32, "moe_topk": [8] * 32, "num_shared_expert": [1] * 32, "num_experts": 64,
         "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "vocab_size": 128167,
         "tie_word_embeddings": True},
        80.39, 12.75,
    ),
    "shared experts by another name": (
        {"model_type": "exaone_moe", "hidden_size": 4096, "intermediate_size": 16384, "moe_intermediate_size": 1024,
         "num_experts": 64, "num_experts_per_tok": 8, "num_shared_experts": 1, "num_attention_heads": 32,
         "num_hidden_layers": 32, "vocab_size": 102400, "mlp_layer_types": ["dense"] + ["sparse"] * 31},
        28.55, 6.29,
    ),
    "no gate": (
        {"model_type": "starcoder2", "hidden_size": 4608, "intermediate_size": 18432, "num_attention_heads": 36,
         "num_hidden_layers": 32, "num_key_value_heads": 4, "vocab_size": 49152},
        7.173, 7.173,
    ),
    "other names and a default width": (
        {"model_type": "gptj", "n_embd": 4096, "n_layer": 28, "n_head": 16, "vocab_size": 50400}, 6.05, 5.84,
    ),
    "recurrent layers and experts": (
        {"model_type": "granitemoehybrid", "hidden_size": 4096, "intermediate_size": 768, "num_attention_heads": 32,
         "layer_types": (["mamba"] * 9 + ["attention"]) * 4, "mamba_d_head": 64, "mamba_d_state": 128,
         "mamba_n_groups": 1, "mamba_n_heads": 128, "num_experts_per_tok": 10, "num_hidden_layers": 40,
         "num_key_value_heads": 8, "num_local_experts": 72, "shared_intermediate_size": 1536,
         "tie_word_embeddings": True, "vocab_size": 100352},
        32.2, 8.8,
    ),
    "a dense model of a hybrid family": (
        {"model_type": "granitemoehybrid", "hidden_size": 2560, "intermediate_size": 8192, "num_attention_heads": 40,
         "layer_types": ["attention"] * 40, "num_hidden_layers": 40, "num_key_value_heads": 8, "num_local_experts": 0,
         "shared_intermediate_size": 8192, "tie_word_embeddings": True, "vocab_size": 100352},
        3.40, 3.40,
    ),
}  # fmt: skip
"""Kinds of configs that were read wrongly, with the billions of parameters in all and read for a token."""


@pytest.mark.parametrize("name", KINDS)
def test_kinds_of_architectures(name: str) -> None:
    """Each kind has the parameters that its maker's class has, within 1 %."""
    values, billions, active = KINDS[name]
    model = model_from(values)
    assert model.parameters / 1e9 == pytest.approx(billions, rel=0.01)
    assert model.active_parameters / 1e9 == pytest.approx(active, rel=0.01)


def test_sparse_attention_reads_what_its_index_chooses() -> None:
    """DeepSeek V3.2 reads 2048 tokens of cache and a key of one byte a value for each token; memory holds all."""
    dense = model_from(CONFIGS["deepseek-v3"])
    sparse = model_from(
        {**CONFIGS["deepseek-v3"], "model_type": "deepseek_v32", "index_topk": 2048, "index_head_dim": 128,
         "index_n_heads": 64}
    )  # fmt: skip
    assert sparse.kv_bytes(100_000) == dense.kv_bytes(2048) + 61 * 128 * 100_000
    assert sparse.kv_bytes(1000) == dense.kv_bytes(1000) + 61 * 128 * 1000
    assert sparse.kv_stored(100_000) == dense.kv_bytes(100_000) + 61 * 128 * 100_000
    assert 0.8e9 < sparse.parameters - dense.parameters < 0.9e9


def test_windows_that_are_not_used() -> None:
    """Qwen's window counts where the file says so, from a layer on; Llama has none whatever the file says."""
    qwen = {**LLAMA, "model_type": "qwen2", "sliding_window": 1000}
    assert model_from(qwen).window is None and model_from({**LLAMA, "sliding_window": 1000}).window is None
    used = model_from({**qwen, "use_sliding_window": True, "max_window_layers": 20})
    assert (used.whole_context_layers, used.window) == (20, 1000)
    exaone = model_from({**LLAMA, "model_type": "exaone4", "sliding_window": 1000, "sliding_window_pattern": "LLLG"})
    assert exaone.whole_context_layers == 8


def test_unknown_layers_are_refused_or_assumed_dense() -> None:
    """What is not in the table is refused with the way out; assumed dense it is counted, and marked in its name."""
    strange = {**LLAMA, "model_type": "strange", "num_experts": 8, "layer_types": ["conv"] * 32}
    with pytest.raises(FileError, match=r"'strange', which is none of the \d+ architectures.*\.gguf.*--assume dense"):
        model_from(strange)
    model = _to_model(strange, name="m", file="config.json", assume_dense=True)
    assert model.name == "m (assumed dense)" and model.parameters == find_model("llama-3.1-8b").parameters
    assert isinstance(model, FileModel) and "--assume dense" in model.notes[0]


def test_both_parts_of_an_image_model_are_known() -> None:
    """A language model within an unknown model of images is refused, within a known one it is read."""
    inner = {"text_config": {**LLAMA, "model_type": "mistral"}}
    assert model_from({"model_type": "mistral3", **inner}).layers == 32
    with pytest.raises(FileError, match="unheard_of"):
        model_from({"model_type": "unheard_of", **inner})


def test_huge_files_are_refused(tmp_path: Path) -> None:
    """A file of weights under a config's name is not read whole."""
    file = tmp_path / "config.json"
    with file.open("wb") as sparse:
        sparse.truncate(2**34)
    with pytest.raises(FileError, match="larger than any config"):
        find_or_read(str(file))


def test_the_files_own_format_comes_with_the_model() -> None:
    """quantization_config gives the model its format and its cache; without one there is none."""
    model = model_from({**LLAMA, "quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128}})
    assert isinstance(model, FileModel) and model.own_format and model.own_format.name == "awq-int4"
    narrow = model_from({**LLAMA, "quantization_config": {"quant_method": "fp8", "kv_cache_scheme": {"num_bits": 8}}})
    assert narrow.kv_bytes(1000) * 2 == model.kv_bytes(1000)
    plain = model_from(LLAMA)
    assert isinstance(plain, FileModel) and plain.own_format is None and plain.notes == ()


def test_a_file_is_read_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that asks for a model several times opens its file once; a file that has changed is read anew."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps(LLAMA))
    first = find_or_read(str(file))
    monkeypatch.setattr(config, "_read_config", lambda *wanted: pytest.fail("read again"))
    assert find_or_read(str(file)) is first
    monkeypatch.undo()
    file.write_text(json.dumps({**LLAMA, "num_hidden_layers": 16}))
    assert find_or_read(str(file)).layers == 16


def test_the_whole_models_word_on_its_output_matrix_counts() -> None:
    """Where a model of images and its language model differ on the output matrix, the outer one is what is built."""
    inner = {"text_config": {**LLAMA, "model_type": "qwen3_vl_moe_text", "tie_word_embeddings": True}}
    assert model_from({"model_type": "qwen3_vl_moe", "tie_word_embeddings": False, **inner}).tied is False
    assert model_from({"model_type": "qwen3_vl_moe", **inner}).tied is True


def test_one_expert_beside_a_shared_one() -> None:
    """A single routed expert counts where a shared one stands beside it, as in Hunyuan's default."""
    sizes = {"num_experts": 1, "moe_topk": 1, "intermediate_size": 14336}
    alone = model_from(LLAMA)
    beside = model_from({**LLAMA, "model_type": "hunyuan_v1_moe", **sizes})
    assert beside.parameters == alone.parameters + 32 * (3 * 4096 * 14336 + 4096)


@pytest.mark.parametrize(
    ("changes", "dense"),
    [
        ({"mlp_only_layers": [0, 1]}, 2),
        ({"mlp_only_layers": [0, 0, 0]}, 1),
        ({"mlp_only_layers": [500, 501]}, 0),
        ({"decoder_sparse_step": 2}, 24),
        ({"decoder_sparse_step": 2, "mlp_only_layers": [0, 1]}, 25),
    ],
)
def test_dense_layers_of_a_mixture(changes: dict[str, Any], dense: int) -> None:
    """Layers that are named, each once, and those off the step (transformers, modeling_qwen3_moe.py)."""
    assert model_from({**CONFIGS["qwen3-30b-a3b"], **changes}).dense_layers == dense
