"""Widths and depths of random checkpoints, and the configuration files that state them.

The codec's ids, codebooks and time base are those of the real ones everywhere. Knows nothing about weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

__all__ = [
    "FEATURES",
    "GENERATION",
    "NARROW",
    "SHAPES",
    "SIZE_06B",
    "SIZE_17B",
    "TINY",
    "WIDE",
    "ModelType",
    "Shape",
    "codec_config",
    "model_config",
]

ModelType = Literal["base", "custom_voice", "voice_design"]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The widths and depths of a checkpoint. All else is as in the real ones.

    The codec's `hidden` differs from its `latent` as in the real one. The talker's speaker
    embedding is as wide as the talker.
    """

    size: Literal["0b6", "1b7"] = "0b6"  # what config.json calls it; 0b6 takes no instructions
    hidden: int = 32
    intermediate: int = 48
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 16
    text_vocabulary: int = 512
    text_hidden: int = 24
    predictor_hidden: int = 24
    predictor_intermediate: int = 32
    predictor_layers: int = 2
    predictor_heads: int = 2
    predictor_kv_heads: int = 1
    predictor_head_dim: int = 16
    speaker_channels: int = 16
    codebook_dim: int = 8
    codec_latent: int = 24
    codec_hidden: int = 16
    codec_intermediate: int = 24
    codec_layers: int = 2
    codec_heads: int = 2
    codec_head_dim: int = 8
    codec_window: int = 72
    decoder_dim: int = 32  # halved four times on the way to the waveform
    encoder_hidden: int = 16
    encoder_filters: int = 2
    encoder_layers: int = 1
    encoder_heads: int = 2


#: Predictor narrower than the talker: its input goes through a projection.
TINY = Shape()
#: Predictor as wide as the talker: no projection, as in the real 0.6B.
NARROW = Shape(
    hidden=32,
    layers=3,
    heads=2,
    kv_heads=2,
    text_hidden=40,
    predictor_hidden=32,
    predictor_layers=1,
    codec_layers=1,
    codec_window=9,
)
#: Deeper and wider, predictor wider than the talker, taking instructions.
WIDE = Shape(
    size="1b7",
    hidden=48,
    intermediate=80,
    layers=4,
    heads=6,
    kv_heads=2,
    head_dim=8,
    predictor_hidden=56,
    predictor_intermediate=64,
    predictor_layers=3,
    predictor_heads=4,
    predictor_kv_heads=2,
    codebook_dim=24,
    codec_latent=40,
    codec_hidden=32,
    codec_layers=3,
    codec_heads=4,
    decoder_dim=48,
)
SIZE_06B = Shape(
    hidden=1024,
    intermediate=3072,
    layers=28,
    heads=16,
    kv_heads=8,
    head_dim=128,
    text_vocabulary=151_936,
    text_hidden=2048,
    predictor_hidden=1024,
    predictor_intermediate=3072,
    predictor_layers=5,
    predictor_heads=16,
    predictor_kv_heads=8,
    predictor_head_dim=128,
    speaker_channels=512,
    codebook_dim=512,
    codec_latent=1024,
    codec_hidden=512,
    codec_intermediate=1024,
    codec_layers=8,
    codec_heads=16,
    codec_head_dim=64,
    decoder_dim=1536,
    encoder_hidden=512,
    encoder_filters=64,
    encoder_layers=8,
    encoder_heads=8,
)
SIZE_17B = replace(SIZE_06B, size="1b7", hidden=2048, intermediate=6144)
SHAPES = {"tiny": TINY, "narrow": NARROW, "wide": WIDE, "0.6B": SIZE_06B, "1.7B": SIZE_17B}

_LANGUAGES = {
    "chinese": 2055,
    "english": 2050,
    "german": 2053,
    "italian": 2070,
    "portuguese": 2071,
    "spanish": 2054,
    "japanese": 2058,
    "korean": 2064,
    "french": 2061,
    "russian": 2069,
}
_DIALECTS = {"beijing_dialect": 2074, "sichuan_dialect": 2062}
_SPEAKERS = {
    "serena": 3066,
    "vivian": 3065,
    "uncle_fu": 3010,
    "ryan": 3061,
    "aiden": 2861,
    "ono_anna": 2873,
    "sohee": 2864,
    "eric": 2875,
    "dylan": 2878,
}


_ATTENTION = {
    "attention_bias": False,
    "attention_dropout": 0,
    "hidden_act": "silu",
    "initializer_range": 0.02,
    "num_code_groups": 16,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000,
    "sliding_window": None,
    "use_cache": True,
    "use_sliding_window": False,
}
#: generation_config.json.
GENERATION = {
    "do_sample": True,
    "max_new_tokens": 8192,
    "repetition_penalty": 1.05,
    "subtalker_dosample": True,
    "subtalker_temperature": 0.9,
    "subtalker_top_k": 50,
    "subtalker_top_p": 1.0,
    "temperature": 0.9,
    "top_k": 50,
    "top_p": 1.0,
}
#: speech_tokenizer/preprocessor_config.json.
FEATURES = {
    "chunk_length_s": None,
    "feature_extractor_type": "EncodecFeatureExtractor",
    "feature_size": 1,
    "overlap": None,
    "padding_side": "right",
    "padding_value": 0.0,
    "return_attention_mask": True,
    "sampling_rate": 24000,
}


def model_config(
    shape: Shape, model_type: ModelType, size: str, tokens: dict[str, int]
) -> dict[str, Any]:
    """Return config.json, with the ids of `tokens`."""
    custom = model_type == "custom_voice"
    dialects = {"eric": "sichuan_dialect", "dylan": "beijing_dialect"}
    talker = _ATTENTION | {
        "code_predictor_config": _ATTENTION | _predictor(shape),
        "codec_bos_id": 2149,
        "codec_eos_token_id": 2150,
        "codec_language_id": _LANGUAGES | (_DIALECTS if custom else {}),
        "codec_nothink_id": 2155,
        "codec_pad_id": 2148,
        "codec_think_bos_id": 2156,
        "codec_think_eos_id": 2157,
        "codec_think_id": 2154,
        "head_dim": shape.head_dim,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "max_position_embeddings": 32768,
        "model_type": "qwen3_tts_talker",
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.kv_heads,
        "rope_scaling": _rope_scaling(shape.head_dim),
        "spk_id": _SPEAKERS if custom else {},
        "spk_is_dialect": {name: dialects.get(name, False) for name in _SPEAKERS if custom},
        "text_hidden_size": shape.text_hidden,
        "text_vocab_size": shape.text_vocabulary,
        "vocab_size": 3072,
    }
    config = {
        "architectures": ["Qwen3TTSForConditionalGeneration"],
        "assistant_token_id": tokens["assistant"],
        "im_end_token_id": tokens["<|im_end|>"],
        "im_start_token_id": tokens["<|im_start|>"],
        "model_type": "qwen3_tts",
        "talker_config": talker,
        "tokenizer_type": "qwen3_tts_tokenizer_12hz",
        "tts_bos_token_id": tokens["<tts_text_bos>"],
        "tts_eos_token_id": tokens["<tts_text_eod>"],
        "tts_model_size": size,
        "tts_model_type": model_type,
        "tts_pad_token_id": tokens["<tts_pad>"],
    }
    return config | ({"speaker_encoder_config": _speaker(shape)} if model_type == "base" else {})


def codec_config(shape: Shape) -> dict[str, Any]:
    """Return speech_tokenizer/config.json."""
    decoder = {
        "attention_bias": False,
        "attention_dropout": 0.0,
        "codebook_dim": shape.codebook_dim,
        "codebook_size": 2048,
        "decoder_dim": shape.decoder_dim,
        "head_dim": shape.codec_head_dim,
        "hidden_act": "silu",
        "hidden_size": shape.codec_hidden,
        "intermediate_size": shape.codec_intermediate,
        "latent_dim": shape.codec_latent,
        "layer_scale_initial_scale": 0.01,
        "max_position_embeddings": 8000,
        "num_attention_heads": shape.codec_heads,
        "num_hidden_layers": shape.codec_layers,
        "num_key_value_heads": shape.codec_heads,
        "num_quantizers": 16,
        "num_semantic_quantizers": 1,
        "rms_norm_eps": 1e-05,
        "rope_theta": 10000,
        "semantic_codebook_size": 4096,
        "sliding_window": shape.codec_window,
        "upsample_rates": [8, 5, 4, 3],
        "upsampling_ratios": [2, 2],
        "vector_quantization_hidden_dimension": shape.codebook_dim,
    }
    encoder = {
        "codebook_dim": shape.codebook_dim // 2,
        "codebook_size": 2048,
        "frame_rate": 12.5,
        "head_dim": shape.encoder_hidden // shape.encoder_heads,
        "hidden_size": shape.encoder_hidden,
        "intermediate_size": shape.encoder_hidden * 4,
        "num_attention_heads": shape.encoder_heads,
        "num_filters": shape.encoder_filters,
        "num_hidden_layers": shape.encoder_layers,
        "num_key_value_heads": shape.encoder_heads,
        "num_quantizers": 32,
        "num_semantic_quantizers": 1,
        "sliding_window": 250,
        "upsample_groups": shape.encoder_hidden,
        "upsampling_ratios": [8, 6, 5, 4],
        "vector_quantization_hidden_dimension": shape.codebook_dim // 2,
    }
    return {
        "architectures": ["Qwen3TTSTokenizerV2Model"],
        "decode_upsample_rate": 1920,
        "decoder_config": decoder,
        "encode_downsample_rate": 1920,
        "encoder_config": encoder,
        "encoder_valid_num_quantizers": 16,
        "input_sample_rate": 24000,
        "model_type": "qwen3_tts_tokenizer_12hz",
        "output_sample_rate": 24000,
    }


def _predictor(shape: Shape) -> dict[str, Any]:
    return {
        "head_dim": shape.predictor_head_dim,
        "hidden_size": shape.predictor_hidden,
        "intermediate_size": shape.predictor_intermediate,
        "max_position_embeddings": 65536,
        "model_type": "qwen3_tts_talker_code_predictor",
        "num_attention_heads": shape.predictor_heads,
        "num_hidden_layers": shape.predictor_layers,
        "num_key_value_heads": shape.predictor_kv_heads,
        "rope_scaling": None,
        "vocab_size": 2048,
    }


def _rope_scaling(head_dim: int) -> dict[str, Any]:
    """Return the sections, in the proportion of the real 24, 20, 20 of 64."""
    third = head_dim // 2 * 5 // 16
    section = [head_dim // 2 - 2 * third, third, third]
    return {
        "interleaved": True,
        "mrope_section": section,
        "rope_type": "default",
        "type": "default",
    }


def _speaker(shape: Shape) -> dict[str, Any]:
    wide = shape.speaker_channels
    return {
        "enc_attention_channels": wide // 4,
        "enc_channels": [wide] * 4 + [wide * 3],
        "enc_dim": shape.hidden,
        "enc_se_channels": wide // 4,
        "sample_rate": 24000,
    }
