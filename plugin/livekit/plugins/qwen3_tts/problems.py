"""From the library's errors to LiveKit's, which decide whether it retries or falls back.

LiveKit handles nothing but `APIError`s: anything else ends the turn without a word.
"""

from __future__ import annotations

from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError

from qwen3_tts_live.errors import (
    AuthenticationError,
    BackendCrashedError,
    BackendUnavailableError,
    ClosedError,
    ConnectionLostError,
    InvalidRequestError,
    OverloadedError,
    SpeechError,
)

__all__ = ["api_error"]


def api_error(error: Exception) -> APIError:
    """Return what to raise from `error`."""
    if isinstance(error, APIError):
        return error
    if isinstance(error, TimeoutError):
        return APITimeoutError("the engine gave no sign of life in time")
    if isinstance(error, OSError):
        return APIConnectionError(f"the engine cannot be reached: {error}")
    if isinstance(error, SpeechError):
        return _of_the_library(error)
    return APIError(f"{type(error).__name__}: {error}", retryable=False)


def _of_the_library(error: SpeechError) -> APIError:
    message = error.message
    if isinstance(error, AuthenticationError):
        return APIStatusError(message, status_code=401)
    if isinstance(error, InvalidRequestError):
        return APIStatusError(message, status_code=400)
    if isinstance(error, OverloadedError):
        return APIStatusError(message, status_code=429)
    if isinstance(error, BackendCrashedError | ClosedError | ConnectionLostError):
        # What crashed is replaced, what broke is dialled, what was closed is opened again.
        return APIConnectionError(message)
    if isinstance(error, BackendUnavailableError):
        # Not there: it may be starting, or being replaced. Another try costs next to nothing.
        return APIStatusError(message, status_code=503)
    return APIStatusError(message, status_code=500, retryable=error.retryable)
