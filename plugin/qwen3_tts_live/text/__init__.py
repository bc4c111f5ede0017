"""From what is written to what is said: pure functions and small incremental classes.

speakable("GPT-4于2025年发布")          # the whole text in, what is said out
front_end = TextFrontEnd("English")     # the same while the text arrives
for segment in front_end.push("Hello there. How"): ...
"""

from qwen3_tts_live.text.front_end import TextFrontEnd, TextSegment, speakable, warm_up
from qwen3_tts_live.text.markup import MarkupStripper
from qwen3_tts_live.text.segmenter import Segmenter
from qwen3_tts_live.text.settings import LexiconEntry, NormalizerSettings, read_lexicon

__all__ = [
    "LexiconEntry",
    "MarkupStripper",
    "NormalizerSettings",
    "Segmenter",
    "TextFrontEnd",
    "TextSegment",
    "read_lexicon",
    "speakable",
    "warm_up",
]
