"""docs/protocol.md says what is true: its examples are messages, and its client speaks."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

from fakes import CHUNK, ScriptedBackend
from qwen3_tts_live import errors, wire
from qwen3_tts_live.session import LiveSynthesizer
from serving import serving

PAGE = (Path(__file__).parents[2] / "docs/protocol.md").read_text()
FROM_CLIENT, FROM_SERVER = PAGE.split("## From the server")


def examples(text: str) -> list[str]:
    return re.findall(r"```json\n(.*?)```", text, re.DOTALL)


def kinds(union: object) -> set[str]:
    return {kind.model_fields["type"].default for kind in union.__args__}  # type: ignore[attr-defined]


def test_every_message_has_an_example_that_is_one() -> None:
    assert {wire.parse_from_client(x).type for x in examples(FROM_CLIENT)} == kinds(
        wire.ClientMessage
    )
    assert {wire.parse_from_server(x).type for x in examples(FROM_SERVER)} == kinds(
        wire.ServerMessage
    )


def test_every_option_and_every_field_of_a_message_is_shown() -> None:
    for text, union in ((FROM_CLIENT, wire.ClientMessage), (FROM_SERVER, wire.ServerMessage)):
        shown: dict[str, set[str]] = {}
        for message in map(json.loads, examples(text)):
            shown.setdefault(message["type"], set()).update(message)
        for kind in union.__args__:
            fields = set(kind.model_fields)
            missing = fields - shown[kind.model_fields["type"].default]
            # An error names a request or an utterance; the example shows one of them.
            assert missing <= ({"request"} if kind is wire.Error else set())
    (opened,) = [m for m in map(json.loads, examples(FROM_CLIENT)) if m["type"] == "open"]
    assert set(opened["options"]) == set(wire.Options.model_fields)


def test_every_code_that_a_server_sends_is_in_the_table() -> None:
    elsewhere = {"speech_error", "connection_lost"}  # the base, and what only clients know
    voices = {"voice_exists", "storage"}  # of the routes that add and remove voices
    for name in errors.__all__:
        code = getattr(errors, name).code
        assert f"`{code}`" in PAGE or code in elsewhere | voices, code


async def test_the_client_on_the_page_speaks(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(import asyncio.*?)```", PAGE, re.DOTALL)
    async with LiveSynthesizer(ScriptedBackend()) as behind, serving(behind) as address:
        program = tmp_path / "client.py"
        program.write_text(code.replace("ws://localhost:9000", address))
        process = await asyncio.create_subprocess_exec(
            sys.executable, program, stdout=-1, stderr=-1
        )
        out, log = await process.communicate()
    assert process.returncode == 0, log.decode()
    assert len(out) == len("Hello there.") * CHUNK * 2
    assert "completed" in log.decode()
