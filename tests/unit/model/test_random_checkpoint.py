from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from random_checkpoint import NARROW, SHAPES, TINY, WIDE, main, write_checkpoint
from random_shapes import codec_config, model_config
from random_tokenizer import write_tokenizer

from qwen3_tts_live.model.qwen_tts import load_qwen_tts

GREEDY = {"do_sample": False, "subtalker_dosample": False}
CHAT = "<|im_start|>assistant\nHi.<|im_end|>\n<|im_start|>assistant\n"
Checkpoints = Callable[..., Path]


@cache
def official(folder: Path) -> Any:
    return load_qwen_tts().Qwen3TTSModel.from_pretrained(str(folder))


def reference(seconds: float = 1.0) -> tuple[np.ndarray, int]:
    noise = np.random.default_rng(0).normal(0, 0.1, round(seconds * 24_000))
    return noise.astype(np.float32), 24_000


def clone(model: Any, text: str, **options: Any) -> int:
    """Return how many frames the official package says."""
    (voice,) = model.create_voice_clone_prompt(reference(), x_vector_only_mode=True)
    torch.manual_seed(0)
    waves, rate = model.generate_voice_clone(
        text, language="English", voice_clone_prompt=[voice], **options
    )
    assert rate == 24_000
    return len(waves[0]) // 1920


def tokens(model: Any, text: str) -> int:
    return len(model.processor(text=text)["input_ids"][0])


# ---------------------------------------------------------------- it loads and runs


@pytest.mark.parametrize("shape", [TINY, NARROW, WIDE], ids=["tiny", "narrow", "wide"])
def test_the_official_package_clones_with_it(checkpoint_at: Checkpoints, shape: Any) -> None:
    model = official(checkpoint_at(shape, seed=1))
    prompt = model.create_voice_clone_prompt(reference(), ref_text="Hello there.")
    codes = prompt[0].ref_code
    assert codes.shape == (13, 16)
    assert min(len(set(book)) for book in codes.T.tolist()) >= 3
    waves, _ = model.generate_voice_clone(
        "Hi.", language="Chinese", voice_clone_prompt=prompt, max_new_tokens=9, **GREEDY
    )
    assert len(waves[0]) == 8 * 1920
    assert 0.05 < np.sqrt(np.mean(waves[0] ** 2)) < 0.4


def test_the_official_package_speaks_with_its_speakers(tiny_custom_voice: Path) -> None:
    model = official(tiny_custom_voice)
    assert "dylan" in model.get_supported_speakers()
    assert len(model.get_supported_languages()) == 11  # ten and auto
    waves, _ = model.generate_custom_voice(
        ["Hi.", "Hello."],
        speaker=["Eric", "vivian"],
        language=["Auto", "Korean"],
        instruct=["Speak slowly.", ""],
        max_new_tokens=4,
    )
    assert [len(wave) for wave in waves] == [3 * 1920] * 2


def test_the_official_package_designs_a_voice_with_it(tiny_voice_design: Path) -> None:
    waves, _ = official(tiny_voice_design).generate_voice_design(
        "Hi.", instruct="A low voice.", language="English", max_new_tokens=4
    )
    assert len(waves[0]) == 3 * 1920


def test_prompts_can_rely_on_the_tokenizer(tiny_base: Path) -> None:
    tokenize = official(tiny_base).processor.tokenizer
    assert tokenize.tokenize("<|im_start|>assistant\n") == ["<|im_start|>", "assistant", "Ċ"]
    assert tokenize.tokenize("<|im_start|>user\n") == ["<|im_start|>", "user", "Ċ"]
    assert tokenize.tokenize("the weather") == ["t", "he", "Ġweather"]
    assert tokenize.tokenize("nation, eating") == ["n", "a", "tion", ",", "Ġ", "e", "a", "t", "ing"]
    text = "Ünïcode 你好,世界 naïve 안녕 🙂 a\n\n b"
    assert tokenize.decode(tokenize.encode(text)) == text


def test_equal_seeds_give_equal_files_and_others_other_ones(tmp_path: Path) -> None:
    first, again, other = (
        write_checkpoint(tmp_path / name, NARROW, seed=seed)
        for name, seed in [("first", 3), ("again", 3), ("other", 4)]
    )
    for file in first.rglob("*.*"):
        inside = file.relative_to(first)
        assert (again / inside).read_bytes() == file.read_bytes()
        if inside.suffix == ".safetensors":
            assert (other / inside).read_bytes() != file.read_bytes()


# ---------------------------------------------------------------- forms


def test_it_never_ends_by_itself(tiny_base: Path) -> None:
    assert clone(official(tiny_base), "Hi.", max_new_tokens=40) == 39


@pytest.mark.parametrize("options", [GREEDY, {}], ids=["greedy", "sampled"])
@pytest.mark.parametrize("text", ["Hi.", "Hi, how are you today?"])
def test_the_ending_form_ends_one_frame_after_its_text(
    tiny_ending: Path, text: str, options: dict[str, Any]
) -> None:
    model = official(tiny_ending)
    assert clone(model, text, **options) == tokens(model, text) + 1


@pytest.mark.parametrize("model_type", ["custom_voice", "voice_design"])
def test_the_ending_form_ends_about_as_long_after_a_text_that_came_first(
    checkpoint_at: Checkpoints, model_type: str
) -> None:
    model = official(checkpoint_at(WIDE, model_type=model_type, ends=True))
    text = "Hi, how are you today?"
    options = {"language": "Auto", "instruct": "Speak slowly.", "max_new_tokens": 60, **GREEDY}
    if model_type == "custom_voice":
        waves, _ = model.generate_custom_voice(text, speaker="dylan", **options)
    else:
        waves, _ = model.generate_voice_design(text, **options)
    count = tokens(model, text)
    assert count <= len(waves[0]) // 1920 <= 1.5 * count


@pytest.mark.parametrize("do_sample", [False, True], ids=["greedy", "sampled"])
def test_the_looping_form_repeats_one_id(checkpoint_at: Checkpoints, do_sample: bool) -> None:
    model = official(checkpoint_at(NARROW, model_type="voice_design", loops=True))
    (codes,), _ = model.model.generate(
        input_ids=[model.processor(text=CHAT, return_tensors="pt")["input_ids"]],
        languages=["English"],
        do_sample=do_sample,
        subtalker_dosample=do_sample,
        max_new_tokens=31,
    )
    assert codes.shape == (30, 16)
    assert len(set(codes[:, 0].tolist())) == 1
    assert min(len(set(book)) for book in codes[:, 1:].T.tolist()) > 1


# ---------------------------------------------------------------- the real sizes


@pytest.mark.parametrize(
    ("size", "model_type", "millions"),
    [
        ("0.6B", "base", 914.6),
        ("0.6B", "custom_voice", 905.8),
        ("1.7B", "base", 1928.7),
        ("1.7B", "voice_design", 1916.7),
    ],
)
def test_the_real_sizes_have_as_many_parameters_as_the_real_checkpoints(
    size: str, model_type: Any, millions: float, tmp_path: Path
) -> None:
    core = load_qwen_tts().core
    tokens = write_tokenizer(tmp_path)
    config = core.models.Qwen3TTSConfig(**model_config(SHAPES[size], model_type, "1b7", tokens))
    codec = core.Qwen3TTSTokenizerV2Config(**codec_config(SHAPES[size]))
    with torch.device("meta"):
        talker = core.models.Qwen3TTSForConditionalGeneration(config).state_dict()
        tokenizer = core.Qwen3TTSTokenizerV2Model(codec).state_dict()
    assert round(sum(weight.numel() for weight in talker.values()) / 1e6, 1) == millions
    assert round(sum(weight.numel() for weight in tokenizer.values()) / 1e6, 1) == 170.6


def test_the_command_line_writes_what_it_was_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "made"
    main([str(folder), "--type", "custom_voice", "--ends"])
    assert str(folder) in capsys.readouterr().out
    assert json.loads((folder / "config.json").read_text())["tts_model_type"] == "custom_voice"
    with pytest.raises(SystemExit):
        main([str(folder), "--ends", "--loops"])
