from __future__ import annotations

import numpy as np
from hypothesis import given, settings, strategies

from qwen3_tts_live.audio import SAMPLE_RATE, AudioChunk, Resampler, first_audible, to_pcm16


def test_a_chunk_is_little_endian_bytes_of_its_samples() -> None:
    chunk = AudioChunk("u", 0, np.array([1, -2, 256], np.int16))
    assert chunk.data == b"\x01\x00\xfe\xff\x00\x01"
    assert chunk.seconds == 3 / SAMPLE_RATE


def test_floats_become_pcm_by_rounding_and_loud_ones_are_clipped() -> None:
    samples = np.array([0, 1, -1, 2, -2, 0.5, 1.4 / 32767], np.float32)
    assert to_pcm16(samples).tolist() == [0, 32767, -32767, 32767, -32767, 16384, 1]


def test_the_first_audible_sample_is_above_minus_50_dbfs_in_either_direction() -> None:
    for loud in (101, -101, 32767, -32768):
        assert first_audible(np.array([0, 100, -100, loud, 0], np.int16)) == 3
    assert first_audible(np.array([0, 100, -100], np.int16)) is None
    assert first_audible(np.array([], np.int16)) is None


@settings(max_examples=20)
@given(cuts=strategies.lists(strategies.integers(0, 22_050), max_size=8))
def test_resampling_in_pieces_equals_resampling_at_once(cuts: list[int]) -> None:
    tone = (8000 * np.sin(np.arange(22_050) / 9)).astype(np.int16)
    whole = Resampler(22_050).push(tone, last=True)
    resampler = Resampler(22_050)
    pieces = np.split(tone, sorted(cuts))
    joined = [resampler.push(piece, last=piece is pieces[-1]) for piece in pieces]
    # soxr dithers its 16-bit output, so the last bit or two may differ.
    assert np.abs(np.concatenate(joined).astype(int) - whole).max() <= 3
    assert abs(len(whole) - SAMPLE_RATE) <= 1
