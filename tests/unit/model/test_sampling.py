"""Draws against a reference that transformers itself provides, and against the counts they promise."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.generation.logits_process import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from qwen3_tts_live.model.contract import Sampling
from qwen3_tts_live.model.sampling import (
    GREEDY,
    NARROW,
    DrawSettings,
    SamplingTable,
    draw,
    penalized,
    uniform,
)

VOCABULARY = 300


def settings_of(temperature: float, top_k: int, top_p: float, rows: int = 1) -> DrawSettings:
    return DrawSettings(
        greedy=torch.zeros(rows, dtype=torch.bool),
        temperature=torch.full((rows,), temperature),
        top_k=torch.full((rows,), top_k),
        top_p=torch.full((rows,), top_p),
    )


def reference(logits: Tensor, temperature: float, top_k: int, top_p: float) -> Tensor:
    """The probabilities that the official code would draw from, (B, V)."""
    warpers = LogitsProcessorList([TemperatureLogitsWarper(temperature)])
    if top_k:
        warpers.append(TopKLogitsWarper(top_k))
    if top_p < 1.0:
        warpers.append(TopPLogitsWarper(top_p))
    return warpers(torch.zeros(1, 1, dtype=torch.int64), logits).softmax(-1)


def drawn_probabilities(logits: Tensor, how: DrawSettings, width: int, draws: int) -> Tensor:
    """How often each id is drawn when the noise runs evenly through [0, 1): (V,)."""
    noise = (torch.arange(draws) + 0.5) / draws
    many = DrawSettings(
        *(x.expand(draws) for x in (how.greedy, how.temperature, how.top_k, how.top_p))
    )
    ids = draw(logits.expand(draws, -1), many, noise, width)
    return torch.bincount(ids, minlength=logits.shape[-1]) / draws


@pytest.mark.parametrize("temperature", [0.3, 0.9, 1.7])
@pytest.mark.parametrize("top_k", [0, 1, 5, 50])
@pytest.mark.parametrize("top_p", [0.2, 0.8, 1.0])
def test_ids_are_drawn_as_often_as_the_reference_says(
    temperature: float, top_k: int, top_p: float
) -> None:
    logits = torch.randn(1, VOCABULARY, generator=torch.Generator().manual_seed(top_k)) * 2
    expected = reference(logits, temperature, top_k, top_p)[0]
    width = NARROW if top_k else VOCABULARY
    found = drawn_probabilities(logits, settings_of(temperature, top_k, top_p), width, 20_000)
    # Even noise makes each count right within one draw at either end of its interval.
    assert (found - expected).abs().max() < 2.5e-4
    assert (found > 0).sum() <= (expected > 0).sum()


def test_ties_with_the_kth_stay_as_in_the_reference() -> None:
    logits = torch.zeros(1, VOCABULARY)
    logits[0, :7] = 3.0
    found = drawn_probabilities(logits, settings_of(1.0, 3, 1.0), NARROW, 7000)
    assert torch.equal(found > 0, reference(logits, 1.0, 3, 1.0)[0] > 0)
    assert torch.allclose(found[:7], torch.full((7,), 1 / 7), atol=1e-3)


def test_the_narrow_list_draws_what_the_whole_vocabulary_would() -> None:
    logits = torch.randn(64, VOCABULARY, generator=torch.Generator().manual_seed(1))
    noise = torch.rand(64, generator=torch.Generator().manual_seed(2))
    how = settings_of(0.9, 50, 0.95, rows=64)
    assert torch.equal(draw(logits, how, noise, NARROW), draw(logits, how, noise, VOCABULARY))


def test_greedy_rows_take_the_likeliest_whoever_they_sit_beside() -> None:
    logits = torch.randn(8, VOCABULARY, generator=torch.Generator().manual_seed(3))
    how = settings_of(5.0, 50, 1.0, rows=8)
    how.greedy[::2] = True
    ids = draw(logits, how, torch.rand(8), NARROW)
    assert torch.equal(ids[::2], logits.argmax(-1)[::2])
    assert torch.equal(draw(logits, how, torch.rand(8), GREEDY), logits.argmax(-1))


@pytest.mark.parametrize("penalty", [1.0, 1.05, 2.0])
def test_the_repetition_penalty_is_the_reference_s(penalty: float) -> None:
    logits = torch.randn(2, VOCABULARY, generator=torch.Generator().manual_seed(4))
    history = torch.tensor([[5, 9, 5, 200], [1, 2, 3, 1]])
    seen = torch.zeros(2, VOCABULARY, dtype=torch.bool).scatter(1, history, True)
    expected = RepetitionPenaltyLogitsProcessor(penalty)(history, logits.clone())
    assert torch.equal(penalized(logits, seen, torch.full((2,), penalty)), expected)


def test_the_noise_of_a_place_is_the_same_in_every_batch() -> None:
    seeds, frames = torch.tensor([7, 8, 7]), torch.tensor([3, 3, 4])
    together = uniform(seeds, frames, 16)
    for row in range(3):
        assert torch.equal(
            uniform(seeds[row : row + 1], frames[row : row + 1], 16)[0], together[row]
        )
    assert len(together.unique()) == together.numel()


def test_the_noise_is_uniform_and_neighbours_know_nothing_of_each_other() -> None:
    noise = uniform(torch.arange(500), torch.arange(500) % 7, 16)
    assert noise.min() >= 0.0 and noise.max() < 1.0
    assert abs(noise.mean() - 0.5) < 0.01
    assert abs(noise.var() - 1 / 12) < 0.005
    counts = torch.histc(noise, 16, 0, 1)
    assert counts.min() > 0.8 * counts.mean() and counts.max() < 1.2 * counts.mean()
    for one, other in ((noise[:, :-1], noise[:, 1:]), (noise[:-1], noise[1:])):
        correlation = torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1]
        assert abs(correlation) < 0.03


@given(seed=st.integers(0, 2**63 - 1), frame=st.integers(0, 10_000))
@settings(max_examples=30)
def test_every_seed_gives_noise(seed: int, frame: int) -> None:
    noise = uniform(torch.tensor([seed]), torch.tensor([frame]), 16)
    assert ((noise >= 0) & (noise < 1)).all()


def test_a_batch_looks_at_as_few_candidates_as_its_settings_allow() -> None:
    def width(*samplings: Sampling) -> int:
        return SamplingTable.width(samplings, VOCABULARY)

    assert width(Sampling(greedy=True, top_k=0)) == GREEDY
    assert width(Sampling(), Sampling(greedy=True)) == NARROW
    assert width(Sampling(), Sampling(top_k=0)) == VOCABULARY
    assert width(Sampling(predictor_top_k=51)) == VOCABULARY


def test_a_slot_s_settings_replace_those_of_its_last_request() -> None:
    table = SamplingTable(2, torch.device("cpu"))
    table.set(1, Sampling(greedy=True, seed=3))
    table.set(1, Sampling(temperature=0.5, top_k=7, predictor_top_p=0.25, seed=2**63 - 1))
    rows = torch.tensor([1])
    assert not table.talker.rows(rows).greedy.item()
    assert table.talker.rows(rows).top_k.item() == 7
    assert table.predictor.rows(rows).top_p.item() == 0.25
    assert table.seed[1].item() == 2**63 - 1
