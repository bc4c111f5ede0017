"""From what a user names to a checkpoint's folder: a path as it is, a repository downloaded.

Downloads go to Hugging Face's own cache, show its progress bar, and go on where they stopped.
Knows nothing about what is in a checkpoint beyond the names of its files.
"""

from __future__ import annotations

import errno
import logging
import re
import time
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from qwen3_tts_live.errors import BackendUnavailableError, InvalidRequestError

__all__ = ["checkpoint_folder"]

logger = logging.getLogger(__name__)

_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_WANTED = ["*.json", "*.txt", "*.safetensors"]
# One of each kind: without them nothing loads, and what a broken download or copy lacks is
# nearly always the weights.
_NEEDED = (
    "config.json",
    "generation_config.json",
    "*.safetensors",
    "speech_tokenizer/config.json",
    "speech_tokenizer/*.safetensors",
)


def checkpoint_folder(path_or_repo_id: str) -> Path:
    """Return the folder of a checkpoint, downloading it if it is a repository id.

    Raises:
        InvalidRequestError: it is neither a checkpoint's folder nor a repository id.
        BackendUnavailableError: it could not be downloaded; the message says what to do.
    """
    folder = Path(path_or_repo_id).expanduser()
    if folder.is_dir():
        if lacking := _lacking(folder):
            raise InvalidRequestError(
                f"{folder} is not a whole Qwen3-TTS checkpoint: it holds no {lacking}"
            )
        return folder
    if not _REPOSITORY.fullmatch(path_or_repo_id):
        raise InvalidRequestError(
            f"no checkpoint at {path_or_repo_id}: give its folder, "
            "or a repository such as Qwen/Qwen3-TTS-12Hz-0.6B-Base"
        )
    logger.info("fetching %s; what is here already is not downloaded again", path_or_repo_id)
    started = time.monotonic()
    folder = _download(path_or_repo_id)
    logger.info("fetched into %s in %.0f s", folder, time.monotonic() - started)
    if lacking := _lacking(folder):
        raise BackendUnavailableError(
            f"{path_or_repo_id} is here only in part, without {lacking}: "
            "run the same again with a network, it goes on from there"
        )
    return folder


def _lacking(folder: Path) -> str | None:
    return next((name for name in _NEEDED if not any(folder.glob(name))), None)


def _download(repo_id: str) -> Path:
    try:
        return Path(snapshot_download(repo_id, allow_patterns=_WANTED))
    except GatedRepoError as error:
        raise BackendUnavailableError(
            f"{repo_id} is closed to you: ask for access on its page, then `hf auth login`"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise InvalidRequestError(
            f"no folder and no repository is called {repo_id}; "
            "if it is private, `hf auth login` first"
        ) from error
    except LocalEntryNotFoundError as error:
        raise BackendUnavailableError(
            f"{repo_id} is not on this machine and its host cannot be reached: check the network, "
            "or copy the checkpoint here and give its folder"
        ) from error
    except HfHubHTTPError as error:
        raise BackendUnavailableError(
            f"downloading {repo_id} failed ({error}); run the same again, it goes on from there"
        ) from error
    except OSError as error:
        full = error.errno == errno.ENOSPC
        advice = "free some space (up to 5 GB are needed)" if full else "check the network"
        raise BackendUnavailableError(
            f"downloading {repo_id} failed ({error}): {advice}, then run the same again; "
            "it goes on from there"
        ) from error
