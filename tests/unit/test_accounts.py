"""What is counted and logged of one request for speech."""

from __future__ import annotations

import hashlib

from fakes import FakeClock
from observing import samples_of
from qwen3_tts_live.audio import SAMPLE_RATE
from qwen3_tts_live.synthesizer import Finished, InterruptReport, SessionOptions
from qwen3_tts_server.accounts import Account
from qwen3_tts_server.metrics import Metrics

END = Finished("u", "completed", SAMPLE_RATE * 2, 0.5, 0.75, 0.8125, 0.5)


def test_an_end_is_counted_once_with_all_its_times() -> None:
    clock, metrics, told = FakeClock(), Metrics(), list[Account]()
    account = Account(metrics, "r", told=told.append, clock=clock)
    account.asks(SessionOptions(voice="bert", language="German"), "somebody")
    account.text("Guten ")
    account.text("Tag.")
    account.handed_out(SAMPLE_RATE)
    account.handed_out(SAMPLE_RATE)
    clock.now += 3
    account.finished(END)
    account.ended("left")
    account.ended("failed", "backend_error")
    assert told == [account]
    assert account.seconds == 3
    assert account.fields == {
        "outcome": "completed",
        "client": hashlib.sha256(b"somebody").hexdigest()[:12],
        "voice": "bert",
        "language": "German",
        "characters": 10,
        "audio_seconds": 2.0,
        "queue_ms": 500.0,
        "ttfb_ms": 750.0,
        "ttfa_ms": 812.5,
    }
    found = samples_of(metrics)
    assert found['tts_requests_total{outcome="completed"}'] == 1
    assert found["tts_audio_seconds_total"] == 2
    for name, value in (
        ("tts_queue_wait_seconds", 0.5),
        ("tts_ttfb_seconds", 0.75),
        ("tts_ttfa_seconds", 0.8125),
        ("tts_rtf", 0.25),
    ):
        assert (found[f"{name}_count"], found[f"{name}_sum"]) == (1, value), name


def test_the_audio_of_a_request_that_is_left_or_interrupted_counts_too_but_its_speed_does_not() -> (
    None
):
    metrics = Metrics()
    left, interrupted = Account(metrics, "r"), Account(metrics, "s")
    for account in (left, interrupted):
        account.handed_out(SAMPLE_RATE // 2)
    left.ended("left")
    interrupted.finished(Finished("u", "interrupted", SAMPLE_RATE // 2, 0.0, 0.1, None, 4.0))
    found = samples_of(metrics)
    assert found["tts_audio_seconds_total"] == 1
    assert (found["tts_ttfb_seconds_count"], found["tts_ttfa_seconds_count"]) == (1, 0)
    assert found["tts_rtf_count"] == 0


def test_a_refusal_is_counted_by_its_code() -> None:
    metrics = Metrics()
    account = Account(metrics, "r")
    account.ended("refused", "queue_full")
    found = samples_of(metrics)
    assert found['tts_requests_total{outcome="refused"}'] == 1
    assert found['tts_refusals_total{code="queue_full"}'] == 1
    assert account.fields["code"] == "queue_full"


def test_the_lead_is_looked_at_before_each_second_of_audio_goes_out() -> None:
    clock, metrics = FakeClock(), Metrics()
    account = Account(metrics, "r", clock=clock)
    for _ in range(20):  # chunks of 100 ms, every 40 ms: 10 were out after 400 ms
        account.handed_out(SAMPLE_RATE // 10)
        clock.now += 0.04
    clock.now += 2.4  # and 20 after 3.2 s
    account.handed_out(SAMPLE_RATE // 10)
    found = samples_of(metrics)
    buckets = ("-2.0", "-0.5", "0.5", "1.0", "+Inf")
    counts = [found[f'tts_lead_seconds_bucket{{le="{le}"}}'] for le in buckets]
    assert counts == [0, 1, 1, 2, 2]


def test_text_is_kept_only_if_that_was_asked_for() -> None:
    for asked in (False, True):
        account = Account(Metrics(), "r", log_text=asked)
        account.text("My secret.")
        account.ended("left")
        assert ("My secret." in str(account.fields)) is asked


def test_an_interrupt_that_had_nothing_to_stop_does_not_look_fast() -> None:
    metrics = Metrics()
    metrics.interrupted(InterruptReport("s", (), (), 0, 0), 0.0001)
    metrics.interrupted(InterruptReport("s", ("a",), ("b", "c"), 10, 5), 0.03)
    found = samples_of(metrics)
    assert found["tts_interrupts_total"] == 2
    assert found["tts_interrupted_utterances_total"] == 3
    assert (found["tts_interrupt_seconds_count"], found["tts_interrupt_seconds_sum"]) == (1, 0.03)
