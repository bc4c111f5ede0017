"""What one speech request was and came to: the metrics count it and the log tells it.

Every route that speaks keeps one for each request or utterance, so that all are counted alike.
Knows nothing about what requests look like.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Protocol

from aiohttp import web

from qwen3_tts_live.audio import SAMPLE_RATE
from qwen3_tts_live.synthesizer import Finished
from qwen3_tts_server.metrics import Metrics

__all__ = ["ACCOUNT", "Account"]


class _Spoken(Protocol):
    @property
    def voice(self) -> str | None: ...
    @property
    def language(self) -> str: ...


class Account:
    """One request, from its coming to its end, of which there is one: the first that is told.

    Attributes:
        request_id: what the log and errors call it.
        outcome: completed, interrupted, failed, left or refused; empty until it is over.
        code: of the error that ended it.
        seconds: how long it took, when it is over.

    Args:
        metrics: where to count.
        request_id: its id.
        log_text: keep its text for the log.
        told: called when it is over.
        clock: seconds, rising.
    """

    def __init__(
        self,
        metrics: Metrics,
        request_id: str,
        *,
        log_text: bool = False,
        told: Callable[[Account], None] = lambda account: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.request_id = request_id
        self.outcome = self.code = ""
        self.seconds = 0.0
        self._metrics = metrics
        self._told = told
        self._clock = clock
        self._arrived = clock()
        self._asked: dict[str, object] = {}
        self._characters = 0
        self._texts: list[str] | None = [] if log_text else None
        self._samples = 0
        self._look_at = 0  # samples handed out, when to look how far ahead they are
        self._began = 0.0
        self._finished: Finished | None = None

    def asks(self, options: _Spoken, session_id: str = "") -> None:
        """Note how it is to be spoken, and in whose session, where that has a name."""
        if session_id:
            self._asked["client"] = hashlib.sha256(session_id.encode()).hexdigest()[:12]
        self._asked |= {"voice": (options.voice or "")[:64], "language": options.language[:64]}

    def text(self, text: str) -> None:
        """Note text, or more of it."""
        self._characters += len(text)
        if self._texts is not None:
            self._texts.append(text)

    def handed_out(self, samples: int) -> None:
        """Note audio that is on its way to the client."""
        if self._samples >= self._look_at:
            self._look()
        self._samples += samples

    def _look(self) -> None:
        # Once a second of audio, before more is handed out: when the lead is at its smallest.
        now = self._clock()
        if self._samples:
            self._metrics.lead.observe(self._samples / SAMPLE_RATE - (now - self._began))
        else:
            self._began = now
        self._look_at = self._samples + SAMPLE_RATE

    def finished(self, event: Finished) -> None:
        """Note that it has come to its end."""
        if not self.outcome:
            self._finished = event
            self.ended(event.reason)

    def ended(self, outcome: str, code: str = "") -> None:
        """Note that it is over; `code` is the error's that ended it, if one did."""
        if self.outcome:
            return
        self.outcome, self.code = outcome, code
        self.seconds = self._clock() - self._arrived
        self._metrics.request_ended(outcome, self._samples / SAMPLE_RATE, self._finished)
        if outcome == "refused":
            self._metrics.refused(code)
        self._told(self)

    @property
    def fields(self) -> dict[str, object]:
        """What the log tells of it: who asks is hashed, and what is said is not among it."""
        seconds = self._samples / SAMPLE_RATE
        found: dict[str, object] = {"outcome": self.outcome} | self._asked
        found |= {"characters": self._characters, "audio_seconds": round(seconds, 3)}
        if self.code:
            found["code"] = self.code
        if (end := self._finished) is not None:
            found["queue_ms"] = _ms(end.queue_seconds)
            found["ttfb_ms"] = _ms(end.ttfb_seconds)
            found["ttfa_ms"] = _ms(end.ttfa_seconds)
        if self._texts is not None:
            found["text"] = "".join(self._texts)
        return found


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 1)


#: Of the HTTP requests that speak.
ACCOUNT = web.RequestKey("account", Account)
