"""Voices that come and go while an engine runs: cloned beside it, kept in a folder, used at once.

Knows nothing about torch or the engine: what encodes a recording is passed in, and runs on a
thread of the library's own, so that neither the event loop nor what is being spoken waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from qwen3_tts_live.backend import to_the_end
from qwen3_tts_live.errors import ClosedError, VoiceExistsError
from qwen3_tts_live.synthesizer import Recording
from qwen3_tts_live.voices.cloning import Cloner
from qwen3_tts_live.voices.voice import Voice, VoiceRegistry

if TYPE_CHECKING:
    from qwen3_tts_live.voices.store import VoiceStore  # needs safetensors

__all__ = ["ClonedVoices"]

_Result = TypeVar("_Result")


class ClonedVoices:
    """The voices of a checkpoint that can clone; see `synthesizer.VoiceLibrary`.

    Args:
        registry: the checkpoint's voices; changed on the event loop alone.
        cloner: makes voices; used on the library's thread alone.
        store: keeps them.
        kept: a voice that may not be removed, because it was chosen to speak where none is asked
            for; None if none was: then it is the first that there is.
    """

    def __init__(
        self, registry: VoiceRegistry, cloner: Cloner, store: VoiceStore, kept: str | None
    ) -> None:
        self._registry = registry
        self._cloner = cloner
        self._store = store
        self._kept = kept
        # One: a recording is encoded with all cores as it is, and two would halve what is left
        # for those who speak. It also makes two of one name come one after the other.
        self._thread = ThreadPoolExecutor(1, "qwen3-tts-voices")
        self._closed = False

    @property
    def names(self) -> tuple[str, ...]:
        """The voices that can be removed."""
        stored = set(self._store.names())
        return tuple(name for name in self._registry.names if name in stored - {self._kept})

    async def add(self, name: str, recording: Recording, *, text: str | None = None) -> None:
        """Clone a voice and keep it; see the protocol."""
        self._check_free(name)
        voice = await self._run(partial(self._cloner.clone, name, recording, text))
        # From here on it is stored and listed, or neither, whoever is still interested.
        await to_the_end(self._keep(voice))

    async def remove(self, name: str) -> None:
        """Forget a voice; see the protocol."""
        if name == self._kept:
            raise VoiceExistsError(
                f"{name} was chosen to speak where no voice is asked for; it cannot be removed"
            )
        await to_the_end(self._forget(name))

    async def aclose(self) -> None:
        """Wait for the recording that is being encoded, and take no more. May be called twice."""
        self._closed = True
        await asyncio.to_thread(self._thread.shutdown)

    async def _keep(self, voice: Voice) -> None:
        self._check_free(voice.name)
        await self._run(partial(self._store.add, voice))
        self._registry.add(voice)

    async def _forget(self, name: str) -> None:
        await self._run(partial(self._store.remove, name))
        self._registry.remove(name)

    def _check_free(self, name: str) -> None:
        self._store.new_path(name)
        if name in (known.lower() for known in self._registry.names):
            raise VoiceExistsError(f"there is a voice {name} already, which cannot be replaced")

    async def _run(self, work: Callable[[], _Result]) -> _Result:
        if self._closed:
            raise ClosedError("the synthesizer was closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
