"""The codec as a stream against the official decoder on whole sequences."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_codec import random_decoder
from random_shapes import NARROW, TINY, WIDE, Shape
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from qwen3_tts_live.model.codec import CodecDecoder
from qwen3_tts_live.model.codec_state import CodecState

FRAME = 1920
FRAMES = 150  # the attention window of 72 wraps twice
SLOTS = 4


class Subject:
    """One official decoder, ours, and what the official one makes of a few streams."""

    def __init__(self, shape: Shape, **config: Any) -> None:
        self.official = random_decoder(shape, **config)
        self.codec = CodecDecoder(self.official)
        self.codes = random_codes(SLOTS, FRAMES)
        self.audio = self.official(self.codes)[:, 0]

    def state(self, slots: int = SLOTS) -> CodecState:
        return self.codec.init_state(slots, "cpu")


def random_codes(batch: int, frames: int) -> Tensor:
    return torch.randint(2048, (batch, 16, frames), generator=torch.Generator().manual_seed(2))


def streamed(
    codec: CodecDecoder, codes: Tensor, state: CodecState, rows: list[int], sizes: list[int]
) -> Tensor:
    """Decode in chunks of `sizes`, again and again until all is decoded."""
    waves = []
    index = torch.tensor(rows)
    while codes.shape[2]:
        size = sizes[len(waves) % len(sizes)]
        waves.append(codec.decode_float(codes[:, :, :size], state, index))
        codes = codes[:, :, size:]
    return torch.cat(waves, dim=1)


def difference(one: Tensor, other: Tensor) -> float:
    return (one - other).abs().max().item()


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    torch.set_num_threads(1)  # more only wait for each other on tensors this small
    with torch.inference_mode():
        yield


SUBJECTS: dict[str, Callable[[], Subject]] = {
    "tiny": lambda: Subject(TINY),
    "narrow": lambda: Subject(NARROW),  # a window of 9 frames
    "wide": lambda: Subject(WIDE, num_key_value_heads=2, attention_bias=True),
}


@cache
def subject(name: str) -> Subject:
    return SUBJECTS[name]()


# ---------------------------------------------------------------- exactness


@pytest.mark.parametrize("name", SUBJECTS)
@pytest.mark.parametrize("sizes", [[1, 2, 4, 8], [FRAMES]], ids=str)
def test_streamed_audio_is_that_of_the_whole_sequence(name: str, sizes: list[int]) -> None:
    case = subject(name)
    audio = streamed(case.codec, case.codes[:2], case.state(), [3, 0], sizes)
    assert difference(audio, case.audio[:2]) < 2e-5


def test_a_frame_at_a_time_is_enough() -> None:
    case = subject("tiny")
    audio = streamed(case.codec, case.codes[:1], case.state(), [1], [1])
    assert difference(audio, case.audio[:1]) < 2e-5


def test_layers_as_wide_as_real_ones_take_the_fast_ways_of_a_cpu() -> None:
    """Large weights laid out in advance, long convolutions tap by tap."""
    official = random_decoder(replace(TINY, decoder_dim=256, codec_latent=128))
    codec, codes = CodecDecoder(official), random_codes(2, 20)
    audio = streamed(codec, codes, codec.init_state(2, "cpu"), [1, 0], [1, 3])
    assert difference(audio, official(codes)[:, 0]) < 2e-5


@settings(max_examples=6)
@given(
    name=st.sampled_from(["tiny", "narrow"]),
    sizes=st.lists(st.integers(1, 20), min_size=4, max_size=20),
)
def test_it_does_not_matter_how_frames_are_cut_into_chunks(name: str, sizes: list[int]) -> None:
    case = subject(name)
    audio = streamed(case.codec, case.codes[:1], case.state(), [2], sizes)
    assert difference(audio, case.audio[:1]) < 2e-5


@settings(max_examples=6)
@given(data=st.data())
def test_rows_that_join_leave_and_begin_anew_do_not_hear_each_other(data: st.DataObject) -> None:
    case = subject("tiny")
    state = case.state()
    source = dict.fromkeys(range(SLOTS), 0)  # which stream a slot plays, and how far it is
    position = dict.fromkeys(range(SLOTS), 0)
    for _ in range(20):
        for slot in data.draw(st.sets(st.integers(0, SLOTS - 1), max_size=1)):
            state.reset(slot)
            source[slot], position[slot] = data.draw(st.integers(0, SLOTS - 1)), 0
        rows = data.draw(st.lists(st.integers(0, SLOTS - 1), min_size=1, unique=True))
        frames = data.draw(st.integers(1, 6))
        spans = [slice(position[row], position[row] + frames) for row in rows]
        codes = torch.stack(
            [case.codes[source[row], :, span] for row, span in zip(rows, spans, strict=True)]
        )
        audio = case.codec.decode_float(codes, state, torch.tensor(rows))
        for row, span, wave in zip(rows, spans, audio, strict=True):
            expected = case.audio[source[row], span.start * FRAME : span.stop * FRAME]
            assert difference(wave, expected) < 2e-5
            position[row] = span.stop


def test_a_call_changes_no_row_but_its_own() -> None:
    case = subject("tiny")
    state = case.state()
    streamed(case.codec, case.codes[:, :, :20], state, list(range(SLOTS)), [5])
    tensors = [state.past, state.frames, *state.windows]
    before = [tensor.clone() for tensor in tensors]
    case.codec.decode(case.codes[:2, :, 20:23], state, torch.tensor([3, 1]))
    for tensor, old in zip(tensors, before, strict=True):
        assert torch.equal(tensor[[0, 2]], old[[0, 2]])
        assert not torch.equal(tensor[1], old[1])


def test_a_reset_slot_is_as_new() -> None:
    case = subject("tiny")
    state = case.state(1)
    streamed(case.codec, case.codes[:1, :, :30], state, [0], [30])
    state.reset(0)
    tensors = [state.past, state.frames, *state.windows]
    assert not any(tensor.any() for tensor in tensors)


def test_a_stream_of_years_is_as_exact_as_a_new_one() -> None:
    """Rotations at such frame numbers leave nothing of an angle in single precision."""
    case = subject("narrow")
    state = case.state(1)
    state.frames.fill_(10**10)
    audio = streamed(case.codec, case.codes[:1, :, :80], state, [0], [3])
    # A state that never was: the frames before have no code. They are soon forgotten.
    heard = slice(30 * FRAME, 80 * FRAME)
    assert difference(audio[:, heard], case.audio[:1, heard]) < 2e-5


def test_what_only_another_order_of_sums_changes_is_rounding() -> None:
    """In double precision every convolution goes the way it goes on a GPU."""
    official = copy.deepcopy(subject("tiny").official).double()
    codec = CodecDecoder(official, torch.float64)
    codes = subject("tiny").codes[:1, :, :40]
    audio = streamed(codec, codes, codec.init_state(1, "cpu"), [0], [1, 3])
    assert audio.dtype == torch.float64
    assert difference(audio, official(codes)[:, 0]) < 2e-6


# ---------------------------------------------------------------- priming


@pytest.mark.parametrize("frames", [1, 5, 11, 12, 100])
@pytest.mark.parametrize("name", ["tiny", "narrow"])
def test_a_primed_stream_continues_as_one_that_was_decoded(name: str, frames: int) -> None:
    case = subject(name)
    state = case.state()
    row = torch.tensor([1])
    case.codec.decode(case.codes[:1, :, :3], state, row)
    case.codec.prime(case.codes[:1, :, 3 : 3 + frames], state, row)
    audio = streamed(case.codec, case.codes[:1, :, 3 + frames : 140], state, [1], [2, 7])
    assert difference(audio, case.audio[:1, (3 + frames) * FRAME : 140 * FRAME]) < 2e-5


# ---------------------------------------------------------------- numbers


def test_pcm_is_the_rounded_float_clipped_at_full_scale() -> None:
    loud = copy.deepcopy(subject("tiny").official)
    loud.decoder[-1].conv.weight *= 12
    codec = CodecDecoder(loud)
    codes, row = subject("tiny").codes[:1, :, :10], torch.tensor([0])
    pcm = codec.decode(codes, codec.init_state(1, "cpu"), row)
    wave = codec.decode_float(codes, codec.init_state(1, "cpu"), row)
    assert pcm.dtype == torch.int16 and pcm.shape == (1, 10 * FRAME)
    assert pcm.min() == -32767 and pcm.max() == 32767
    assert torch.equal(pcm, torch.round(32767 * wave.clamp(-1, 1)).to(torch.int16))


def test_codebooks_are_divided_in_fp32_however_they_were_loaded() -> None:
    half = copy.deepcopy(subject("tiny").official).bfloat16()
    rounded = copy.deepcopy(subject("tiny").official)
    rounded.load_state_dict(half.state_dict())
    codec = CodecDecoder(half)
    codes = subject("tiny").codes[:1, :, :20]
    audio = streamed(codec, codes, codec.init_state(1, "cpu"), [0], [4])
    assert difference(audio, rounded(codes)[:, 0]) < 2e-5


def test_bf16_is_closer_to_fp32_than_the_official_decoder_in_bf16() -> None:
    case = subject("wide")
    codes, expected = case.codes[:2, :, :40], case.audio[:2, : 40 * FRAME]
    codec = CodecDecoder(case.official, torch.bfloat16)
    ours = streamed(codec, codes, codec.init_state(2, "cpu"), [0, 1], [4])
    theirs = copy.deepcopy(case.official).bfloat16()(codes)[:, 0].float()
    assert ours.dtype == torch.float32
    assert (ours - expected).square().mean() < (theirs - expected).square().mean()


def test_the_state_of_a_slot_has_the_size_that_the_layers_ask_for() -> None:
    state = subject("tiny").state(3)
    # 72 - 1 past frames and room for 9 new ones; keys and values; 2 layers of 2 heads of 8.
    windows = 80 * 2 * 2 * 2 * 8
    assert sum(window[0].numel() for window in state.windows) == windows
    assert state.bytes_per_slot == 4 * (windows + state.past.shape[1]) + 8


# ---------------------------------------------------------------- fake CUDA tensors


def test_a_call_can_be_captured_as_a_graph() -> None:
    """Fake tensors refuse what breaks a capture: values read back, shapes that depend on data."""
    official = subject("tiny").official
    with FakeTensorMode(), torch.device("cuda"):
        codec = CodecDecoder(type(official)(official.config).eval())
        state = codec.init_state(5, "cuda")
        rows = torch.zeros(3, dtype=torch.int64)
        codes = torch.zeros(3, 16, 12, dtype=torch.int64)
        pcm = codec.decode(codes, state, rows)
        assert pcm.shape == (3, 12 * FRAME)
        assert pcm.dtype == torch.int16 and pcm.device.type == "cuda"
        codec.prime(codes, state, rows)
        state.reset(2)
