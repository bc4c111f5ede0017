"""A runner without a model: it says one frame a text token, and holds callers to the contract."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qwen3_tts_live.model.contract import Frame, Prompt, Sampling

FRAME = 1920


def prompt(voice: int, tokens: int, *, complete: bool = True, layout: str = "track") -> Prompt:
    """Return a prompt of `tokens` text tokens, all of the id `voice`."""
    return Prompt(text_ids=(voice,) * tokens, text_complete=complete, layout=layout)


def value(voice: int, frame: int) -> int:
    """Return what every sample of that frame is."""
    return voice * 100 + frame % 100


@dataclass
class _Row:
    prompt: Prompt
    sampling: Sampling
    text: list[int]
    complete: bool
    decoded: int = 0
    vocoded: int = 0
    ended: bool = False


@dataclass
class FakeRunner:
    """Scripted; `endless` never ends, `looping` repeats codebook 0, `fail` raises in a method."""

    slots: int = 2
    endless: bool = False
    looping: bool = False
    fail: dict[str, Exception] = field(default_factory=dict)
    before_decode: Callable[[], None] = lambda: None
    rows: dict[int, _Row] = field(default_factory=dict)
    batches: list[tuple[int, ...]] = field(default_factory=list)  # voices of each decode
    chunks: list[int] = field(default_factory=list)
    started: list[int] = field(default_factory=list)
    released: int = 0

    def _enter(self, method: str) -> None:
        if (error := self.fail.get(method)) is not None:
            raise error

    def start(self, slot: int, prompt: Prompt, sampling: Sampling) -> None:
        self._enter("start")
        assert 0 <= slot < self.slots and slot not in self.rows, "the slot is taken"
        assert prompt.text_ids and (prompt.text_complete or prompt.layout == "track")
        self.rows[slot] = _Row(prompt, sampling, list(prompt.text_ids), prompt.text_complete)
        self.started.append(prompt.text_ids[0])

    def append_text(self, slot: int, text_ids: Sequence[int], *, complete: bool) -> None:
        self._enter("append_text")
        row = self.rows[slot]
        assert not row.complete, "text after its end"
        row.text += text_ids
        row.complete = complete

    def decode(self, slots: Sequence[int]) -> list[Frame]:
        self.before_decode()
        self._enter("decode")
        self.batches.append(tuple(self.rows[slot].text[0] for slot in slots))
        return [self._decode(slot) for slot in slots]

    def _decode(self, slot: int) -> Frame:
        row = self.rows[slot]
        assert not row.ended, "decoded after its end"
        assert row.complete or len(row.text) > row.decoded, "decoded ahead of its text"
        if row.complete and row.decoded == len(row.text) and not self.endless:
            row.ended = True
            return Frame(slot, None)
        row.decoded += 1
        return Frame(slot, (0 if self.looping else row.decoded, *[7] * 15))

    def vocode(self, slots: Sequence[int], frames: int) -> list[NDArray[np.int16]]:
        self._enter("vocode")
        self.chunks.append(frames)
        return [self._vocode(self.rows[slot], frames) for slot in slots]

    def _vocode(self, row: _Row, frames: int) -> NDArray[np.int16]:
        first = row.vocoded
        row.vocoded += frames
        assert row.vocoded <= row.decoded, "vocoded what was not decoded"
        values = [value(row.text[0], first + n) for n in range(frames)]
        return np.repeat(np.array(values, np.int16), FRAME)

    def release(self, slot: int) -> None:
        self._enter("release")
        self.rows.pop(slot, None)
        self.released += 1
