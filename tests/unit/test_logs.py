"""What a line of the log looks like, and whose it is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from observing import Written, writing
from qwen3_tts_server.logs import named

logger = logging.getLogger("qwen3_tts_live.somewhere")


@pytest.fixture
def text() -> Iterator[Written]:
    with writing("text") as written:
        yield written


@pytest.fixture
def objects() -> Iterator[Written]:
    with writing("json") as written:
        yield written


def test_text_is_for_people_and_names_the_request_once(text: Written) -> None:
    logger.info("ready in %.1f s", 1.5)
    with named("abc"):
        logger.warning("it broke off")
        logger.info("GET / 200 request=abc")
    assert text.lines == [
        "INFO    ready in 1.5 s",
        "WARNING it broke off request=abc",
        "INFO    GET / 200 request=abc",
    ]


def test_json_is_one_object_a_line_whatever_is_in_it(objects: Written) -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logger.exception('a "quoted"\nmessage, é', extra={"fields": {"seconds": 0.5}})
    (line,) = objects.objects
    assert str(line.pop("time")).endswith("Z")
    assert "ValueError: two\nlines" in str(line.pop("exception"))
    assert line == {
        "level": "error",
        "logger": "qwen3_tts_live.somewhere",
        "message": 'a "quoted"\nmessage, é',
        "seconds": 0.5,
    }


async def test_tasks_and_threads_that_a_request_starts_log_under_its_id(objects: Written) -> None:
    async def work(name: str) -> None:
        await asyncio.sleep(0)
        logger.info("task of %s", name)
        await asyncio.to_thread(logger.info, "thread of %s", name)

    async def request(name: str) -> None:
        with named(name):
            await asyncio.create_task(work(name))

    await asyncio.gather(request("a"), request("b"))
    logger.info("nobody's")
    found = {(line["message"], line.get("request_id")) for line in objects.objects}
    assert found == {
        ("task of a", "a"),
        ("thread of a", "a"),
        ("task of b", "b"),
        ("thread of b", "b"),
        ("nobody's", None),
    }


def test_a_line_that_says_whose_it_is_keeps_that(objects: Written) -> None:
    with named("connection"):
        logger.info("its utterance", extra={"request_id": "connection-1"})
    assert objects.objects[0]["request_id"] == "connection-1"
