"""From raw tokens to segments that say what they mean: the one door to the text package.

Owns the order of the stages (markup, segments, spoken forms) and the way back: the raw slices
of all segments join to exactly the input, and every offset in what is said has its place there.
Knows nothing about clocks, queues or audio.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from qwen3_tts_live.text.glyphs import BREAK, Glyph, is_speakable
from qwen3_tts_live.text.languages import AUTO, LANGUAGES, canonical_language, guess_language
from qwen3_tts_live.text.markup import MarkupStripper
from qwen3_tts_live.text.segmenter import Segmenter
from qwen3_tts_live.text.settings import NormalizerSettings
from qwen3_tts_live.text.spoken import SpokenForms

__all__ = ["TextFrontEnd", "TextSegment", "speakable", "warm_up"]

_LINES = "\n" + BREAK
_INSERTED = ",，"  # put where emoji or the border of a cell stood


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSegment:
    """One cut of the input.

    Attributes:
        raw: a slice of exactly what was pushed.
        start: its offset there.
        spoken: what to say; empty where there is nothing to say.
        language: the language to say it in, never Auto.
        visible_ends: offset in `raw` behind each character that is left without markup; empty
            where `spoken` is `raw` without the white space around it.
        source_offset: from an offset in `spoken` to one in the text without markup.
    """

    raw: str
    start: int
    spoken: str
    language: str
    visible_ends: tuple[int, ...] = field(default=(), repr=False)
    source_offset: Callable[[int], int] | None = field(default=None, repr=False, compare=False)

    def raw_offset(self, spoken_offset: int) -> int:
        """Return the offset in `raw` where what is said up to `spoken_offset` ends."""
        if not self.visible_ends:
            indent = len(self.raw) - len(self.raw.lstrip())
            return min(len(self.raw), spoken_offset + indent)
        visible = spoken_offset if self.source_offset is None else self.source_offset(spoken_offset)
        return self.visible_ends[min(visible, len(self.visible_ends)) - 1] if visible > 0 else 0


class TextFrontEnd:
    """Turns text that arrives in pieces into segments.

    The segments, and what they say, do not depend on the pieces. A segment that was returned is
    never taken back.

    Args:
        language: canonical name, or Auto to go by the text.
        settings: what to do how; None for the defaults.
    """

    def __init__(self, language: str = AUTO, settings: NormalizerSettings | None = None) -> None:
        self._language = language
        self._settings = settings or NormalizerSettings()
        self._stripper = MarkupStripper(self._settings)
        self._segmenter = Segmenter(language, self._settings)
        self._forms = SpokenForms(self._settings, language)
        self._raw = ""  # what is not in a segment yet
        self._start = 0  # its offset

    def push(self, text: str) -> list[TextSegment]:
        """Take more text; return the segments that later text can no longer change."""
        self._raw += text
        return self._segments(self._stripper.push(text))

    def stalled(self) -> list[TextSegment]:
        """Return what is complete as it stands, without waiting for what follows it.

        For when no text has come for `settings.stall_s`. It may cut where the whole text would
        not have been cut; what is said is the same.
        """
        segments = self._segments(self._stripper.stalled())
        return segments + [self._speak(*cut) for cut in self._segmenter.stalled()]

    def end(self) -> list[TextSegment]:
        """Return what is left. Nothing may be pushed afterwards."""
        segments = self._segments(self._stripper.end())
        cuts = self._segmenter.end()
        segments += [self._speak(*cut) for cut in cuts[:-1]]
        if self._raw:
            rest = cuts[-1].glyphs if cuts else []
            segments.append(self._speak(rest, self._start + len(self._raw)))
        return segments

    def _segments(self, glyphs: list[Glyph]) -> list[TextSegment]:
        return [self._speak(*cut) for glyph in glyphs for cut in self._segmenter.push(glyph)]

    def _speak(self, glyphs: list[Glyph], stop: int) -> TextSegment:
        start, size = self._start, stop - self._start
        raw, self._raw, self._start = self._raw[:size], self._raw[size:], stop
        visible, ends = _visible(glyphs)
        spoken = visible if any(map(is_speakable, visible)) else ""
        language, back = self._language, None
        if spoken and self._settings.enabled:
            said = self._forms.speak(visible)
            spoken, language, back = said.text.strip(), said.language, said.source_offset
            if indent := len(said.text) - len(said.text.lstrip()):
                back = partial(_indented, back, indent)
        elif language == AUTO:
            language = guess_language(visible)
        return TextSegment(
            raw=raw,
            start=start,
            spoken=spoken.replace("\n", " "),
            language=language,
            visible_ends=tuple(end - start for end in ends),
            source_offset=back,
        )


def speakable(text: str, language: str = AUTO, settings: NormalizerSettings | None = None) -> str:
    """Return what an utterance of `text` would say, as one text.

    Args:
        text: anything, Markdown included.
        language: a name, ISO code or locale of one of the ten languages, or Auto.
        settings: what to do how; None for the defaults.

    Raises:
        UnknownLanguageError: the language is none of the ten.
    """
    front_end = TextFrontEnd(canonical_language(language), settings)
    parts: list[str] = []
    gap = ""
    for segment in front_end.push(text) + front_end.end():
        if segment.spoken:
            parts += [gap if parts else "", segment.spoken]
            gap = ""
        if segment.raw[-1:].isspace():
            gap = " "
    return "".join(parts)


def warm_up(settings: NormalizerSettings | None = None) -> None:
    """Load what the first segment of each language would wait for; may run in any thread.

    It takes one to two seconds: the grammars, the rules, and the numbers of ten languages.
    """
    for language in LANGUAGES:
        speakable("AI: 3, 3.5 kg, 2025, 5%, $3 & 15:30.", language, settings)


def _indented(back: Callable[[int], int], indent: int, offset: int) -> int:
    return back(offset + indent)


def _visible(glyphs: list[Glyph]) -> tuple[str, list[int]]:
    """Return the text of `glyphs` with single white space, and the raw end of each character."""
    chars: list[str] = []
    ends: list[int] = []
    for glyph in glyphs:
        for char in glyph.text:
            if not char.isspace():
                if char in _INSERTED and glyph.start == glyph.end and chars and chars[-1] == " ":
                    del chars[-1], ends[-1]
            elif not chars or chars[-1] == "\n":
                continue
            elif char in _LINES:
                char = "\n"
                if chars[-1] == " ":
                    del chars[-1], ends[-1]
            elif chars[-1] == " ":
                continue
            else:
                char = " "
            chars.append(char)
            ends.append(glyph.end)
    while chars and chars[-1].isspace():
        del chars[-1], ends[-1]
    return "".join(chars), ends
