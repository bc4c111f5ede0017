"""One request, one utterance: in its client's session, or in one that is for it alone.

Knows nothing about what requests look like, nor about who sends the audio.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from qwen3_tts_live.backend import to_the_end
from qwen3_tts_live.synthesizer import SessionOptions, Utterance
from qwen3_tts_server.accounts import Account
from qwen3_tts_server.streaming import Shared

__all__ = ["uttering"]


@asynccontextmanager
async def uttering(
    shared: Shared,
    account: Account,
    text: str,
    options: SessionOptions,
    session_id: str | None = None,
) -> AsyncIterator[Utterance]:
    """Yield an utterance of `text`, which waits for nobody unless it has a session's id.

    Raises:
        SpeechError: there is no room for it, or the options make no sense.
    """
    account.asks(options, session_id or "")
    account.text(text)
    name = session_id or f"speech-{secrets.token_hex(8)}"
    session = await shared.synthesizer().open_session(session_id=name)
    try:
        yield session.utter(text, options=options)
    finally:
        if session_id is None:
            await to_the_end(session.aclose())
