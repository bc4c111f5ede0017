"""Reading what a server tells about itself: its log and its metrics."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from qwen3_tts_server.logs import dress
from qwen3_tts_server.metrics import Metrics
from serving import Running


class Written:
    """What a log has written."""

    def __init__(self, log_format: str) -> None:
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        dress(self.handler, log_format)

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    def of(self, request_id: str) -> list[dict[str, Any]]:
        """Return the lines of a request."""
        return [line for line in self.objects if line.get("request_id") == request_id]


@contextmanager
def writing(log_format: str) -> Iterator[Written]:
    """Have all that our packages log, and others from a warning on, written down."""
    written = Written(log_format)
    logging.getLogger().addHandler(written.handler)
    ours = [logging.getLogger(name) for name in ("qwen3_tts_live", "qwen3_tts_server")]
    for logger in ours:
        logger.setLevel(logging.DEBUG)
    yield written
    for logger in ours:
        logger.setLevel(logging.NOTSET)
    logging.getLogger().removeHandler(written.handler)


def samples(text: str) -> dict[str, float]:
    """Return each sample by its name and labels, as in `tts_requests_total{outcome="left"}`."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


def samples_of(metrics: Metrics) -> dict[str, float]:
    return samples(metrics.render("ready", None).decode())


async def scrape(running: Running) -> dict[str, float]:
    async with running.client.get("/metrics") as response:
        assert response.status == 200
        return samples(await response.text())
