"""What a CUDA graph needs, without a GPU: the static moves equal the eager ones on real numbers,
and run on fake CUDA tensors, which refuse what breaks a capture: mixed devices, values read back,
shapes that depend on data.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional

from official import GREEDY, Ask, Official, spoken
from qwen3_tts_live.model.codec import CodecDecoder
from qwen3_tts_live.model.contract import Sampling
from qwen3_tts_live.model.graphs import GraphSteps
from qwen3_tts_live.model.kv_cache import KVCache
from qwen3_tts_live.model.runner import SpeechRunner
from qwen3_tts_live.model.sampling import NARROW
from qwen3_tts_live.model.speech_model import SpeechModel
from qwen3_tts_live.model.steps import EagerSteps

SAMPLINGS = [GREEDY, Sampling(seed=3), Sampling(seed=4, top_k=0, top_p=0.9)]


class Loaded:
    """One checkpoint, and both ways to run it."""

    def __init__(self, official: Official) -> None:
        self.official = official
        self.model, self.codec = official.parts(max_length=700)
        hidden = official.talker_config.hidden_size
        self.voice = np.random.default_rng(1).standard_normal(hidden, np.float32)

    def eager(self, slots: int) -> SpeechRunner:
        return SpeechRunner(self.model, EagerSteps(self.model, self.codec, slots))

    def static(self, slots: int) -> SpeechRunner:
        steps = GraphSteps(self.model, self.codec, slots, capture=False)
        return SpeechRunner(self.model, steps)


@pytest.fixture(scope="module")
def loaded(tiny_base: Path) -> Loaded:
    return Loaded(Official(tiny_base))


@pytest.mark.parametrize("batch", [1, 2, 3, 5])
def test_static_moves_say_what_eager_ones_say(loaded: Loaded, batch: int) -> None:
    prompts = [
        loaded.official.prompt(Ask(text=f"Hello {n}" + " there" * n, embedding=loaded.voice))
        for n in range(batch)
    ]
    how = [SAMPLINGS[n % 3] for n in range(batch)]
    eager = spoken(loaded.eager(5), prompts, 20, how)
    static = spoken(loaded.static(5), prompts, 20, how)
    assert all(np.array_equal(one, other) for one, other in zip(eager, static, strict=True))


def test_static_audio_is_the_eager_one(loaded: Loaded) -> None:
    prompt = loaded.official.prompt(Ask(embedding=loaded.voice))
    heard = []
    for runner in (loaded.eager(3), loaded.static(3)):
        for slot in (0, 2):
            runner.start(slot, prompt, Sampling(seed=slot))
        chunks = []
        for frames in (1, 2, 4):
            for _ in range(frames):
                runner.decode([0, 2])
            chunks.append(np.stack(runner.vocode([0, 2], frames)))
        heard.append(np.concatenate(chunks, axis=1))
    assert np.abs(heard[0].astype(int) - heard[1]).max() <= 1


def test_a_speech_longer_than_one_window_of_the_cache_goes_on(loaded: Loaded) -> None:
    ask = Ask(text="a b c d " * 34, layout="prefill", embedding=loaded.voice)
    prompt = loaded.official.prompt(ask)
    assert 230 < len(prompt.text_ids) < 240  # the window of 256 rows ends some frames on
    eager, static = (
        spoken(runner, [prompt], 50)[0] for runner in (loaded.eager(1), loaded.static(1))
    )
    assert np.array_equal(eager, static)


def test_a_prompt_longer_than_every_bucket_is_spoken_too(loaded: Loaded) -> None:
    ask = Ask(text="a b c d " * 80, layout="prefill", embedding=loaded.voice)
    prompt = loaded.official.prompt(ask)
    eager, static = (
        spoken(runner, [prompt], 5)[0] for runner in (loaded.eager(1), loaded.static(1))
    )
    assert np.array_equal(eager, static)


def test_a_capture_that_fails_says_so_once_and_speaks_on(
    loaded: Loaded, caplog: pytest.LogCaptureFixture
) -> None:
    """As on any machine where CUDA graphs cannot be had; this one has no CUDA at all."""
    steps = GraphSteps(loaded.model, loaded.codec, 2, capture=False)
    steps._pool = (0, 1)  # as if there were graphs
    prompt = loaded.official.prompt(Ask(embedding=loaded.voice))
    with caplog.at_level(logging.WARNING, "qwen3_tts_live"):
        said = spoken(SpeechRunner(loaded.model, steps), [prompt], 5)[0]
    assert np.array_equal(said, spoken(loaded.eager(1), [prompt], 5)[0])
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "without graphs" in caplog.text


def flash_reference(
    q: Tensor, k_cache: Tensor, v_cache: Tensor, *, cache_seqlens: Tensor, cache_batch_idx: Tensor
) -> Tensor:
    """What flash-attn documents of `flash_attn_with_kvcache`, row by row."""
    outs = []
    for row, slot, length in zip(q, cache_batch_idx, cache_seqlens, strict=True):
        k, v = (cache[slot, :length].transpose(0, 1) for cache in (k_cache, v_cache))
        attended = functional.scaled_dot_product_attention(
            row.transpose(0, 1)[None], k[None], v[None], enable_gqa=True
        )
        outs.append(attended[0].transpose(0, 1))
    return torch.stack(outs)


def test_flash_attention_is_given_what_the_masked_attention_sees(loaded: Loaded) -> None:
    """Not run with flash-attn itself, which needs a GPU: with a reference of what it promises."""
    steps = GraphSteps(loaded.model, loaded.codec, 3, capture=False)
    steps._flash = flash_reference
    prompts = [
        loaded.official.prompt(Ask(text="Hello" + " there" * n, embedding=loaded.voice))
        for n in range(3)
    ]
    said = spoken(SpeechRunner(loaded.model, steps), prompts, 10)
    eager = spoken(loaded.eager(3), prompts, 10)
    assert all(np.array_equal(one, other) for one, other in zip(said, eager, strict=True))


# ---------------------------------------------------------------- fake CUDA tensors


@pytest.fixture
def on_cuda(loaded: Loaded) -> Iterator[tuple[SpeechModel, CodecDecoder]]:
    """The model on a CUDA device that exists in name only."""
    role_ids = loaded.official.role_ids
    with FakeTensorMode():
        talker = _faked(loaded.official.model.talker)
        decoder = _faked(loaded.official.model.speech_tokenizer.model.decoder)
        config = loaded.official.model.config
        model = SpeechModel(talker, config, role_ids, max_length=256)
        yield model, CodecDecoder(decoder, dtype=torch.bfloat16)


def _faked(module: torch.nn.Module) -> torch.nn.Module:
    with torch.device("cuda"):
        return type(module)._from_config(module.config, dtype=torch.bfloat16).eval()


def test_every_move_runs_on_fake_cuda_tensors(
    on_cuda: tuple[SpeechModel, CodecDecoder],
) -> None:
    model, codec = on_cuda
    slots, batch = 5, 4
    state = model.empty_state(slots)
    cache = KVCache(model.talker.shape, slots, 256, model.talker.codec_embedding)
    rows = torch.zeros(batch, dtype=torch.int64, device="cuda")
    hidden = model.talker.shape.hidden
    prompt = torch.zeros(16, hidden, dtype=torch.bfloat16, device="cuda")
    model.prefill(state, rows[:1], prompt, rows[:1], cache.prefill(rows[:1]))
    positions = state.position.index_select(0, rows)
    attend = cache.static_step(rows, positions, 256)
    model.talk(state, rows, prompt[:batch], attend)
    for width in (1, NARROW, model.talker.vocabulary):
        codes = model.predict(state, rows, width)
        assert codes.shape == (batch, 16) and codes.device.type == "cuda"
    audio = codec.init_state(slots, torch.device("cuda"))
    for frames in (1, 2, 4):
        pcm = codec.decode(codes[:, :, None].expand(-1, -1, frames), audio, rows)
        assert pcm.shape == (batch, frames * 1920) and pcm.dtype == torch.int16
