"""benchmarks/soak.py in short: it works, and finds a server that does not stay as it is."""

from __future__ import annotations

import argparse

import soak


async def test_a_short_soak_finds_a_server_that_stays_as_it_is() -> None:
    options = argparse.Namespace(
        engine="fake",
        minutes=0.02,
        warm_up=0,
        clients=6,
        pause=0.05,
        every=0.3,
        idle=1.0,
        seed=1,
        trace=False,
    )
    result = await soak.measure(options)
    assert result["faults"] == []
    assert isinstance(result["before"], dict) and isinstance(result["after"], dict)
    for name in ("connections", "streams", "sessions", "utterances"):
        assert result["before"][name] == result["after"][name] == 0, name
    assert result["after"]["tasks"] == result["before"]["tasks"]
    assert sum(result["deeds"].values()) > 5  # type: ignore[attr-defined]


def sample(seconds: float, **held: float) -> dict[str, float]:
    quiet = dict.fromkeys(soak.COUNTS, 5.0) | {"rss_mib": 100.0, "objects": 1.0}
    return quiet | {"seconds": seconds} | held


def test_a_leak_is_told_from_breathing() -> None:
    quiet = sample(0)
    breathing = [sample(t, rss_mib=105 if t % 3 else 100) for t in range(100)]
    leaking = [sample(t, rss_mib=100 + 0.1 * t) for t in range(100)]
    assert soak.judged(quiet, breathing, quiet, 0)["verdict"] == "stays as it is"
    found = soak.judged(quiet, leaking, sample(100, tasks=6, fds=4), 2)
    assert found["verdict"] == "1 more tasks than before; memory rose by 4.7 MiB; 2 faults"
    assert found["rss_slope_mib_per_hour"] == 360.0
    died = soak.judged(quiet, breathing, sample(100, tasks=4, threads=4), 0)
    assert died["verdict"] == "1 fewer tasks than before"
