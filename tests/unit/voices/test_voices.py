from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from qwen3_tts_live.errors import InvalidRequestError, UnknownVoiceError
from qwen3_tts_live.voices.cloning import Cloner
from qwen3_tts_live.voices.store import VoiceStore
from qwen3_tts_live.voices.voice import Voice, VoiceRegistry

LANGUAGES = {"chinese": 2055, "english": 2050, "sichuan_dialect": 2062}
SPEAKERS = [
    Voice(name="Vivian", speaker_id=3065),
    Voice(name="Eric", speaker_id=2875, dialect="sichuan_dialect"),
]


def noise(seed: int, seconds: float = 1.0) -> tuple[np.ndarray, int]:
    samples = np.random.default_rng(seed).normal(0, 0.1, round(seconds * 24_000))
    return samples.astype(np.float32), 24_000


class FakeEncoder:
    """Encodes a reference to its mean and to one frame each 80 ms."""

    def __init__(self) -> None:
        self.heard: list[np.ndarray] = []

    def encode_speaker(self, samples: np.ndarray) -> np.ndarray:
        self.heard.append(samples)
        return np.full(8, samples.mean(), np.float32)

    def encode_reference(self, samples: np.ndarray) -> np.ndarray:
        self.heard.append(samples)
        return np.zeros((-(-len(samples) // 1920), 16), np.int64)


# ---------------------------------------------------------------- the registry


def test_the_first_speaker_is_the_default_and_names_compare_in_any_case() -> None:
    registry = VoiceRegistry("custom_voice", 8, SPEAKERS, LANGUAGES)
    assert registry.names == ("Vivian", "Eric")
    assert registry.get(None).speaker_id == 3065
    assert registry.get("ERIC").speaker_id == 2875
    with pytest.raises(UnknownVoiceError, match="Vivian, Eric"):
        registry.get("bob")


@pytest.mark.parametrize(
    ("voice", "language", "expected"),
    [
        ("vivian", "Chinese", 2055),
        ("vivian", "English", 2050),
        ("vivian", "Auto", None),
        ("eric", "Chinese", 2062),
        ("eric", "Auto", 2062),
        ("eric", "English", 2050),
    ],
)
def test_a_speakers_dialect_stands_in_for_chinese_and_for_auto_only(
    voice: str, language: str, expected: int | None
) -> None:
    registry = VoiceRegistry("custom_voice", 8, SPEAKERS, LANGUAGES)
    assert registry.language_id(language, registry.get(voice)) == expected


def test_a_language_that_the_checkpoint_lacks_is_refused() -> None:
    registry = VoiceRegistry("custom_voice", 8, SPEAKERS, LANGUAGES)
    with pytest.raises(InvalidRequestError, match="does not speak Korean"):
        registry.language_id("Korean", registry.get(None))


def test_a_designed_voice_needs_no_name_and_a_base_checkpoint_says_what_it_needs() -> None:
    designed = VoiceRegistry("voice_design", 8, [], LANGUAGES).get(None)
    assert designed.speaker_id is None and designed.embedding is None
    with pytest.raises(InvalidRequestError, match="--ref-audio"):
        VoiceRegistry("base", 8, [], LANGUAGES).get(None)


def test_a_removed_voice_is_known_to_what_was_asked_before_and_a_new_one_replaces_it() -> None:
    registry = VoiceRegistry("base", 8, [clone("anna"), clone("bert")], LANGUAGES)
    old = registry.get("anna")
    registry.remove("anna")
    assert registry.names == ("bert",)
    assert registry.get("anna") is old
    registry.add(clone("anna"))
    assert registry.names == ("bert", "anna")
    assert registry.get("anna") is not old
    for number in range(200):
        registry.add(clone(f"v{number}"))
        registry.remove(f"v{number}")
    with pytest.raises(UnknownVoiceError):
        registry.get("v0")


def test_voices_of_another_model_size_are_left_out() -> None:
    voices = [Voice(name=f"v{n}", embedding=np.zeros(n, np.float32)) for n in (8, 16)]
    assert VoiceRegistry("base", 8, voices, LANGUAGES).names == ("v8",)


# ---------------------------------------------------------------- cloning


def test_a_clone_is_an_embedding_unless_the_references_text_is_given() -> None:
    encoder = FakeEncoder()
    voice = Cloner(encoder).clone("anna", noise(1))
    assert voice.name == "anna" and voice.embedding is not None
    assert voice.codes is None and voice.ref_text == ""
    assert len(encoder.heard) == 1


def test_a_reference_with_its_text_goes_into_the_prompt_with_its_silence() -> None:
    encoder = FakeEncoder()
    voice = Cloner(encoder).clone("anna", noise(1), " Hello. ")
    assert voice.ref_text == "Hello."
    assert voice.codes is not None and voice.codes.shape == (19, 16)  # 1.5 s
    assert [len(samples) for samples in encoder.heard] == [36_000, 24_000]


@pytest.mark.parametrize("text", ["", "  "])
def test_a_blank_reference_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="word for word"):
        Cloner(FakeEncoder()).clone("anna", noise(1), text)


def test_the_same_audio_is_encoded_once_whatever_it_is_called() -> None:
    encoder = FakeEncoder()
    cloner = Cloner(encoder, most=2)
    first = cloner.clone("a", noise(1))
    again = cloner.clone("b", noise(1))
    assert again.name == "b" and again.embedding is first.embedding
    assert len(encoder.heard) == 1
    for seed in (2, 3):
        cloner.clone("c", noise(seed))
    cloner.clone("a", noise(1))  # the oldest was forgotten
    assert len(encoder.heard) == 4


# ---------------------------------------------------------------- the store


def clone(name: str = "anna", *, codes: bool = True) -> Voice:
    return Voice(
        name=name,
        embedding=np.arange(8, dtype=np.float32),
        codes=np.arange(32).reshape(16, 2).T if codes else None,  # a view, as an encoder's are
        ref_text="Grüß Gott, 你好." if codes else "",
    )


@pytest.mark.parametrize("codes", [True, False])
def test_a_stored_voice_comes_back_as_it_was(tmp_path: Path, codes: bool) -> None:
    store = VoiceStore(tmp_path / "voices")
    assert store.names() == []
    stored = clone(codes=codes)
    path = store.add(stored)
    assert path == tmp_path / "voices" / "anna.safetensors"
    assert [file.name for file in path.parent.iterdir()] == ["anna.safetensors"]
    voice = store.load("anna")
    assert voice.name == "anna" and voice.ref_text == stored.ref_text
    assert np.array_equal(voice.embedding, stored.embedding)
    assert (voice.codes is None) if not codes else np.array_equal(voice.codes, stored.codes)


def test_voices_are_listed_by_name_and_removed(tmp_path: Path) -> None:
    store = VoiceStore(tmp_path)
    for name in ("zoe", "anna"):
        store.add(clone(name))
    assert store.names() == ["anna", "zoe"]
    store.remove("zoe")
    assert store.names() == ["anna"]
    for call in (store.remove, store.load):
        with pytest.raises(UnknownVoiceError, match="anna"):
            call("zoe")


def test_a_taken_name_is_replaced_only_when_asked_to(tmp_path: Path) -> None:
    store = VoiceStore(tmp_path)
    store.add(clone())
    with pytest.raises(InvalidRequestError, match="already"):
        store.add(clone(codes=False))
    store.add(clone(codes=False), replace=True)
    assert store.load("anna").codes is None


@pytest.mark.parametrize(
    "name",
    ["", "..", "../anna", "a/b", "a\\b", ".hidden", "Anna", "a" * 65, "a b", "a.b", "é", "a\n"],
)
def test_names_that_could_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    store = VoiceStore(tmp_path / "voices")
    for call in (lambda: store.add(clone(name)), lambda: store.load(name)):
        with pytest.raises(InvalidRequestError, match="no name for a voice"):
            call()
    assert not (tmp_path / "voices").exists()


def test_a_speaker_of_a_checkpoint_cannot_be_stored(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="not a cloned voice"):
        VoiceStore(tmp_path).add(Voice(name="vivian", speaker_id=1))


def test_damaged_and_foreign_files_are_refused_with_what_to_do(tmp_path: Path) -> None:
    store = VoiceStore(tmp_path)
    whole = store.add(clone("cut")).read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.safetensors").write_text("hello")
    save_file({"weights": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    for name in ("cut", "text", "other"):
        with pytest.raises(InvalidRequestError, match="add"):
            store.load(name)
