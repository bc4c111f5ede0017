"""The flags of the text front end, the same for every command that speaks."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from qwen3_tts_live.text.settings import NormalizerSettings, read_lexicon

__all__ = ["add_text_flags", "normalizer_settings"]


def add_text_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags as a group of their own."""
    default = NormalizerSettings()
    group = parser.add_argument_group("text", "How written text becomes spoken text: docs/text.md")
    group.add_argument(
        "--normalizer",
        choices=("wetext", "wetextprocessing", "none", "off"),
        default=default.grammar,
        help="whose grammars read what our own rules leave (none: only our rules); "
        "off says the text as it is written (default: %(default)s)",
    )
    group.add_argument(
        "--acronyms",
        choices=("spaces", "dots", "off"),
        default=default.acronyms,
        help="how AI is spelt: A I, A.I. or AI (default: %(default)s)",
    )
    group.add_argument(
        "--lexicon",
        type=Path,
        metavar="FILE",
        help="your own words, a line each: written form, tab, how to say it",
    )


def normalizer_settings(arguments: argparse.Namespace) -> NormalizerSettings:
    """Return the settings that parsed flags stand for.

    Raises:
        InvalidRequestError: a line of the lexicon makes no sense.
        OSError: the lexicon cannot be read.
    """
    settings = NormalizerSettings(
        acronyms=arguments.acronyms,
        lexicon=() if arguments.lexicon is None else read_lexicon(arguments.lexicon),
    )
    if arguments.normalizer == "off":
        return replace(settings, enabled=False)
    return replace(settings, grammar=arguments.normalizer)
