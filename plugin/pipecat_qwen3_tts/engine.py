"""The one session that a service speaks through, and the engine it belongs to.

An engine given by its address is opened here and closed here; one that was given open stays its
owner's. Knows the seam, and nothing of Pipecat.
"""

from __future__ import annotations

from qwen3_tts_live import (
    QwenOptions,
    Session,
    SessionOptions,
    SpeechError,
    Synthesizer,
    open_synthesizer,
)

__all__ = ["Engine"]


class Engine:
    """A session on an engine, opened when it is needed and as often as it is lost.

    Args:
        engine: an address, or an open engine.
        qwen: how Qwen3-TTS runs; for `qwen:` addresses alone.
        api_key: for a server.

    Attributes:
        session: the open session, if there is one.
    """

    def __init__(
        self, engine: str | Synthesizer, qwen: QwenOptions | None, api_key: str | None
    ) -> None:
        self.session: Session | None = None
        self._address = engine if isinstance(engine, str) else None
        self._synthesizer = None if isinstance(engine, str) else engine
        self._qwen = qwen
        self._api_key = api_key

    @property
    def model(self) -> str | None:
        """The model's name, once it is known."""
        return None if self._synthesizer is None else self._synthesizer.info.model

    async def connect(self, options: SessionOptions) -> Session:
        """Return the session; opens it, and the engine, if they are not.

        Raises:
            SpeechError: they cannot be opened.
        """
        if self.session is None:
            try:
                if self._synthesizer is None and self._address is not None:
                    self._synthesizer = await open_synthesizer(
                        self._address, qwen=self._qwen, api_key=self._api_key
                    )
                assert self._synthesizer is not None
                self.session = await self._synthesizer.open_session(options)
            except SpeechError:
                await self._close_own()  # it may be the engine that is gone
                raise
        return self.session

    async def check(self, options: SessionOptions) -> None:
        """Do nothing if the session can speak like this, or if there is none.

        Raises:
            InvalidRequestError: it cannot.
        """
        if self.session is not None and self._synthesizer is not None:
            await self._synthesizer.open_session(options, session_id=self.session.id)

    def lost(self) -> None:
        """Forget the session: it is gone."""
        self.session = None

    async def aclose(self) -> None:
        """Close what was opened here. May be called twice."""
        if self.session is not None:
            session, self.session = self.session, None
            await session.aclose()
        await self._close_own()

    async def _close_own(self) -> None:
        if self._address is not None and self._synthesizer is not None:
            synthesizer, self._synthesizer = self._synthesizer, None
            await synthesizer.aclose()
