"""Which language each place of a text is read in.

Words have the language of their script; a Latin name inside Chinese has none of its own, an
English phrase has. A number belongs to the word that it touches, else to the nearest word of
its clause, left before right; the session's language breaks ties. Knows no numbers' meaning.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from functools import cache
from typing import NamedTuple

from qwen3_tts_live.text.languages import AUTO

__all__ = ["Runs", "find_runs"]

_LATIN = frozenset({"English", "German", "French", "Portuguese", "Spanish", "Italian"})
_TOKEN = re.compile(
    r"(?P<han>[\u3005\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003134f]+)"
    r"|(?P<kana>[\u3041-\u30ff\uff66-\uff9d]+)"
    r"|(?P<hangul>[\uac00-\ud7a3\u1100-\u11ff\u3130-\u318f]+)"
    r"|(?P<cyrillic>[\u0400-\u052f]+)"
    r"|(?P<latin>[A-Za-z\u00aa\u00ba\u00c0-\u024f\u1e00-\u1eff]+"
    r"(?:['’][A-Za-z\u00c0-\u024f]+)*)"
    r"|(?P<clause>[,，、;；:：!！?？。…()（）\[\]\"“”「」『』《》\n—]|\.(?=\s|$))"
)
# What belongs to a number beyond its digits, up to the character that it touches.
_NUMBER = re.compile(
    r"[-$€£¥₩₽+]*(?:[0-9.,:/~～〜–—-]*[0-9])?[%‰°+]*(?:[A-Za-z°²³μ]{1,4}(?![A-Za-z]))?"
)

# Words that show a Latin phrase to be running text; a name has none of them in small letters.
_FUNCTION_WORDS = {
    "English": "the a an of to in is are was were be been have has had and or for on at by with "
    "from that this it i you he she we they not do does can will would my your his her our "
    "as but if so about into than then there what when how all more please",
    "German": "der die das und ist nicht ein eine einen zu mit von den dem auf für im sich es ich "
    "wir sie er auch als bei nach aus wird werden sind hat haben um am zum zur über oder noch",
    "French": "le la les de des et est un une du en que qui dans pour pas sur au aux avec il elle "
    "nous vous je ce cette sont à par plus ne se ou leur été être",
    "Spanish": "el la los las de y en que un una es por con para no se su del al lo como más pero "
    "sus le ha son está muy ya también fue tiene",
    "Portuguese": "o a os as de e em que um uma é por com para não se seu sua do da dos das no na "
    "ao mais como mas foi são está muito já também tem você",
    "Italian": "il lo la i gli le di e in che un una è per con non si del della dei da al alla "
    "nel sono come più ma anche ha questo suo",
}


@cache
def _languages_by_word() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for language, words in _FUNCTION_WORDS.items():
        for word in words.split():
            found[word] = (*found.get(word, ()), language)
    return found


_JOINED_BEFORE = re.compile(r"(?:[0-9²³=+<>*^]|[A-Za-z0-9:][./@_:])$")
_JOINED_AFTER = re.compile(r"[0-9²³=+<>*^]|[./@_:]+[A-Za-z0-9]")


class _Word(NamedTuple):
    start: int
    end: int
    language: str  # empty: a name, which takes the language around it
    clause: int


class Runs:
    """Answers which language a place of one text is read in."""

    def __init__(self, text: str, words: list[_Word], main: str, breaks: list[int]) -> None:
        self._text = text
        self._words = [word for word in words if word.language]
        self._starts = [word.start for word in self._words]
        self._breaks = breaks
        #: The text's main language, never Auto.
        self.main = main
        #: Every language that some place is read in.
        self.languages = {main, *(word.language for word in self._words)}

    def language_at(self, offset: int) -> str:
        """Return the language of the number, symbol or word at `offset`."""
        if not self._words:
            return self.main
        after = bisect_left(self._starts, offset)
        left = self._words[after - 1] if after else None
        if left and left.end > offset:
            return left.language
        right = self._words[after] if after < len(self._words) else None
        number = _NUMBER.match(self._text, offset)
        end = number.end() if number else offset
        if right and right.start == end and self._is_unspaced(right.start):
            return right.language
        if left and left.end == offset and self._is_unspaced(left.end - 1):
            return left.language
        clause = bisect_left(self._breaks, offset)
        for word in (left, right):
            if word and word.clause == clause:
                return word.language
        nearest = left or right
        return nearest.language if nearest else self.main

    def _is_unspaced(self, offset: int) -> bool:
        return self._text[offset] >= "\u1100"


def find_runs(text: str, session: str) -> Runs:
    """Find the languages of a text in a session of that language, or Auto."""
    words: list[tuple[int, int, str]] = []
    breaks: list[int] = []
    for match in _TOKEN.finditer(text):
        script = match.lastgroup or ""
        if script == "clause":
            breaks.append(match.start())
        else:
            words.append((match.start(), match.end(), script))
    scripts = Counter[str]()
    for start, end, script in words:
        scripts[script] += end - start
    main = _main_language(text, words, scripts, session)
    named = [_Word(start, end, "", bisect_left(breaks, start)) for start, end, _ in words]
    for at, (_, _, script) in enumerate(words):
        language = _script_language(script, scripts, main, session)
        if language:
            named[at] = named[at]._replace(language=language)
    _name_phrases(text, named, main, scripts)
    return Runs(text, named, main, breaks)


def _main_language(
    text: str, words: list[tuple[int, int, str]], scripts: Counter[str], session: str
) -> str:
    if session != AUTO:
        return session
    weights = {
        "Japanese": scripts["kana"] + (scripts["han"] if scripts["kana"] else 0),
        "Chinese": 0 if scripts["kana"] else scripts["han"],
        "Korean": scripts["hangul"],
        "Russian": scripts["cyrillic"] / 2,
    }
    best = max(weights, key=lambda name: weights[name])
    latin = [text[start:end] for start, end, script in words if script == "latin"]
    guess = _latin_language([word.lower() for word in latin])
    # A Latin sentence with a foreign name in it stays Latin; a few Latin names in Chinese do not
    # make it English. A Han character carries as much as half a Latin word.
    if weights[best] and (weights[best] * 2 >= len(latin) or not _is_phrase(latin, alone=False)):
        return best
    return guess


def _script_language(script: str, scripts: Counter[str], main: str, session: str) -> str:
    if script == "han":
        if main == "Japanese" or (session == AUTO and scripts["kana"] > scripts["han"] / 8):
            return "Japanese"
        return "Chinese"
    if script == "latin":
        return main if main in _LATIN else ""
    return {"kana": "Japanese", "hangul": "Korean", "cyrillic": "Russian"}[script]


def _name_phrases(text: str, named: list[_Word], main: str, scripts: Counter[str]) -> None:
    """Give Latin phrases inside another script their language; names keep none."""
    if main in _LATIN or not scripts["latin"]:
        return
    alone = len(scripts) == 1
    at = 0
    while at < len(named):
        end = at
        while end < len(named) and not named[end].language and _joins(named, at, end):
            end += 1
        if end == at:
            at += 1
            continue
        # Letters that touch a digit or a joint are a unit, a name or an address, and show nothing.
        latin = [
            text[word.start : word.end]
            for word in named[at:end]
            if not _JOINED_BEFORE.search(text, 0, word.start)
            and not _JOINED_AFTER.match(text, word.end)
        ]
        if _is_phrase(latin, alone=alone):
            language = _latin_language([word.lower() for word in latin])
            named[at:end] = [word._replace(language=language) for word in named[at:end]]
        at = end


def _joins(named: list[_Word], first: int, index: int) -> bool:
    return index == first or named[index].clause - named[index - 1].clause <= 1


def _is_phrase(latin: list[str], *, alone: bool) -> bool:
    """Return whether Latin words are running text and no name.

    `alone`: nothing of another script stands in the text, so less evidence is enough.
    """
    plain = [word for word in latin if word.islower() and len(word) > 1]
    function = sum(
        word.lower() in _languages_by_word()
        for word in latin
        if len(word) > 1 and not word.isupper()
    )
    function += "I" in latin
    if alone:
        return function > 0 or any(len(word) > 2 for word in plain)
    if len(latin) < 2:
        return False
    return (function > 0 and len(plain) * 2 >= len(latin)) or sum(len(w) > 2 for w in plain) > 2


def _latin_language(words: list[str]) -> str:
    """Guess the language of Latin words; English unless another is clearly ahead."""
    hits = Counter(language for word in words for language in _languages_by_word().get(word, ()))
    if not hits:
        return "English"
    best = max(hits, key=lambda name: (hits[name], name == "English"))
    return best if hits[best] > hits["English"] + (len(words) < 6) else "English"
