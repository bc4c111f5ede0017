"""Prometheus metrics. Never labelled by client: their number has no bound."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Metric,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from qwen3_tts_live.audio import SAMPLE_RATE
from qwen3_tts_live.synthesizer import EngineMetrics, Finished, InterruptReport, Synthesizer
from qwen3_tts_server.progress import State

__all__ = ["Metrics"]

_OUTCOMES = ("completed", "interrupted", "failed", "left", "refused")

_FAST = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_RATIO = (0.001, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 5.0)
# Of a tenth of a second more than a player's usual buffer, and of what an interrupt wastes.
_LEAD = (-10.0, -2.0, -0.5, -0.1, 0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0)
_LAG = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)

# Fields of EngineMetrics, and what they are.
_ENGINE_COUNTERS = {
    "steps": "Turns of the engine",
    "slot_steps": "Segments that decoded in a turn, summed over all turns",
    "frames": "Codec frames decoded, 80 ms of audio each",
    "step_seconds": "Time that all turns took",
}
_ENGINE_GAUGES = {
    "alive": "1 while the engine takes requests",
    "last_step_seconds": "Time that the last turn took",
    "batch": "Segments that the last turn decoded a frame of",
    "active": "Segments that hold a slot",
    "queued": "Segments that wait for a slot or their first text",
    "parked": "Segments whose consumer has audio enough",
    "waiting_text": "Segments whose next text has not arrived",
    "cancel_seconds": "Longest time from a cancellation to the free slot",
    "last_cancel_seconds": "Time from the last cancellation to the free slot",
}


class Metrics:
    """The metrics of one application, in a registry of their own.

    Attributes:
        lead: seconds of audio handed out beyond real time.
        lag: seconds that the event loop was late.
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()

        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(name, what, labels, registry=registry)

        def gauge(name: str, what: str, *labels: str) -> Gauge:
            return Gauge(name, what, labels, registry=registry)

        def histogram(name: str, what: str, buckets: tuple[float, ...] = _FAST) -> Histogram:
            return Histogram(name, what, buckets=buckets, registry=registry)

        self._requests = counter("tts_requests", "Speech requests by outcome", "outcome")
        for outcome in _OUTCOMES:  # a rate needs a value before the first event
            self._requests.labels(outcome)
        self._refusals = counter("tts_refusals", "Requests refused, by error code", "code")
        self._ttfb = histogram("tts_ttfb_seconds", "First text to first audio byte")
        self._ttfa = histogram("tts_ttfa_seconds", "First text to first audible sample")
        self._queue_wait = histogram("tts_queue_wait_seconds", "Request to start of synthesis")
        self._rtf = histogram("tts_rtf", "Time of synthesis by audio time", _RATIO)
        self.lead = histogram("tts_lead_seconds", "Audio handed out beyond real time", _LEAD)
        self._audio = counter("tts_audio_seconds", "Audio handed out")
        self._interrupts = counter("tts_interrupts", "Interrupts received")
        self._cancelled = counter("tts_interrupted_utterances", "Utterances that interrupts ended")
        self._interrupt_seconds = histogram(
            "tts_interrupt_seconds", "Interrupt received to work stopped, where there was work"
        )
        self.lag = histogram("tts_event_loop_lag_seconds", "How late the event loop was", _LAG)
        self._active = gauge("tts_active_streams", "Utterances being made")
        self._queued = gauge("tts_queued_streams", "Utterances waiting")
        self._clients = gauge("tts_clients", "Clients remembered")
        self._sockets = gauge("tts_websocket_connections", "WebSockets open, by route", "path")
        self._state = Enum(
            "tts_state", "What /ready says", states=get_args(State), registry=registry
        )
        self._build = Info("tts_build", "What runs", registry=registry)
        self._version = version("qwen3-tts-live")
        self._engine = _EngineCollector()
        registry.register(self._engine)
        ProcessCollector(registry=registry)

    def request_ended(self, outcome: str, audio_seconds: float, end: Finished | None) -> None:
        """Count a request for speech.

        Args:
            outcome: completed, interrupted, failed, left or refused.
            audio_seconds: what was handed out.
            end: its timings, if it came to its end.
        """
        self._requests.labels(outcome).inc()
        self._audio.inc(audio_seconds)
        if end is None:
            return
        for histogram, seconds in (
            (self._ttfb, end.ttfb_seconds),
            (self._ttfa, end.ttfa_seconds),
            (self._queue_wait, end.queue_seconds),
        ):
            if seconds is not None:
                histogram.observe(seconds)
        # What an interrupted one had made is not known here, only what it delivered.
        if outcome == "completed" and end.synthesis_seconds and end.samples:
            self._rtf.observe(end.synthesis_seconds * SAMPLE_RATE / end.samples)

    def refused(self, code: str) -> None:
        """Count a request, of whatever kind, that was refused with that error."""
        self._refusals.labels(code).inc()

    def interrupted(self, report: InterruptReport, seconds: float) -> None:
        """Count an interrupt that took `seconds`."""
        self._interrupts.inc()
        if ended := len(report.stopped) + len(report.flushed):
            self._cancelled.inc(ended)
            self._interrupt_seconds.observe(seconds)

    @contextmanager
    def connection(self, path: str) -> Iterator[None]:
        """Count a WebSocket of the route `path` while it is open."""
        with self._sockets.labels(path).track_inprogress():
            yield

    def render(self, state: State, synthesizer: Synthesizer | None) -> bytes:
        """Return the metrics as Prometheus text; there is no synthesizer while it loads."""
        self._state.state(state)
        if synthesizer is not None:
            status = synthesizer.status
            self._active.set(status.active)
            self._queued.set(status.queued)
            self._clients.set(status.sessions)
            self._engine.now = status.engine
        model = "" if synthesizer is None else synthesizer.info.model
        self._build.info({"version": self._version, "model": model})
        return generate_latest(self._registry)


class _EngineCollector(Collector):
    """What the engine counts itself, where the synthesizer has one in this process."""

    def __init__(self) -> None:
        self.now: EngineMetrics | None = None

    def collect(self) -> Iterator[Metric]:
        if (engine := self.now) is None:
            return
        for name, what in _ENGINE_COUNTERS.items():
            yield CounterMetricFamily(f"tts_engine_{name}", what, value=getattr(engine, name))
        for name, what in _ENGINE_GAUGES.items():
            yield GaugeMetricFamily(f"tts_engine_{name}", what, value=getattr(engine, name))
        ended = CounterMetricFamily("tts_engine_ended", "Segments that are over", labels=["reason"])
        for reason, count in engine.ended.items():
            ended.add_metric([reason], count)
        yield ended
