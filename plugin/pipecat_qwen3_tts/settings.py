"""What a caller may change while a service runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipecat.services.settings import TTSSettings
from pipecat.utils.types import NOT_GIVEN, NotGiven

__all__ = ["Qwen3TTSSettings"]


@dataclass
class Qwen3TTSSettings(TTSSettings):
    """Settings of the services of this package; each holds for the text that comes after it.

    Parameters:
        model: the engine's model, for metrics; it cannot be changed.
        voice: one of the engine's voices; None for its default.
        language: a Pipecat `Language`, a name ("German") or a code ("de", "de-AT") of one of the
            engine's languages; None to let it guess from the text.
        instruct: how to say it, in words, for models that follow instructions.
    """

    instruct: str | NotGiven | None = field(default_factory=lambda: NOT_GIVEN)

    @classmethod
    def complete(cls, given: Qwen3TTSSettings | None) -> Qwen3TTSSettings:
        """Return `given` over the defaults."""
        settings = cls(model=None, voice=None, language=None, instruct=None)
        if given is not None:
            settings.apply_update(given)
        return settings
