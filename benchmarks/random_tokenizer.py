"""A small text tokenizer in the files of Qwen2's.

It has the 256 bytes, some words and parts of words, and the special tokens, each at another id
than in the real one: the configuration says where. `assistant` and `user` are one token each
wherever they stand alone, as prompts rely on it. Knows nothing about weights.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["write_json", "write_tokenizer"]

_ROLES = ("assistant", "user")
_SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<tts_pad>",
    "<tts_text_bos>",
    "<tts_text_eod>",
)
# Each becomes one token, built from left to right. They come after the roles: a pair that is
# merged earlier than theirs could cut them. Words, parts inside of words, white space and
# punctuation that merge with what follows, and characters of several bytes.
_WORDS = (
    *(" the", " to", " and", " of", " a", " in", " you", " for", " will", " weather", " today"),
    *(
        "The",
        "iPhone",
        "Hello",
        "hello",
        "th",
        "ing",
        "tion",
        "er",
        "ed",
        "ly",
        "ness",
        "str",
        "ee",
        "'s",
    ),
    *("你好", "我", "是", "的", "今天", "天气", ",", "。", "ü", "é", "ñ", "は", "です", "안녕"),
    *("...", "?!", '."', ".\n", "\n\n", "  ", "   ", " ="),
)


def write_tokenizer(folder: Path) -> dict[str, int]:
    """Write vocab.json, merges.txt, tokenizer_config.json and preprocessor_config.json.

    Returns:
        The ids that config.json names: of the special tokens, and of `assistant`.
    """
    symbols = _byte_symbols()
    merges: dict[tuple[str, str], None] = {}
    for word in (*_ROLES, *_WORDS):
        whole = "".join(symbols[byte] for byte in word.encode())
        merges |= {(whole[:end], whole[end]): None for end in range(1, len(whole))}
    tokens = dict.fromkeys([*symbols.values(), *(left + right for left, right in merges)])
    special = {token: len(tokens) + number for number, token in enumerate(_SPECIAL)}
    vocabulary = {token: number for number, token in enumerate(tokens)}
    write_json(folder / "vocab.json", vocabulary | special)
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_json(folder / "tokenizer_config.json", _config(special))
    write_json(folder / "preprocessor_config.json", {"processor_class": "Qwen3TTSProcessor"})
    return special | {"assistant": vocabulary["assistant"]}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` as people can read it."""
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")


def _byte_symbols() -> dict[int, str]:
    """Return the printable character that byte-level BPE has for each byte, in order of ids."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {
        byte: chr(256 + number) for number, byte in enumerate(others)
    }


def _config(special: dict[str, int]) -> dict[str, Any]:
    token = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    return {
        "add_prefix_space": False,
        "added_tokens_decoder": {
            str(number): {"content": content, "special": True} | token
            for content, number in special.items()
        },
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 131_072,
        "pad_token": "<|endoftext|>",
        "processor_class": "Qwen3TTSProcessor",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
