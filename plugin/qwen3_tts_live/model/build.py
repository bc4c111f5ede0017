"""From a loaded checkpoint to the runner that the engine drives.

The one place that knows which device gets which steps. Call it on the thread that will run the
model.
"""

from __future__ import annotations

import torch

from qwen3_tts_live.model.checkpoint import Checkpoint
from qwen3_tts_live.model.codec import CodecDecoder
from qwen3_tts_live.model.graphs import GraphSteps
from qwen3_tts_live.model.linear import Quantize
from qwen3_tts_live.model.runner import SpeechRunner
from qwen3_tts_live.model.speech_model import SpeechModel
from qwen3_tts_live.model.steps import EagerSteps, Steps

__all__ = ["build_runner"]


# The smallest real checkpoint has 1024. Far below it a layer is done before a second thread has
# woken up, and where cores are busy the threads wait for each other: ten times slower.
_WORTH_THREADS = 512


@torch.inference_mode()
def build_runner(
    checkpoint: Checkpoint,
    *,
    slots: int,
    quantize: Quantize = "none",
    max_length: int = 2048,
    codec_dtype: torch.dtype | None = None,
) -> SpeechRunner:
    """Return a runner on the checkpoint's device: captured graphs on CUDA, plain calls elsewhere.

    The checkpoint gives up its talker and its codec, whose weights become the runner's.

    Args:
        checkpoint: what speaks.
        slots: speeches at once.
        quantize: what the linear layers are made of.
        max_length: rows of the longest speech, prompt and frames together. Each costs a slot
            114,688 bytes of keys and values in bfloat16.
        codec_dtype: the codec's precision. None: the talker's on CUDA, else fp32, as a CPU without
            bfloat16 products takes 12 times longer with it.
    """
    role_ids = [checkpoint.config.im_start_token_id, *checkpoint.tokenize("assistant\n")]
    if checkpoint.device.type == "cuda":
        # All later work of this thread: kernels on the default stream wait for all others.
        torch.cuda.set_stream(torch.cuda.Stream(checkpoint.device))  # type: ignore[no-untyped-call]
    else:
        # Silence makes numbers so small that a CPU computes them 5 to 15 times slower.
        torch.set_flush_denormal(True)
        if checkpoint.hidden_size < _WORTH_THREADS:
            torch.set_num_threads(1)  # of this thread
    model = SpeechModel(
        checkpoint.talker, checkpoint.config, role_ids, quantize=quantize, max_length=max_length
    )
    if codec_dtype is None:
        codec_dtype = checkpoint.dtype if checkpoint.device.type == "cuda" else torch.float32
    codec = CodecDecoder(checkpoint.codec, dtype=codec_dtype)
    checkpoint.release_modules()
    return SpeechRunner(model, _steps(model, codec, slots, checkpoint.device))


def _steps(model: SpeechModel, codec: CodecDecoder, slots: int, device: torch.device) -> Steps:
    if device.type != "cuda":
        return EagerSteps(model, codec, slots)
    steps = GraphSteps(model, codec, slots)
    steps.capture_usual()
    return steps
