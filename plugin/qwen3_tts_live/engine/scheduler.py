"""Which slots start, decode and vocode next. Pure Python: no tensors, no threads, no audio.

A speech waits in the queue, gets a slot, decodes frame by frame, and hands its frames to the
codec in chunks. It rests at no cost while its next text has not arrived, and while its consumer
has more audio than it takes. All others decode one frame a step, together: nothing can starve.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal, TypeAlias

from qwen3_tts_live.engine.guards import Guard
from qwen3_tts_live.engine.requests import EndReason, Request
from qwen3_tts_live.model.contract import Frame, Prompt

__all__ = ["Scheduler", "Speech", "State"]

#: What a speech does: without a slot `queued`; with one, `waiting_text` and `parked` rest,
#: `decoding` gets a frame in each step, `ending` only has frames left to vocode.
State: TypeAlias = Literal["queued", "waiting_text", "parked", "decoding", "ending"]

# Prefills are not batched, and everyone who speaks waits for them: with all slots at once, a
# burst of callers is an audible gap for the others; with 1, the last of a burst waits a step
# for each before it.
_STARTS_A_STEP = 4


class Speech:
    """One request on its way."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.slot: int | None = None
        self.end: EndReason | None = None
        self.pending = 0  # frames decoded and not yet vocoded
        self._guard = Guard(request.limits)
        self._text_ids = list(request.prompt.text_ids)  # until it starts; then the runner has them
        self._text_tokens = len(self._text_ids)
        self._text_complete = request.prompt.text_complete
        self._frames = 0  # decoded
        self._chunks = 0  # vocoded
        self._ahead = 0  # frames handed out and not taken

    @property
    def state(self) -> State:
        """What it does now."""
        if self.slot is None:
            return "queued"
        if self.end is not None:
            return "ending"
        if not self._has_text:
            return "waiting_text"
        return "parked" if self._ahead >= self.request.max_ahead else "decoding"

    @property
    def startable(self) -> bool:
        """Whether it waits for nothing but a slot."""
        return self.slot is None and self._has_text and not self.says_nothing

    @property
    def says_nothing(self) -> bool:
        """Whether its text is known to be empty."""
        return self._text_complete and self._text_tokens == 0

    @property
    def prompt(self) -> Prompt:
        """The prompt with the text that has arrived so far; forgets that text."""
        ids, self._text_ids = tuple(self._text_ids), []
        return replace(self.request.prompt, text_ids=ids, text_complete=self._text_complete)

    @property
    def due(self) -> int:
        """How many frames to vocode now: a whole chunk, what is left at the end, or none."""
        chunk = self.request.chunks.frames(self._chunks)
        if self.pending >= chunk:
            return chunk
        return self.pending if self.end is not None else 0

    def append(self, text_ids: Iterable[int], *, complete: bool) -> None:
        """Note text that arrived."""
        ids = list(text_ids)
        self._text_tokens += len(ids)
        self._text_complete = complete
        if self.slot is None:
            self._text_ids += ids

    def decoded(self, frame: Frame) -> None:
        """Note a frame, or the end of the speech."""
        if frame.codes is None:
            self.end = "eos"
            return
        self._frames += 1
        self.pending += 1
        self.end = self._guard.check(
            frame, text_tokens=self._text_tokens, text_complete=self._text_complete
        )

    def vocoded(self, frames: int) -> None:
        """Note a chunk that was handed out."""
        self.pending -= frames
        self._chunks += 1
        self._ahead += frames

    def taken(self, frames: int) -> None:
        """Note that the consumer took so many frames."""
        self._ahead -= frames

    @property
    def _has_text(self) -> bool:
        return self._text_complete or self._text_tokens >= self._text_needed

    @property
    def _text_needed(self) -> int:
        """How many text tokens the next frame needs where the text is laid along the frames.

        The reference's own text and its frames come before: row n of the text track holds the
        n-th token of both texts, and the prefill covers as many rows as it has codec rows.
        """
        prompt = self.request.prompt
        if prompt.layout == "prefill":
            return self._text_tokens + 1  # all of it, so never enough before it is complete
        codes = 0 if prompt.reference_codes is None else len(prompt.reference_codes)
        return max(1, codes + 1 - len(prompt.reference_text_ids) + self._frames)


class Scheduler:
    """The speeches of one engine and the slots that they have.

    Args:
        slots: speeches that may hold a slot at once.
    """

    def __init__(self, slots: int) -> None:
        # The lowest free slot first keeps the used ones together, so small batches stay small.
        self._free = list(range(slots))
        self._queue: dict[int, Speech] = {}  # without a slot, by request id, in order of arrival
        self._by_slot: dict[int, Speech] = {}
        self._by_id: dict[int, Speech] = {}  # both

    def get(self, request_id: int) -> Speech | None:
        """Return the speech of that request, if it is not over."""
        return self._by_id.get(request_id)

    def all(self) -> list[Speech]:
        """Return every speech, in the order of arrival."""
        return list(self._by_id.values())

    @property
    def queued(self) -> int:
        """Speeches without a slot."""
        return len(self._queue)

    @property
    def active(self) -> int:
        """Speeches that hold a slot."""
        return len(self._by_slot)

    def count(self, state: State) -> int:
        """Return how many speeches that hold a slot are in `state`."""
        return sum(speech.state == state for speech in self._by_slot.values())

    @property
    def idle(self) -> bool:
        """Whether a step would do nothing until a command comes."""
        if any(speech.state in ("decoding", "ending") for speech in self._by_slot.values()):
            return False
        return not self._free or not any(speech.startable for speech in self._queue.values())

    def submit(self, request: Request) -> Speech:
        """Queue a request; its id must be new."""
        assert request.id not in self._by_id
        speech = self._queue[request.id] = self._by_id[request.id] = Speech(request)
        return speech

    def admit(self) -> list[Speech]:
        """Give free slots to speeches whose first text is there, first come first served."""
        room = min(len(self._free), _STARTS_A_STEP)
        startable = (speech for speech in self._queue.values() if speech.startable)
        admitted = list(itertools.islice(startable, room))
        for speech in admitted:
            del self._queue[speech.request.id]
            speech.slot = heapq.heappop(self._free)
            self._by_slot[speech.slot] = speech
        return admitted

    def to_decode(self) -> list[Speech]:
        """Return the speeches that get a frame in this step, by slot."""
        running = sorted(self._by_slot.items())
        return [speech for _, speech in running if speech.state == "decoding"]

    def to_vocode(self) -> dict[int, list[Speech]]:
        """Return the speeches that have a chunk to hand out, by the chunk's frames."""
        due: dict[int, list[Speech]] = {}
        for _, speech in sorted(self._by_slot.items()):
            if speech.due:
                due.setdefault(speech.due, []).append(speech)
        return due

    def finished(self) -> list[Speech]:
        """Return the speeches that have ended and handed everything out."""
        return [s for s in self._by_slot.values() if s.end is not None and not s.pending]

    def remove(self, speech: Speech) -> None:
        """Forget a speech; its slot is free."""
        del self._by_id[speech.request.id]
        if speech.slot is None:
            del self._queue[speech.request.id]
        else:
            del self._by_slot[speech.slot]
            heapq.heappush(self._free, speech.slot)
