"""Prometheus metrics. Never labelled by client: their number has no bound."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from qwen3_tts_live.errors import SpeechError
from qwen3_tts_live.synthesizer import (
    EngineMetrics,
    Finished,
    InterruptReport,
    SynthesizerStatus,
)

__all__ = ["Metrics"]

_FAST = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_RATIO = (0.001, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 5.0)

# Fields of EngineMetrics, and what they are.
_ENGINE_COUNTERS = {
    "steps": "Turns of the engine",
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
    """The metrics of one application, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "tts_requests", "Speech requests by outcome", ["outcome"], registry=registry
        )
        self._ttfb = Histogram(
            "tts_ttfb_seconds", "First text to first audio byte", buckets=_FAST, registry=registry
        )
        self._queue_wait = Histogram(
            "tts_queue_wait_seconds",
            "Request to start of synthesis",
            buckets=_FAST,
            registry=registry,
        )
        self._rtf = Histogram(
            "tts_rtf",
            "Wall time by audio time, below 1 is faster",
            buckets=_RATIO,
            registry=registry,
        )
        self._audio = Counter("tts_audio_seconds", "Audio sent", registry=registry)
        self._interrupts = Counter("tts_interrupts", "Interrupts received", registry=registry)
        self._cancelled = Counter(
            "tts_interrupted_utterances", "Utterances that interrupts ended", registry=registry
        )
        self._interrupt_seconds = Histogram(
            "tts_interrupt_seconds",
            "Interrupt received to work stopped",
            buckets=_FAST,
            registry=registry,
        )
        self._active = Gauge("tts_active_streams", "Utterances being made", registry=registry)
        self._queued = Gauge("tts_queued_streams", "Utterances waiting", registry=registry)
        self._clients = Gauge("tts_clients", "Clients remembered", registry=registry)
        self._engine = _EngineCollector()
        registry.register(self._engine)

    def request_ended(self, outcome: str) -> None:
        """Count a request: completed, interrupted, failed, refused or left."""
        self._requests.labels(outcome).inc()

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Count a request whose queueing fails."""
        try:
            yield
        except SpeechError:
            self.request_ended("refused")
            raise

    def finished(self, finished: Finished, seconds: float, audio_seconds: float) -> None:
        """Take the timings of a request that reached its end, `seconds` after it came."""
        self.request_ended(finished.reason)
        if finished.ttfb_seconds is not None:
            self._ttfb.observe(finished.ttfb_seconds)
        if finished.queue_seconds is not None:
            self._queue_wait.observe(finished.queue_seconds)
        if audio_seconds:
            self._rtf.observe(seconds / audio_seconds)
            self._audio.inc(audio_seconds)

    def interrupted(self, report: InterruptReport, seconds: float) -> None:
        """Count an interrupt that took `seconds`."""
        self._interrupts.inc()
        self._cancelled.inc(len(report.stopped) + len(report.flushed))
        self._interrupt_seconds.observe(seconds)

    def render(self, status: SynthesizerStatus | None) -> bytes:
        """Return the metrics as Prometheus text; `status` is None while the model loads."""
        if status is not None:
            self._active.set(status.active)
            self._queued.set(status.queued)
            self._clients.set(status.sessions)
            self._engine.now = status.engine
        return generate_latest(self.registry)


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
