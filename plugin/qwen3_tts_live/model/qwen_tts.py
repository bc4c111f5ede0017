"""The one place that imports the official package `qwen_tts`.

The package imports its 25 Hz tokenizer whatever one wants of it. Only that needs torchaudio,
which fails to import beside a torch of another build or version (OSError, RuntimeError), and
only that calls a `sox` program and complains about a missing flash-attn. No public checkpoint
uses it, so an empty class takes its place while the package is imported.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

__all__ = ["load_qwen_tts"]

_MODEL_25_HZ = "qwen_tts.core.tokenizer_25hz.modeling_qwen3_tts_tokenizer_v1"


class _Tokenizer25Hz:
    """Stands where the package registers its 25 Hz tokenizer; never made, as `checkpoint.py`
    refuses such checkpoints.
    """


def load_qwen_tts() -> ModuleType:
    """Return the package `qwen_tts` without its 25 Hz tokenizer.

    Where the whole package was imported before, it is left as it is.

    Raises:
        ImportError: it is not installed.
    """
    if "qwen_tts" in sys.modules:
        return sys.modules["qwen_tts"]
    stand_in = ModuleType(_MODEL_25_HZ)
    stand_in.__dict__["Qwen3TTSTokenizerV1Model"] = _Tokenizer25Hz
    sys.modules[_MODEL_25_HZ] = stand_in
    try:
        return importlib.import_module("qwen_tts")
    finally:
        # Whoever wants the real one can still import it by its full name.
        del sys.modules[_MODEL_25_HZ]
