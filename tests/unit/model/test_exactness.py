"""Greedy codes equal the official package's, token for token, on random checkpoints in fp32."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from random_checkpoint import NARROW, TINY, WIDE, Shape, write_checkpoint

from official import GREEDY, Ask, Official, spoken
from qwen3_tts_live.engine.live_text import LiveText
from qwen3_tts_live.model.contract import Prompt, Runner, Sampling
from qwen3_tts_live.model.runner import SpeechRunner
from qwen3_tts_live.model.steps import EagerSteps

LAYOUTS = ("track", "prefill")
LANGUAGES = ("Auto", "English", "Chinese")


class Pair:
    """Both sides on one checkpoint."""

    def __init__(self, folder: Path) -> None:
        self.official = Official(folder)
        model, codec = self.official.parts()
        self.runner = SpeechRunner(model, EagerSteps(model, codec, 8))
        # With others, the two likeliest ids come so close that each CPU takes its own.
        rng = np.random.default_rng(2)
        hidden = self.official.talker_config.hidden_size
        self.voice: dict[str, Any] = {"embedding": rng.standard_normal(hidden, np.float32)}
        self.reference = self.voice | {"codes": rng.integers(0, 2048, (9, 16))}

    def check(self, ask: Ask, frames: int) -> int:
        """Both say the same; return how many frames that is."""
        expected = self.official.codes(ask, frames)
        (found,) = spoken(self.runner, [self.official.prompt(ask)], frames)
        assert np.array_equal(found, expected)
        return len(expected)


@pytest.fixture(scope="module")
def pairs(tiny_base: Path, tiny_custom_voice: Path, tiny_voice_design: Path) -> dict[str, Pair]:
    return {
        "base": Pair(tiny_base),
        "custom_voice": Pair(tiny_custom_voice),
        "voice_design": Pair(tiny_voice_design),
    }


@pytest.mark.parametrize(("layout", "language"), list(product(LAYOUTS, LANGUAGES)))
class TestEveryModeAndLanguage:
    def test_a_voice_by_its_embedding(self, pairs: dict[str, Pair], layout, language) -> None:
        pair = pairs["base"]
        assert pair.check(Ask(layout=layout, language=language, **pair.voice), 10) == 10

    @pytest.mark.parametrize("ref_text", ["A.", "A reference with more text than frames."])
    def test_a_voice_in_context(self, pairs, layout, language, ref_text) -> None:
        pair = pairs["base"]
        ask = Ask(layout=layout, language=language, ref_text=ref_text, **pair.reference)
        assert pair.check(ask, 10) == 10

    @pytest.mark.parametrize("speaker", ["ryan", "eric"])
    @pytest.mark.parametrize("instruct", [None, "Sadly."])
    def test_a_speaker_with_and_without_a_dialect(
        self, pairs, layout, language, speaker, instruct
    ) -> None:
        ask = Ask(layout=layout, language=language, speaker=speaker, instruct=instruct)
        assert pairs["custom_voice"].check(ask, 8) == 8

    def test_a_designed_voice(self, pairs, layout, language) -> None:
        ask = Ask(layout=layout, language=language, instruct="An old man, out of breath.")
        assert pairs["voice_design"].check(ask, 8) == 8


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("words", [1, 40, 150])
def test_texts_of_one_to_three_hundred_tokens(pairs, layout, words) -> None:
    pair = pairs["base"]
    text = " ".join(["a", "bc", "def"][n % 3] for n in range(words))
    tokens = len(pair.official.prompt(Ask(text=text)).text_ids)
    assert words > 1 or tokens == 1
    assert words < 150 or tokens >= 300
    pair.check(Ask(text=text, layout=layout, **pair.voice), 12)


def test_a_speech_that_goes_on_long_after_its_text(pairs: dict[str, Pair]) -> None:
    pair = pairs["base"]
    assert pair.check(Ask(text="A long, long speech.", **pair.voice), 80) == 80


def test_a_speech_that_goes_on_past_three_hundred_rows(pairs: dict[str, Pair]) -> None:
    """Rows of text are as good as frames here, and need no decoding."""
    pair = pairs["base"]
    ask = Ask(text="a b c d " * 36, layout="prefill", **pair.voice)
    assert 240 < len(pair.official.prompt(ask).text_ids) < 256
    assert pair.check(ask, 60) == 60


@pytest.mark.parametrize("shape", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("seed", [1, 2])
def test_other_widths_depths_and_weights(tmp_path: Path, shape: Shape, seed: int) -> None:
    pair = Pair(write_checkpoint(tmp_path, shape, seed=seed))
    for layout in LAYOUTS:
        assert pair.check(Ask(layout=layout, **pair.voice), 12) == 12


def test_a_speech_that_ends_by_itself_ends_where_the_official_one_does(tmp_path: Path) -> None:
    pair = Pair(write_checkpoint(tmp_path, TINY, ends=True))
    for layout, text in product(LAYOUTS, ("Hi.", "A longer text, then.")):
        said = pair.check(Ask(text=text, layout=layout, **pair.voice), 60)
        assert 2 <= said < 60


def test_the_repetition_penalty_holds_in_greedy_speech_too(tmp_path: Path) -> None:
    pair = Pair(write_checkpoint(tmp_path, TINY, loops=True))
    ask = Ask(**pair.voice)
    greedy = {"do_sample": False, "subtalker_dosample": False}
    for penalty in (1.05, 50.0):
        expected = pair.official.codes(ask, 12, repetition_penalty=penalty, **greedy)
        sampling = Sampling(greedy=True, repetition_penalty=penalty)
        (found,) = spoken(pair.runner, [pair.official.prompt(ask)], 12, sampling)
        assert np.array_equal(found, expected)
        assert (len(set(found[:, 0])) == 1) == (penalty < 2)


# ---------------------------------------------------------------- live text


def live(pair: Pair, prompt: Prompt, pieces: list[str], frames: int) -> np.ndarray:
    """Speak `pieces` as they come, each when the speech has used up the text before it."""
    text = LiveText(pair.official.ids)
    waiting = [*pieces]
    ids = text.push(waiting.pop(0))
    while not ids and waiting:
        ids = text.push(waiting.pop(0))
    complete = not waiting
    if complete:
        ids += text.finish()
    first = Prompt(
        text_ids=ids,
        text_complete=complete,
        layout="track",
        language_id=prompt.language_id,
        speaker_embedding=prompt.speaker_embedding,
    )
    pair.runner.start(0, first, GREEDY)
    arrived, said = len(ids), []
    while len(said) < frames:
        while not complete and arrived <= len(said):
            ids = text.push(waiting.pop(0))
            complete = not waiting
            if complete:
                ids += text.finish()
            arrived += len(ids)
            pair.runner.append_text(0, ids, complete=complete)
        (frame,) = pair.runner.decode([0])
        said.append(frame.codes)
    pair.runner.release(0)
    return np.array(said)


@pytest.mark.parametrize("seed", range(4))
def test_text_that_arrives_in_any_pieces_says_what_the_whole_text_says(
    pairs: dict[str, Pair], seed: int
) -> None:
    pair = pairs["base"]
    text = "Hello there, how are you? 你好，世界。 It's 3.5 o'clock; don't wait!"
    prompt = pair.official.prompt(Ask(text=text, **pair.voice))
    (whole,) = spoken(pair.runner, [prompt], 60)
    rng = np.random.default_rng(seed)
    cuts = sorted(rng.choice(len(text), size=[1, 7, 20, len(text) - 1][seed], replace=False))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert np.array_equal(live(pair, prompt, pieces, 60), whole)


# ---------------------------------------------------------------- batches


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(seed=11)], ids=["greedy", "seeded"])
def test_who_shares_the_batch_changes_nothing(pairs: dict[str, Pair], sampling: Sampling) -> None:
    """Alone == in a batch of 7 that is joined and left at random == in another order."""
    pair = pairs["base"]
    texts = [f"Number {n}" + " and so on" * n for n in range(7)]
    prompts = [pair.official.prompt(Ask(text=text, **pair.voice)) for text in texts]
    alone = [spoken(pair.runner, [prompt], 15, sampling)[0] for prompt in prompts]
    for seed in range(2):
        together = crowd(pair.runner, prompts, sampling, 15, np.random.default_rng(seed))
        for one, other in zip(alone, together, strict=True):
            assert np.array_equal(one, other)


def crowd(
    runner: Runner, prompts: list[Prompt], sampling: Sampling, frames: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Speak all prompts, joining and stepping at random."""
    slots = rng.permutation(runner.slots)[: len(prompts)].tolist()
    said: dict[int, list[tuple[int, ...]]] = {}
    waiting = list(zip(slots, prompts, strict=True))
    rng.shuffle(waiting)
    while waiting or any(len(codes) < frames for codes in said.values()):
        if waiting and (not said or rng.random() < 0.5):
            slot, prompt = waiting.pop()
            runner.start(slot, prompt, sampling)
            said[slot] = []
        going = [slot for slot, codes in said.items() if len(codes) < frames]
        if chosen := [slot for slot in going if rng.random() < 0.8]:
            for frame in runner.decode(sorted(chosen)):
                assert frame.codes is not None
                said[frame.slot].append(frame.codes)
        for slot in going:
            if len(said[slot]) == frames:
                runner.release(slot)
    return [np.array(said[slot]) for slot in slots]


def test_seeds_repeat_and_differ(pairs: dict[str, Pair]) -> None:
    pair = pairs["base"]
    prompt = pair.official.prompt(Ask(**pair.voice))
    one, other = (spoken(pair.runner, [prompt], 10, Sampling(seed=seed))[0] for seed in (1, 2))
    again, _ = spoken(pair.runner, [prompt] * 2, 10, [Sampling(seed=1), Sampling(seed=2)])
    assert np.array_equal(one, again)
    assert (one != other).mean() > 0.8


def test_sampled_speech_has_audio_codes_only_and_does_not_end_at_once(tmp_path: Path) -> None:
    """The control ids are never drawn, and the end not among the first two."""
    pair = Pair(write_checkpoint(tmp_path, TINY, ends=True))
    prompt = pair.official.prompt(Ask(text="a", **pair.voice))
    hot = [Sampling(seed=seed, temperature=50.0, top_k=0) for seed in range(8)]
    said = spoken(pair.runner, [prompt] * 8, 40, hot)
    assert all(len(codes) >= 2 for codes in said)
    assert max(codes.max() for codes in said) < 2048
    assert len({int(code) for codes in said for code in codes[:, 0]}) > 50


def test_the_likeliest_codes_on_a_given_history_are_those_of_greedy_speech(
    pairs: dict[str, Pair],
) -> None:
    model, _ = pairs["base"].official.parts()
    codes = torch.from_numpy(np.random.default_rng(3).integers(0, 2048, (4, 16)))
    state = model.empty_state(4)
    state.hidden.normal_(generator=torch.Generator().manual_seed(3))
    for slot in range(4):
        state.sampling.set(slot, GREEDY)
    said = model.predict(state, torch.arange(4), 1)
    assert torch.equal(model.predictor.likeliest(state.hidden, said), said[:, 1:])
    # Later codes change nothing: it is what would have been chosen at each place.
    other = torch.cat([said[:, :8], codes[:, 8:]], dim=1)
    assert torch.equal(model.predictor.likeliest(state.hidden, other)[:, :8], said[:, 1:9])
