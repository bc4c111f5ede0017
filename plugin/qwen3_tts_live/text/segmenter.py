"""Cuts visible text that arrives one glyph at a time into segments.

A segment is a clause to begin with, then one or a few sentences. What has been given out never
changes; where it is cut depends on the text alone, never on the pieces in which it came. Only a
stall (`stalled`) may add a cut. Owns sizes and hold-back; what a mark means is decided in
`boundaries`. Knows nothing about raw text, spoken forms or clocks.
"""

from __future__ import annotations

from typing import NamedTuple

from qwen3_tts_live.text.abbreviations import abbreviations_of
from qwen3_tts_live.text.boundaries import MARKS, STOPS, Grade, Mark, judge, judge_stalled
from qwen3_tts_live.text.brackets import Brackets
from qwen3_tts_live.text.glyphs import BREAK, Glyph, is_ideograph, is_speakable, is_wide, weight
from qwen3_tts_live.text.settings import NormalizerSettings

__all__ = ["Cut", "Segmenter"]

# Longer words are addresses or noise, and no abbreviations.
_MAX_TOKEN = 48
# "z. B.", "и т. д.": the parts of an abbreviation.
_MAX_CHAINED = 4
_MAX_MARKS = 8  # more of them say no more
_MAX_ITEM = 3  # digits of a list's number
# Characters, not weight: what weighs nothing has a limit, too.
_MAX_GLYPHS = 1500
# A text without a single gap is cut at this many times the limit, in the middle of it.
_HARD_LIMIT = 2
_LINES = "\n" + BREAK
_BREAKS_TOKEN = frozenset('()[]{}<>"“”„‘‚«»‹›¿¡,;…|')
_BEFORE_ITEM = _LINES + ":："  # a number behind it may count items
# Signs behind which a line needs no full stop to be heard as ended.
_ENDS_LINE = frozenset(STOPS + "，,；;：:、—–-")


class Cut(NamedTuple):
    """A segment: its glyphs, and the raw offset where it ends."""

    glyphs: list[Glyph]
    stop: int


class _Place(NamedTuple):
    """Where a cut is possible: before the glyph of index `at`, at that weight."""

    at: int
    weight: float
    grade: Grade


class Segmenter:
    """Turns glyphs into segments.

    Args:
        language: canonical name, or Auto.
        settings: the sizes.
    """

    def __init__(self, language: str, settings: NormalizerSettings) -> None:
        self._known = abbreviations_of(language)
        self._settings = settings
        self._out: list[Cut] = []
        self._buffer: list[Glyph] = []
        self._coming: Glyph | None = None  # the glyph that is about to join the buffer
        # Indexes and weights count from the start of the text; these are the buffer's start.
        self._base, self._base_weight = 0, 0.0
        self._weight = 0.0
        self._first = True
        self._places: list[_Place] = []
        self._gap: _Place | None = None
        self._brackets = Brackets()
        self._mark: Mark | None = None
        self._token = self._chain = ""
        self._fresh = self._token_fresh = True  # a sentence begins; the token began with it
        self._before, self._solid = " ", ""  # the last character; the last but white space

    def push(self, glyph: Glyph) -> list[Cut]:
        """Take a glyph; return the segments that nothing can change any more."""
        mark = self._mark
        if mark is not None and not mark.following and self._extends(mark, glyph.text):
            self._step_token(glyph.text)
            self._append(glyph)
            self._reach(mark)
            self._settle(mark)
        else:
            self._coming = glyph
            if mark is not None:
                mark.look(glyph.text)
                self._settle(mark)
            self._coming = None
            self._take(glyph)
        if self._weight - self._base_weight > self._limit or len(self._buffer) > _MAX_GLYPHS:
            self._force()
        return self._taken()

    def stalled(self) -> list[Cut]:
        """Return what is complete as it stands; call it when no text has come for a while."""
        if self._mark is not None and (grade := judge_stalled(self._mark, self._known)) is not None:
            self._apply(self._mark, grade)
        sentences = [place for place in self._places if place.grade == Grade.SENTENCE]
        if sentences and sentences[-1].weight > self._base_weight:
            self._commit(sentences[-1])
        return self._taken()

    def end(self) -> list[Cut]:
        """Return the rest."""
        if self._mark is not None and self._mark.following:
            self._mark.word_end = "\n"
            self._settle(self._mark)
        if self._buffer:
            self._commit(_Place(self._base + len(self._buffer), self._weight, Grade.NONE))
        return self._taken()

    def _taken(self) -> list[Cut]:
        out, self._out = self._out, []
        return out

    # ------------------------------------------------------------ characters

    def _take(self, glyph: Glyph) -> None:
        """Take a glyph that belongs to no mark, or begins one."""
        char = glyph.text
        self._note_gap(char)
        self._brackets.see(char, self._before, self._solid)
        if char in MARKS:
            index = self._base + len(self._buffer)
            item = self._token_fresh and self._token.isdigit() and len(self._token) <= _MAX_ITEM
            self._mark = Mark(char, self._token, self._chain, self._before, item, index)
        self._step_token(char)
        self._append(glyph)
        if self._mark is not None and not self._mark.end:
            self._reach(self._mark)

    def _append(self, glyph: Glyph) -> None:
        char = glyph.text
        self._buffer.append(glyph)
        self._weight += weight(char)
        self._before = char
        if not char.isspace():
            self._solid = char

    def _reach(self, mark: Mark) -> None:
        """Note that `mark`, with what closes behind it, goes up to here."""
        mark.end, mark.weight = self._base + len(self._buffer), self._weight
        mark.inside = bool(self._brackets)

    def _note_gap(self, char: str) -> None:
        """Note a place between words, but not between a number and what it counts."""
        solid, index = self._solid, self._base + len(self._buffer)
        if self._before.isspace():
            fits = is_speakable(char) and not char.isdigit() and not solid.isdigit()
        else:
            fits = is_ideograph(char) and is_ideograph(solid)
        if fits and self._weight > self._base_weight:
            self._gap = _Place(index, self._weight, Grade.NONE)

    def _step_token(self, char: str) -> None:
        if char.isspace():
            if self._token:
                short = self._token.endswith(".") and len(self._token) <= _MAX_CHAINED
                self._chain = self._chain + self._token if short else ""
            self._token = ""
        elif is_wide(char) or char in _BREAKS_TOKEN:
            self._token = self._chain = ""
            self._fresh = self._fresh and not is_ideograph(char)
        elif len(self._token) < _MAX_TOKEN:
            if not self._token:
                self._token_fresh, self._fresh = self._fresh, False
            self._token += char
        if char in _BEFORE_ITEM:
            self._fresh = True

    # ------------------------------------------------------------ marks

    def _extends(self, mark: Mark, char: str) -> bool:
        """Whether `char` belongs to the mark: white space, more marks, what closes behind it."""
        if char.isspace():
            if char in _LINES and len(mark.marks) < _MAX_MARKS:
                mark.marks += char
            mark.spaced = True
        elif mark.marks[-1] in _LINES:
            return False
        elif not mark.spaced and (
            (mark.is_stop and char in STOPS) or (mark.is_dash and char == mark.marks[0])
        ):
            if len(mark.marks) < _MAX_MARKS:
                mark.marks += char
        elif self._brackets.closes(char, attached=not mark.spaced):
            mark.closer = char
            mark.introduced = self._brackets.opened_behind in (":", "：")
        else:
            return False
        return True

    def _settle(self, mark: Mark) -> None:
        """Act on a mark, if what it is cannot change any more."""
        grade = judge(mark, self._known)
        if grade is None:
            return
        if grade == Grade.SENTENCE and mark.inside and not mark.following and not mark.ends_line:
            return  # « Bonjour. » has white space before what closes it
        self._apply(mark, grade)

    def _apply(self, mark: Mark, grade: Grade) -> None:
        self._mark = None
        if grade == Grade.SENTENCE:
            if not mark.word:
                self._fresh, self._chain = True, ""
            if mark.ends_line:
                self._brackets.clear()
                mark.inside = False
                self._end_line(mark)
        if grade == Grade.NONE or mark.end <= self._base:
            return
        if mark.inside:
            grade = Grade.CLAUSE if grade == Grade.SENTENCE else Grade.LISTING
        place = _Place(mark.end, mark.weight, grade)
        self._places.append(place)
        if not mark.inside and mark.weight - self._base_weight >= self._enough(grade):
            self._commit(place)

    def _enough(self, grade: Grade) -> float:
        """Return the weight from which a segment ends at such a place."""
        sizes = self._settings
        if grade == Grade.SENTENCE:
            return sizes.first_sentence if self._first else sizes.sentence
        if self._first and grade >= Grade.COMMA:
            return sizes.first_clause
        return float("inf")

    def _end_line(self, mark: Mark) -> None:
        """Put the stop that a line without one lacks; a title is a sentence, too."""
        index = mark.at - self._base
        before = next(
            (g.text for g in reversed(self._buffer[:index]) if not g.text.isspace()), ""
        ).strip()
        starts = mark.marks[0] in _LINES and mark.weight > self._base_weight
        if starts and before and before not in _ENDS_LINE:
            stop = "。" if is_wide(before) else "."
            self._buffer[index] = self._buffer[index]._replace(text=stop + "\n")

    # ------------------------------------------------------------ cutting

    @property
    def _limit(self) -> float:
        return self._settings.first_limit if self._first else self._settings.limit

    def _force(self) -> None:
        """Cut a segment that has grown too heavy, at the best place there is."""
        place = self._best_place()
        if place is None:
            hard = self._base_weight + _HARD_LIMIT * self._limit
            if self._weight <= hard and len(self._buffer) <= _MAX_GLYPHS:
                return
            place = _Place(self._base + len(self._buffer), self._weight, Grade.NONE)
        self._brackets.clear()
        self._commit(place)

    def _best_place(self) -> _Place | None:
        least = self._base_weight + self._settings.first_sentence
        places = [place for place in self._places if place.weight >= least]
        sentences = [place for place in places if place.grade == Grade.SENTENCE]
        if sentences:
            return sentences[-1]
        # Of two halves the first should not be the shorter by much.
        half = self._base_weight + self._limit / 2
        enough = self._base_weight + self._settings.first_clause
        pauses = [place for place in self._places if place.weight >= half]
        pauses = pauses or [
            p for p in self._places if p.weight >= enough and p.grade > Grade.LISTING
        ]
        if pauses:
            return max(pauses, key=lambda place: (place.grade, place.weight))
        return self._gap

    def _commit(self, place: _Place) -> None:
        size = place.at - self._base
        glyphs, self._buffer = self._buffer[:size], self._buffer[size:]
        # Closing markup goes with what it closes, up to where the next glyph's own begins.
        following = self._buffer[0] if self._buffer else self._coming
        self._out.append(Cut(glyphs, glyphs[-1].end if following is None else following.start))
        self._base, self._base_weight = place.at, place.weight
        # A later place with nothing to say before it is none.
        self._places = [each for each in self._places if each.weight > place.weight]
        if self._gap is not None and self._gap.weight <= place.weight:
            self._gap = None
        self._first = False
