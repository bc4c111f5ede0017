"""On a real CUDA device: captured graphs say what eager calls say, and nothing is captured late."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from official import GREEDY, Ask, Official, spoken
from qwen3_tts_live.model.contract import Sampling
from qwen3_tts_live.model.graphs import GraphSteps
from qwen3_tts_live.model.runner import SpeechRunner
from qwen3_tts_live.model.steps import EagerSteps

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture(scope="module")
def official(tiny_base: Path) -> Official:
    loaded = Official(tiny_base)
    loaded.model.to("cuda")
    loaded.model.speech_tokenizer.model.to("cuda")
    return loaded


@pytest.fixture(scope="module")
def runners(official: Official) -> tuple[SpeechRunner, SpeechRunner]:
    with torch.inference_mode():
        torch.cuda.set_stream(torch.cuda.Stream())
        model, codec = official.parts()
        graphs = GraphSteps(model, codec, 5)
        graphs.capture_usual()
        eager = EagerSteps(model, codec, 5)
    return SpeechRunner(model, graphs), SpeechRunner(model, eager)


def test_captured_moves_say_what_eager_ones_say(
    official: Official,
    runners: tuple[SpeechRunner, SpeechRunner],
    caplog: pytest.LogCaptureFixture,
) -> None:
    voice = np.random.default_rng(1).standard_normal(official.talker_config.hidden_size, np.float32)
    for batch in (1, 2, 3, 5):
        prompts = [
            official.prompt(Ask(text=f"Hello {n}" + " there" * n, embedding=voice))
            for n in range(batch)
        ]
        how = [GREEDY, Sampling(seed=3), Sampling(seed=4), GREEDY, Sampling(seed=5)][:batch]
        with caplog.at_level(logging.WARNING, "qwen3_tts_live"):
            graphs, eager = (spoken(runner, prompts, 40, how) for runner in runners)
        assert all(np.array_equal(one, other) for one, other in zip(graphs, eager, strict=True))
    assert not caplog.records, "a capture failed"


def test_captured_audio_is_the_eager_one(
    official: Official, runners: tuple[SpeechRunner, SpeechRunner]
) -> None:
    voice = np.random.default_rng(2).standard_normal(official.talker_config.hidden_size, np.float32)
    prompt = official.prompt(Ask(embedding=voice))
    heard = []
    for runner in runners:
        runner.start(0, prompt, GREEDY)
        for _ in range(7):
            runner.decode([0])
        heard.append(np.concatenate([runner.vocode([0], frames)[0] for frames in (1, 2, 4)]))
        runner.release(0)
    assert np.abs(heard[0].astype(int) - heard[1]).max() <= 3
