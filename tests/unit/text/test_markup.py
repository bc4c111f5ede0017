"""What is left of markup: each construct, whole and one character at a time."""

from __future__ import annotations

import pytest

from qwen3_tts_live.text.glyphs import BREAK
from qwen3_tts_live.text.markup import MarkupStripper
from qwen3_tts_live.text.settings import NormalizerSettings


def strip(text: str, settings: NormalizerSettings | None = None) -> str:
    stripper = MarkupStripper(settings or NormalizerSettings())
    glyphs = [glyph for char in text for glyph in stripper.push(char)] + stripper.end()
    return "".join(glyph.text for glyph in glyphs).replace(BREAK, "¶")


# Input and what is left; ¶ is where a sentence ends in any case.
CASES = {
    # emphasis
    "**bold** and *italic* and ***both***": "bold and italic and both",
    "__bold__ and _italic_": "bold and italic",
    "~~gone~~ and ~50": "gone and ~50",
    "这是**重点**内容": "这是重点内容",
    "**Note:** the price": "Note: the price",
    "**Note**that": "Notethat",
    "**never closed": "never closed",
    "closed**": "closed",
    "2 * 3 = 6": "2 * 3 = 6",
    "2*3 and 2**3": "2*3 and 2**3",
    "get_user_id and __init__": "get_user_id and init",
    "5* hotel": "5 hotel",
    "(**bold**)": "(bold)",
    "*a **b** c*": "a b c",
    "a ****": "a ",
    # headings, lists, quotes, rules
    "# Title": "¶Title",
    "###### Six\ntext": "¶Six¶text",
    "#hashtag and C# 5": "#hashtag and C# 5",
    "####### Seven": "####### Seven",
    "- one\n* two\n+ three": "¶one¶¶two¶¶three",
    "• one\n• two": "¶one¶¶two",
    "  - nested": "¶nested",
    "- [ ] task\n- [x] done": "¶task¶¶done",
    "1. one\n2) two": "¶1. one¶¶2) two",
    "> quoted": "¶quoted",
    "> - both": "¶both",
    ">> twice": "¶twice",
    "-5 degrees": "-5 degrees",
    "+86 138": "+86 138",
    ">5 and > 5": ">5 and > 5",
    "above\n---\nbelow": "above\n¶below",
    "Title\n=====\ntext": "Title\n¶text",
    "***\n* * *\n___": "¶¶¶",
    "2025. was": "2025. was",
    "1.5 litres": "1.5 litres",
    # code
    "use `get_user_id()` now": "use get_user_id() now",
    "``a ` b`` c": "a  b c",
    "`*not* <b>`": "*not* <b>",
    "`open\nnext *em*": "open\nnext em",
    "```python\nprint(1)\n```\nDone.": "¶¶Done.",
    "a\n~~~\ncode\n~~~\nb": "a\n¶¶b",
    "````\n```\ncode\n````\nb": "¶¶b",
    "- item\n  ```\n  code\n  ```\nb": "¶item¶¶¶b",
    "```never closed\ncode": "¶¶",
    "```inline``` text": "inline text",
    # links, images, citations
    "See [the docs](https://example.com).": "See the docs.",
    "[a](http://x.y/(z) \"t\") b": "a b",
    "[**bold** label](u)": "bold label",
    "看[文档](http://x)吧": "看文档吧",
    "[sic] (and so on)": "sic (and so on)",
    "[sic](and so on) ok": "sic(and so on) ok",
    "a[0] and b[1]": "a 0 and b 1",
    "[never closed": "never closed",
    "![alt](x.png)Text": "Text",
    "Look! [here](u)": "Look! here",
    "Wow![x]": "Wow!x",
    "text[^1] more": "text more",
    "是的【4†source】。【重要】": "是的。【重要】",
    "<https://a.b/c?d> <me@x.org>": "https://a.b/c?d me@x.org",
    "[![alt](i.png)](http://x) after": " after",
    # tags, entities, control tokens
    "<b>bold</b> x<sup>2</sup>": "bold x2",
    "one<br>two<br/>three": "one¶two¶three",
    "<p>one</p><p class=\"x\">two</p>": "¶one¶¶two¶",
    '<break time="500ms"/>go': "¶go",
    "<|im_end|>5<|endoftext|>": "5",
    "x <!-- a > b --> y": "x  y",
    "a < b and c > d": "a < b and c > d",
    "x<y": "x<y",
    "List<String> it": "List<String> it",
    "I <3 you": "I <3 you",
    "延迟<200ms": "延迟<200ms",
    "R&D, AT&T; Q&A": "R&D, AT&T; Q&A",
    "a &amp; b &lt;c&gt; &#39;d&#x27;&nbsp;e": "a & b <c> 'd' e",
    "&bogus; & &": "&bogus; & &",
    # escapes
    r"\*not\* \_em\_ 5\. \# x": "*not* _em_ 5. # x",
    r"C:\new \d": r"C:\new \d",
    r"\(x + y\)": "(x + y)",
    # tables
    "| Name | Qty |\n|---|:-:|\n| Apple | 3 |\n": "¶Name, Qty¶¶¶¶Apple, 3¶",
    "|名称|数量|\n|-|-|\n|苹果|-3|": "¶名称，数量¶¶¶¶苹果，-3¶",
    # emoji and invisible characters
    "Great job 👍 100%": "Great job  , 100%",
    "太棒了😀👍,得分9.5": "太棒了,得分9.5",
    "太棒了😀我们": "太棒了，我们",
    "family 👨\u200d👩\u200d👧!": "family !",
    "1️⃣ one": "1 one",
    "zero\u200bwidth\ufeff": "zerowidth",
    "nul\x00 bell\x07": "nul bell",
    "half \ud83d pair": "half  pair",
    "a\r\nb\rc": "a\nbc",
    "a\u2028b\x0bc": "a\nb\nc",
    "tab\tstays": "tab\tstays",
}  # fmt: skip


@pytest.mark.parametrize("text", CASES)
def test_markup_goes_and_text_stays(text: str) -> None:
    assert strip(text) == CASES[text]


@pytest.mark.parametrize(
    ("text", "settings", "left"),
    [
        ("a `code` b", NormalizerSettings(inline_code="skip"), "a  b"),
        ("a `open\nb", NormalizerSettings(inline_code="skip"), "a \nb"),
        ("```\nx\n```\nb", NormalizerSettings(code_phrase="Code."), "¶Code.¶b"),
        ("![a cat](x.png) b", NormalizerSettings(images="say"), "a cat b"),
        ("| a |\n|---|\n| b |\nc", NormalizerSettings(tables="skip"), "¶¶¶¶¶¶c"),
        ("**a** 😀\x00\n<b>", NormalizerSettings(markup=False), "**a** 😀\n<b>"),
    ],
)
def test_settings_choose_what_is_said(text: str, settings: NormalizerSettings, left: str) -> None:
    assert strip(text, settings) == left


@pytest.mark.parametrize("text", CASES)
def test_each_glyph_knows_its_raw_text(text: str) -> None:
    stripper = MarkupStripper(NormalizerSettings())
    glyphs = stripper.push(text) + stripper.end()
    at = 0
    for glyph in glyphs:
        assert at <= glyph.start <= glyph.end <= len(text)
        # A glyph that stands for an entity is as wide as it; inserted ones have no width.
        if glyph.start < glyph.end and glyph.text.isalnum() and "&" not in text:
            assert text[glyph.end - 1] == glyph.text
        at = glyph.end


@pytest.mark.parametrize("opener", ["[", "<a ", "&amp", " ![", "](", "【", "`", "**", "\\", "<!--"])
def test_what_never_closes_is_held_for_a_bounded_time(opener: str) -> None:
    stripper = MarkupStripper(NormalizerSettings())
    shown = stripper.push(f"[x]{opener}" + "word " * 400)
    assert len(shown) > 900
