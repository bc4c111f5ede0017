"""What the engine's errors mean to Pipecat, and which of them a second try may help.

Pipecat gives a service up for good when it reports AUTHENTICATION, AUTHORIZATION or
INVALID_REQUEST, so only what can never work may be called that.
"""

from __future__ import annotations

from pipecat.utils.errors import ErrorCategory

from qwen3_tts_live import SpeechError
from qwen3_tts_live.errors import (
    AuthenticationError,
    BackendUnavailableError,
    ClosedError,
    ConnectionLostError,
    InvalidRequestError,
    OverloadedError,
    TextTooLongError,
)

__all__ = ["can_recover", "category_of", "is_lost"]

_CATEGORIES: tuple[tuple[type[SpeechError], ErrorCategory], ...] = (
    (TextTooLongError, ErrorCategory.APPLICATION),  # one text's fault: the next is welcome
    (AuthenticationError, ErrorCategory.AUTHENTICATION),
    (InvalidRequestError, ErrorCategory.INVALID_REQUEST),
    (OverloadedError, ErrorCategory.RATE_LIMIT),
    (BackendUnavailableError, ErrorCategory.CONNECTIVITY),
    (ClosedError, ErrorCategory.CONNECTIVITY),
    (SpeechError, ErrorCategory.SERVER),
)


def category_of(error: SpeechError) -> ErrorCategory:
    """Return what to report an error as."""
    return next(category for kind, category in _CATEGORIES if isinstance(error, kind))


def is_lost(error: SpeechError) -> bool:
    """Return whether the session is gone, and has to be opened again."""
    # A connection comes back by itself, and its sessions with it.
    gone = isinstance(error, BackendUnavailableError | ClosedError)
    return gone and not isinstance(error, ConnectionLostError)


def can_recover(error: SpeechError) -> bool:
    """Return whether the same text may be spoken at a second try."""
    return error.retryable or is_lost(error)
