"""A server whose engine can clone, with encoders that are none, for tests of voices and uploads."""

from __future__ import annotations

import io
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import av
import numpy as np
import soundfile

from fakes import ScriptedBackend
from qwen3_tts_live.voices.cloning import Cloner
from qwen3_tts_live.voices.library import ClonedVoices
from qwen3_tts_live.voices.store import VoiceStore
from qwen3_tts_live.voices.voice import Voice, VoiceRegistry
from serving import Running

RATE = 24_000


def tone(seconds: float, rate: int = RATE, channels: int = 1) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    wave = (0.5 * np.sin(2 * np.pi * 220 * time)).astype(np.float32)
    return np.stack([wave] * channels, axis=1)


# Container, codec and how they are written: as a phone does it, and as browsers do, which write
# while they record and so say nothing of the length.
_RECORDERS: dict[str, tuple[str, str, dict[str, str]]] = {
    "m4a": ("ipod", "aac", {}),
    "alac": ("ipod", "alac", {}),
    "mov": ("mov", "pcm_s16le", {}),
    "mp4": ("mp4", "aac", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    "webm": ("webm", "libopus", {"live": "1"}),
}
#: What phones and browsers record.
RECORDED = tuple(_RECORDERS)


def _recorded(samples: np.ndarray, kind: str, rate: int) -> bytes:
    container, codec, options = _RECORDERS[kind]
    layout = "mono" if samples.shape[1] == 1 else "stereo"
    file = io.BytesIO()
    with av.open(file, "w", format=container, container_options=options) as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(samples.T.copy(), format="fltp", layout=layout)
        frame.sample_rate = rate
        for packet in (*stream.encode(frame), *stream.encode(None)):
            out.mux(packet)
    return file.getvalue()


def audio(samples: np.ndarray, kind: str = "wav", rate: int = RATE) -> bytes:
    if kind in RECORDED:
        return _recorded(samples, kind, rate)
    file = io.BytesIO()
    subtype = "OPUS" if kind == "opus" else None
    soundfile.write(file, samples, rate, format="ogg" if kind == "opus" else kind, subtype=subtype)
    return file.getvalue()


WAV = audio(tone(1.0))


class Encoder:
    """Encodes a recording to its mean, when it may."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.may.set()
        self.asked = threading.Event()

    def encode_speaker(self, samples: np.ndarray) -> np.ndarray:
        self.asked.set()
        self.may.wait()
        return np.full(8, samples.mean(), np.float32)

    def encode_reference(self, samples: np.ndarray) -> np.ndarray:
        return np.zeros((4, 16), np.int64)


class CloningBackend(ScriptedBackend):
    """A scripted backend whose voices are those of a registry."""

    def __init__(self, registry: VoiceRegistry) -> None:
        super().__init__(free=False)
        self.registry = registry
        self.spoken_with: list[Voice] = []

    @property
    def voices(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.registry.names

    async def synthesize(self, segment: Any) -> Any:
        self.spoken_with.append(self.registry.get(segment.voice))
        async for event in super().synthesize(segment):
            yield event


class Cloning:
    """A server whose engine can clone."""

    def __init__(self, folder: Path, *, voiceless: bool = False) -> None:
        self.encoder = Encoder()
        self.store = VoiceStore(folder)
        voices = [Voice(name="reference", embedding=np.zeros(8, np.float32))]
        voices = [] if voiceless else voices
        self.registry = VoiceRegistry("base", 8, voices, {"english": 0})
        self.backend = CloningBackend(self.registry)
        self.library = ClonedVoices(
            self.registry, Cloner(self.encoder), self.store, kept="reference"
        )
        self.running: Running

    async def add(
        self, name: str = "anna", file: bytes | None = WAV, **fields: Any
    ) -> tuple[int, dict[str, Any]]:
        form = aiohttp.FormData({"name": name, **fields}, default_to_multipart=True)
        if file is not None:
            form.add_field("file", io.BytesIO(file), filename="../../etc/passwd")
        async with self.running.client.post("/tts/voices", data=form) as response:
            return response.status, await response.json()

    async def code(self, *arguments: Any, **fields: Any) -> tuple[int, str]:
        status, body = await self.add(*arguments, **fields)
        return status, body["error"]["code"] if status >= 400 else ""

    async def remove(self, name: str = "anna") -> tuple[int, dict[str, Any]]:
        async with self.running.client.delete(f"/tts/voices/{name}") as response:
            return response.status, await response.json()

    async def names(self) -> list[str]:
        async with self.running.client.get("/tts/voices") as response:
            return [voice["name"] for voice in (await response.json())["voices"]]

    def files(self) -> list[str]:
        return sorted(path.name for path in self.store.folder.glob("**/*"))


StartCloning = Callable[..., Awaitable[Cloning]]
