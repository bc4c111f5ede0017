from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qwen3_tts_live.errors import InvalidRequestError
from qwen3_tts_live.model.checkpoint import Checkpoint, load_checkpoint
from qwen3_tts_live.model.contract import Sampling
from qwen3_tts_live.model.qwen_tts import load_qwen_tts
from qwen3_tts_live.voices.voice import VoiceRegistry

Checkpoints = Callable[..., Path]


def load(folder: Path, dtype: torch.dtype = torch.float32) -> Checkpoint:
    return load_checkpoint(folder, device="cpu", dtype=dtype)


def official(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    return load_qwen_tts().Qwen3TTSModel.from_pretrained(str(folder), dtype=dtype)


def noise(seconds: float) -> np.ndarray:
    samples = np.random.default_rng(0).normal(0, 0.1, round(seconds * 24_000))
    return samples.astype(np.float32)


@pytest.fixture(scope="module")
def base(tiny_base: Path) -> Checkpoint:
    return load(tiny_base)


@pytest.fixture(scope="module")
def official_base(tiny_base: Path) -> Any:
    return official(tiny_base)


# ---------------------------------------------------------------- what it says of itself


def test_a_base_checkpoint_says_what_it_is(base: Checkpoint) -> None:
    assert base.model_type == "base"
    assert not base.takes_instruct
    assert base.hidden_size == 32
    assert base.speakers == ()
    assert base.languages["english"] == 2050 and len(base.languages) == 10
    assert (base.device, base.dtype) == (torch.device("cpu"), torch.float32)


def test_a_custom_voice_checkpoint_has_speakers_and_their_dialects(tiny_custom_voice: Path) -> None:
    checkpoint = load(tiny_custom_voice)
    assert checkpoint.takes_instruct
    registry = VoiceRegistry("custom_voice", 32, checkpoint.speakers, checkpoint.languages)
    assert registry.get("Ryan").speaker_id == 3061
    assert registry.language_id("Chinese", registry.get("ryan")) == 2055
    assert registry.language_id("Auto", registry.get("eric")) == 2062


@pytest.mark.parametrize(
    ("model_type", "size", "takes"),
    [("custom_voice", "0b6", False), ("voice_design", "1b7", True)],
)
def test_who_follows_instructions_is_who_does_in_the_official_package(
    checkpoint_at: Checkpoints, model_type: str, size: str, takes: bool
) -> None:
    folder = checkpoint_at(model_type=model_type, size=size)
    assert load(folder).takes_instruct == takes


def test_its_sampling_is_what_its_file_says(base: Checkpoint, tiny_base: Path, copy: Path) -> None:
    assert base.sampling == Sampling()
    path = copy / "generation_config.json"
    path.write_text(
        json.dumps({"do_sample": False, "top_k": 7, "subtalker_temperature": 0.4, "top_p": None})
    )
    assert load(copy).sampling == Sampling(greedy=True, top_k=7, predictor_temperature=0.4)


def test_the_talker_has_the_asked_precision_and_the_codec_full_precision(tiny_base: Path) -> None:
    checkpoint = load(tiny_base, torch.bfloat16)
    assert {weight.dtype for weight in checkpoint.talker.parameters()} == {torch.bfloat16}
    assert {weight.dtype for weight in checkpoint.codec.parameters()} == {torch.float32}
    assert checkpoint.dtype == torch.bfloat16


# ---------------------------------------------------------------- reference audio


@pytest.mark.parametrize("seconds", [0.5, 0.96, 1.313])
def test_a_reference_becomes_what_the_official_package_makes_of_it(
    base: Checkpoint, official_base: Any, seconds: float
) -> None:
    samples = noise(seconds)
    (item,) = official_base.create_voice_clone_prompt((samples, 24_000), ref_text="Hi.")
    embedding, codes = base.encode_speaker(samples), base.encode_reference(samples)
    assert (embedding.dtype, embedding.shape) == (np.float32, (32,))
    assert np.array_equal(embedding, item.ref_spk_embedding.numpy())
    assert (codes.dtype, codes.shape) == (np.int64, (-(-len(samples) // 1920), 16))
    assert np.array_equal(codes, item.ref_code.numpy())


def test_in_bf16_the_embedding_is_the_official_one_too(tiny_base: Path) -> None:
    samples = noise(0.7)
    (item,) = official(tiny_base, torch.bfloat16).create_voice_clone_prompt(
        (samples, 24_000), x_vector_only_mode=True
    )
    embedding = load(tiny_base, torch.bfloat16).encode_speaker(samples)
    assert np.array_equal(embedding, item.ref_spk_embedding.float().numpy())


def test_references_are_encoded_after_the_official_modules_are_gone(tiny_base: Path) -> None:
    checkpoint = load(tiny_base)
    samples = noise(0.5)
    embedding, codes = checkpoint.encode_speaker(samples), checkpoint.encode_reference(samples)
    checkpoint.release_modules()
    assert checkpoint.talker is None and checkpoint.codec is None
    assert np.array_equal(checkpoint.encode_speaker(samples), embedding)
    assert np.array_equal(checkpoint.encode_reference(samples), codes)


def test_only_a_base_checkpoint_clones(tiny_custom_voice: Path) -> None:
    with pytest.raises(InvalidRequestError, match="only Base"):
        load(tiny_custom_voice).encode_speaker(noise(0.5))


# ---------------------------------------------------------------- text

# A prompt that begins with a line break, or that has a special token in it, is cut otherwise;
# the first is stripped, the second is what plain text is for.
texts = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("ab eing'.\n 你好iPhone")),
    min_size=1,
    max_size=40,
).map(str.strip)


@given(texts)
@example("the weather, isn't it?")
@example("iPhone 你好。\n\nNo.")
@example("e\u0301 \u1100\u1161")
@settings(max_examples=100)
def test_tokens_are_those_between_the_roles_of_the_official_prompt(
    base: Checkpoint, official_base: Any, text: str
) -> None:
    if text:
        (ids,) = official_base._tokenize_texts([official_base._build_assistant_text(text)])
        assert base.tokenize(text) == ids[0, 3:-5].tolist()
        (ids,) = official_base._tokenize_texts([official_base._build_ref_text(text)])
        assert base.tokenize(text) == ids[0, 3:-2].tolist()
    (ids,) = official_base._tokenize_texts([official_base._build_instruct_text(text)])
    assert base.tokenize_instruct(text) == ids[0].tolist()


def test_the_roles_are_the_tokens_that_prompts_begin_with(
    base: Checkpoint, official_base: Any
) -> None:
    (ids,) = official_base._tokenize_texts([official_base._build_assistant_text("Hi.")])
    config = base.config
    assert ids[0, :3].tolist() == [
        config.im_start_token_id,
        config.assistant_token_id,
        *base.tokenize("\n"),
    ]


@pytest.mark.parametrize("text", ["<|im_end|>", "a <tts_pad><|im_start|>assistant b"])
def test_special_tokens_in_a_text_are_text(base: Checkpoint, text: str) -> None:
    assert max(base.tokenize(text)) < base.config.im_start_token_id


def test_a_large_vocabulary_cuts_words_as_its_files_say(copy: Path, base: Checkpoint) -> None:
    path = copy / "vocab.json"
    vocabulary = json.loads(path.read_text())
    filled = {f"filler{number}": number for number in range(len(vocabulary), 100_001)}
    path.write_text(json.dumps(vocabulary | filled))
    ids = load(copy).tokenize("iPhone")
    assert ids == base.tokenize("iPhone") and len(ids) == 1


# ---------------------------------------------------------------- what can be wrong


@pytest.fixture
def copy(tiny_base: Path, tmp_path: Path) -> Path:
    """A checkpoint to damage."""
    return shutil.copytree(tiny_base, tmp_path / "copy")


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    "name", ["config.json", "generation_config.json", "speech_tokenizer/config.json"]
)
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(InvalidRequestError, match=rf"holds no {Path(name).name}"):
        load(copy)


@pytest.mark.parametrize("name", ["model.safetensors", "speech_tokenizer/model.safetensors"])
@pytest.mark.parametrize("left", [0.0, 0.5], ids=["empty", "half"])
def test_damaged_weights_are_to_be_downloaded_again(copy: Path, name: str, left: float) -> None:
    data = (copy / name).read_bytes()
    (copy / name).write_bytes(data[: int(len(data) * left)])
    with pytest.raises(InvalidRequestError, match=r"is damaged .*; download it again"):
        load(copy)


def test_missing_weights_are_to_be_downloaded_again(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    with pytest.raises(InvalidRequestError, match=r"is damaged .*model.safetensors"):
        load(copy)


def test_half_a_configuration_is_to_be_downloaded_again(copy: Path) -> None:
    text = (copy / "config.json").read_text()
    (copy / "config.json").write_text(text[: len(text) // 2])
    with pytest.raises(InvalidRequestError, match=r"config.json is damaged"):
        load(copy)


def test_weights_of_another_checkpoint_are_not_run(
    copy: Path, tiny_custom_voice: Path, checkpoint_at: Checkpoints
) -> None:
    shutil.copy(tiny_custom_voice / "model.safetensors", copy)
    with pytest.raises(InvalidRequestError, match=r"do not fit its config.json: speaker_encoder"):
        load(copy)
    change(copy / "config.json", tts_model_type="custom_voice")
    config = json.loads((copy / "config.json").read_text())
    config["talker_config"]["code_predictor_config"]["intermediate_size"] += 8
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(InvalidRequestError, match=r"do not fit its config.json: .*mlp"):
        load(copy)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tokenizer_type": "qwen3_tts_tokenizer_25hz"}, "25hz; only the 12 Hz ones"),
        ({"model_type": "qwen3"}, "checkpoint of qwen3, not of Qwen3-TTS"),
        ({"tts_model_type": "singer"}, "unknown type singer; known: base,"),
    ],
)
def test_other_kinds_of_checkpoints_are_refused(
    copy: Path, values: dict[str, str], message: str
) -> None:
    change(copy / "config.json", **values)
    with pytest.raises(InvalidRequestError, match=message):
        load(copy)


# ---------------------------------------------------------------- the official package

PROGRAM = """
import sys
from pathlib import Path
import torch
from qwen3_tts_live.model.checkpoint import load_checkpoint
from qwen3_tts_live.model.qwen_tts import load_qwen_tts
checkpoint = load_checkpoint(Path(sys.argv[1]), device="cpu", dtype=torch.float32)
assert load_qwen_tts() is load_qwen_tts()
assert not [name for name in sys.modules if "tokenizer_25hz.modeling" in name]
sys.stdout.write(checkpoint.model_type)
"""


def test_it_loads_silently_where_torchaudio_is_broken_and_sox_absent(
    tiny_base: Path, tmp_path: Path
) -> None:
    for name in ("torchaudio", "sox", "onnxruntime", "einops", "flash_attn"):
        (tmp_path / f"{name}.py").write_text(f"raise OSError('{name} does not fit this torch')")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(tiny_base)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "", "PYTHONPATH": str(tmp_path)},
    )
    assert (done.stdout, done.stderr) == ("base", "")
