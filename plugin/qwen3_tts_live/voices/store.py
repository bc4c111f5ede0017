"""Cloned voices as files: one safetensors file a voice, in one folder.

A file holds the embedding, and for in-context cloning the reference's codes and its text; never
the audio. Behind `qwen3-tts-live voices add | list | remove`. Knows nothing about models.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from qwen3_tts_live.errors import (
    InvalidRequestError,
    StorageError,
    UnknownVoiceError,
    VoiceExistsError,
)
from qwen3_tts_live.voices.voice import Voice

__all__ = ["VoiceStore", "default_folder"]

_FORMAT = "qwen3-tts-live voice 1"
# A name is a file's name: nothing that leaves the folder, hides, or means a device somewhere.
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def default_folder() -> Path:
    """Return the folder that voices are stored in unless another is given."""
    return Path.home() / ".local" / "share" / "qwen3-tts-live" / "voices"


class VoiceStore:
    """The voices in a folder, which is made when the first is added.

    Args:
        folder: where; `default_folder()` if None.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_folder()

    def names(self) -> list[str]:
        """Return the names of all stored voices, sorted."""
        found = (path.stem for path in self.folder.glob("*.safetensors"))
        return sorted(name for name in found if _NAME.fullmatch(name))

    def add(self, voice: Voice, *, replace: bool = False) -> Path:
        """Store a cloned voice under its name; return its file.

        Raises:
            VoiceExistsError: the name is taken.
            InvalidRequestError: the name is not usable, or the voice is not a clone.
            StorageError: the file cannot be written; nothing of it is left.
        """
        if voice.embedding is None:
            raise InvalidRequestError(f"{voice.name} is not a cloned voice: nothing to store")
        path = self.new_path(voice.name, replace=replace)
        # Contiguous: safetensors writes an array's memory as it lies, and an encoder's codes are
        # a transposed view.
        tensors = {"embedding": np.ascontiguousarray(voice.embedding, np.float32)}
        if voice.codes is not None:
            tensors["codes"] = np.ascontiguousarray(voice.codes, np.int64)
        data = save(tensors, metadata={"format": _FORMAT, "ref_text": voice.ref_text})
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _write(path, data)
        except OSError as error:
            reason = error.strerror or str(error)
            raise StorageError(
                f"voice {voice.name} could not be stored ({reason}); it was not added"
            ) from error
        return path

    def new_path(self, name: str, *, replace: bool = False) -> Path:
        """Return the file that a new voice of that name gets.

        Raises:
            VoiceExistsError: the name is taken.
            InvalidRequestError: the name is not usable.
        """
        path = self._path(name)
        if path.exists() and not replace:
            raise VoiceExistsError(
                f"there is a voice {name} already; remove it first, or replace it"
            )
        return path

    def load(self, name: str) -> Voice:
        """Return a stored voice.

        Raises:
            UnknownVoiceError: there is none of that name.
            InvalidRequestError: its file is damaged, or not a voice.
        """
        path = self._existing(name)
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise InvalidRequestError(
                f"the voice file {path} cannot be read ({error}); add the voice again"
            ) from error
        codes = tensors.get("codes")
        embedding = tensors.get("embedding")
        if metadata.get("format") != _FORMAT or embedding is None or embedding.ndim != 1:
            raise InvalidRequestError(f"{path} is not a voice of this version; add it again")
        if codes is not None and codes.ndim != 2:
            raise InvalidRequestError(f"{path} is damaged: codes of shape {codes.shape}")
        return Voice(
            name=name, embedding=embedding, codes=codes, ref_text=metadata.get("ref_text", "")
        )

    def remove(self, name: str) -> None:
        """Remove a stored voice.

        Raises:
            UnknownVoiceError: there is none of that name.
            StorageError: the file cannot be removed.
        """
        try:
            self._existing(name).unlink()
        except OSError as error:
            reason = error.strerror or str(error)
            raise StorageError(f"voice {name} could not be removed ({reason})") from error

    def _existing(self, name: str) -> Path:
        path = self._path(name)
        if not path.is_file():
            known = ", ".join(self.names()) or "none"
            raise UnknownVoiceError(f"no stored voice {name}; there are: {known}")
        return path

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise InvalidRequestError(
                f"{name[:40]!r} is no name for a voice: "
                "use up to 64 of a-z, 0-9, - and _, and begin with a letter or digit"
            )
        return self.folder / f"{name}.safetensors"


def _write(path: Path, data: bytes) -> None:
    """Write the file whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # a full disk may say so only now
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise
