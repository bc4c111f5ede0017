"""Every error that this library raises on purpose.

    SpeechError
      InvalidRequestError          the request can never work as it is
        AuthenticationError        a server wants a key, and not this one
        UnknownLanguageError
        UnknownVoiceError
        VoiceExistsError           also where the voice is one that cannot be removed
        TextTooLongError
      OverloadedError              nothing is wrong with the request: come back later
        QueueFullError             this session has too many utterances waiting
        CapacityError              the whole synthesizer is full
      BackendError                 what makes the sound failed
        BackendUnavailableError    it is not installed, not reachable, or not built yet
          ConnectionLostError      there is no connection to it at the moment
        BackendCrashedError        it died while it spoke
      StorageError                 a voice could not be stored or removed
      ClosedError                  the session or the synthesizer was closed

`SpeechError.retryable` says whether the same call may succeed later without a change by the
caller; `retry_after` is a hint in seconds where one is known. `code` is the error's name on the
wire. An utterance raises at most one of these, once, and then it is over.
"""

from __future__ import annotations

__all__ = [
    "AuthenticationError",
    "BackendCrashedError",
    "BackendError",
    "BackendUnavailableError",
    "CapacityError",
    "ClosedError",
    "ConnectionLostError",
    "InvalidRequestError",
    "OverloadedError",
    "QueueFullError",
    "SpeechError",
    "StorageError",
    "TextTooLongError",
    "UnknownLanguageError",
    "UnknownVoiceError",
    "VoiceExistsError",
]


#: What to do about a server that refuses us.
GIVE_A_KEY = (
    "give one of its keys with --engine-key-file FILE or ENGINE_API_KEY, or as api_key in Python"
)


class SpeechError(Exception):
    """Base of all errors of this library.

    Args:
        message: what happened and what to do about it, for people.
        retry_after: seconds after which a retry makes sense, where that is known.
    """

    code = "speech_error"
    retryable = False

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after


class InvalidRequestError(SpeechError):
    """The request can never work as it is; the message names what to change."""

    code = "invalid_request"


class AuthenticationError(InvalidRequestError):
    """A server asks for a key, and there was none or it is not one of the server's."""

    code = "unauthorized"


class UnknownLanguageError(InvalidRequestError):
    """The language is not one of the ten, nor Auto."""

    code = "unknown_language"


class UnknownVoiceError(InvalidRequestError):
    """The voice is not one that this synthesizer has."""

    code = "unknown_voice"


class VoiceExistsError(InvalidRequestError):
    """The name is taken, or the voice is one that the engine cannot do without."""

    code = "voice_exists"


class TextTooLongError(InvalidRequestError):
    """The text of one utterance is longer than the limit."""

    code = "text_too_long"


class OverloadedError(SpeechError):
    """Nothing is wrong with the request; there is no room for it now."""

    code = "overloaded"
    retryable = True


class QueueFullError(OverloadedError):
    """This session already has as many utterances waiting as it may."""

    code = "queue_full"


class CapacityError(OverloadedError):
    """The synthesizer as a whole is full: too many sessions or utterances."""

    code = "capacity"


class BackendError(SpeechError):
    """What makes the sound failed."""

    code = "backend_error"


class BackendUnavailableError(BackendError):
    """The backend is not installed, not reachable, or not in this version."""

    code = "backend_unavailable"


class ConnectionLostError(BackendUnavailableError):
    """There is no connection to the server; it is being tried again, so a retry can help."""

    code = "connection_lost"
    retryable = True


class BackendCrashedError(BackendError):
    """The backend died while it spoke; it has been replaced, so a retry can help."""

    code = "backend_crashed"
    retryable = True


class StorageError(SpeechError):
    """A voice could not be stored or removed; nothing half-written was left."""

    code = "storage"


class ClosedError(SpeechError):
    """The session or the synthesizer was closed, by its owner or because it was idle."""

    code = "closed"
