"""How fast the model runs: step time by batch size, first audio, real-time streams, memory.

It writes a checkpoint with random weights of the asked size (speed does not depend on the
values), speaks a fixed number of frames with our runner, and in the same run measures what the
figures stand beside: the official package on the same checkpoint, and the floor that reading
every weight once a use would take at the measured bandwidth.

    python benchmarks/engine.py --size 0.6B --quantize int8
    python benchmarks/engine.py --size 1.7B --device cuda --batches 1,8,32,128
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from agreement import agreement
from random_checkpoint import SHAPES, write_checkpoint
from report import circumstances, percentiles, write

from qwen3_tts_live.model.build import build_runner
from qwen3_tts_live.model.checkpoint import load_checkpoint
from qwen3_tts_live.model.contract import Prompt, Sampling
from qwen3_tts_live.model.qwen_tts import load_qwen_tts
from qwen3_tts_live.model.runner import SpeechRunner

FRAME = 0.08  # seconds of audio
TEXT = "Thank you for calling, I have found your order and it will arrive tomorrow."
MAX_LENGTH = 2048  # rows of a slot
_PREDICTOR_PASSES = 15


def say(text: str) -> None:
    """Tell the terminal how far it is."""
    print(text, file=sys.stderr, flush=True)


class Ours:
    """Our runner on a checkpoint."""

    def __init__(self, folder: Path, device: str, dtype: str, quantize: Any, slots: int) -> None:
        checkpoint = load_checkpoint(folder, device=torch.device(device), dtype=DTYPES[dtype])
        hidden = checkpoint.hidden_size
        voice = np.random.default_rng(0).standard_normal(hidden, np.float32)
        self.prompt = Prompt(
            text_ids=checkpoint.tokenize(TEXT),
            text_complete=True,
            layout="track",
            language_id=checkpoint.languages["english"],
            speaker_embedding=voice,
        )
        self.runner: SpeechRunner = build_runner(
            checkpoint, slots=slots, quantize=quantize, max_length=MAX_LENGTH
        )

    def first_audio(self) -> tuple[float, float]:
        """Return the seconds to the first frame's PCM, and to the second's.

        The trained model's first frame is almost silent: the second is what is heard first.
        """
        started = time.perf_counter()
        self.runner.start(0, self.prompt, Sampling(seed=1))
        times = []
        for _ in range(2):
            self.runner.decode([0])
            self.runner.vocode([0], 1)
            times.append(time.perf_counter() - started)
        self.runner.release(0)
        return times[0], times[1]

    def steps(self, batch: int, frames: int, chunk: int) -> list[float]:
        """Return the seconds of each step of `batch` speeches, prefills left out.

        A step is a frame for each, and for a `chunk`-th of them in turn the codec's work for
        `chunk` frames, as in an engine whose speeches began at different times.
        """
        slots = list(range(batch))
        waiting = dict.fromkeys(slots, 0)
        for slot in slots:
            self.runner.start(slot, self.prompt, Sampling(seed=slot))
        for number in range(chunk):  # the speeches get out of step
            late = [slot for slot in slots if slot % chunk <= number]
            self.runner.decode(late)
            waiting |= {slot: waiting[slot] + 1 for slot in late}
        taken = []
        for _ in range(frames):
            started = time.perf_counter()
            self.runner.decode(slots)
            due = [slot for slot in slots if waiting[slot] + 1 >= chunk]
            waiting = {slot: 0 if slot in due else waiting[slot] + 1 for slot in slots}
            if due:
                self.runner.vocode(due, chunk)
            taken.append(time.perf_counter() - started)
        for slot in slots:
            self.runner.release(slot)
        return taken


def official_seconds(folder: Path, device: str, dtype: str, frames: int) -> float:
    """Return the seconds a frame of the official package, audio included."""
    package = load_qwen_tts()
    tts = package.Qwen3TTSModel.from_pretrained(
        str(folder), dtype=DTYPES[dtype], **({} if device == "cpu" else {"device_map": device})
    )
    rng = np.random.default_rng(0)
    audio = rng.standard_normal(24_000).astype(np.float32) / 10
    voice = tts.create_voice_clone_prompt((audio, 24_000), x_vector_only_mode=True)

    def speak(count: int) -> float:
        started = time.perf_counter()
        wavs, rate = tts.generate_voice_clone(
            TEXT, "English", voice_clone_prompt=voice, max_new_tokens=count + 1
        )
        made = len(wavs[0]) / rate
        assert abs(made - count * FRAME) < FRAME, "the official package ended early"
        return (time.perf_counter() - started) / count

    speak(2)
    return speak(frames)


def bandwidth() -> float:
    """Return the bytes a second that this machine reads from memory, with torch's threads."""
    memory = torch.ones(1 << 28)  # 1 GiB: no cache holds it
    memory.sum()
    best = min(_timed(memory.sum) for _ in range(5))
    return memory.numel() * memory.element_size() / best


def floor_seconds(shape: Any, quantize: str, dtype: str, read: float) -> dict[str, float]:
    """Return what a frame takes at least: every weight read once for each use of it."""
    width = 1 if quantize == "int8" else DTYPES[dtype].itemsize
    talker = shape.layers * _layer(
        shape.hidden, shape.intermediate, shape.heads, shape.kv_heads, shape.head_dim
    )
    predictor = shape.predictor_layers * _layer(
        shape.predictor_hidden,
        shape.predictor_intermediate,
        shape.predictor_heads,
        shape.predictor_kv_heads,
        shape.predictor_head_dim,
    )
    bytes_read = (talker + _PREDICTOR_PASSES * predictor) * width
    return {"bytes_a_frame": bytes_read, "read_bytes_a_second": read, "seconds": bytes_read / read}


def slot_bytes(shape: Any, dtype: str, runner_length: int) -> int:
    """Return what a slot takes of keys and values when all its rows are used, codec state aside."""
    row = 2 * shape.layers * shape.kv_heads * shape.head_dim * DTYPES[dtype].itemsize
    return int(row * runner_length)


def _layer(hidden: int, intermediate: int, heads: int, kv_heads: int, head_dim: int) -> int:
    return hidden * head_dim * 2 * (heads + kv_heads) + 3 * hidden * intermediate


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run everything; return the numbers."""
    batches: Sequence[int] = options.batches
    result: dict[str, Any] = {"floor": None, "official": None}
    shape = SHAPES[options.size]
    if options.device == "cpu":
        read = bandwidth()
        result["floor"] = floor_seconds(shape, options.quantize, options.dtype, read)
    if not options.no_official:
        say("the official package speaks")
        seconds = official_seconds(folder, options.device, options.dtype, options.official_frames)
        result["official"] = {
            "seconds_a_frame": round(seconds, 4),
            "rtf": round(seconds / FRAME, 2),
        }
        gc.collect()
    if options.agreement:
        say("int8 and fp32 take turns")
        result["int8_agreement_teacher_forced"] = agreement(folder, TEXT, options.frames)
        gc.collect()
    say("our runner loads")
    before = _memory(options.device)
    ours = Ours(folder, options.device, options.dtype, options.quantize, max(batches))
    ours.steps(1, 3, 1)
    first = [ours.first_audio() for _ in range(5)]
    result["first_frame_ms"] = percentiles([1000 * one for one, _ in first])
    result["second_frame_ms"] = percentiles([1000 * two for _, two in first])
    result["batches"] = [_batch(ours, batch, options) for batch in batches]
    result["slot_bytes_of_keys_and_values"] = slot_bytes(shape, options.dtype, MAX_LENGTH)
    result["memory_bytes"] = _memory(options.device) - before
    in_time = [row["streams"] for row in result["batches"] if row["step_ms"]["p95"] <= 80]
    result["real_time_streams_at_least"] = max(in_time, default=0)
    if result["official"]:
        rate = 1 / result["official"]["seconds_a_frame"]
        for row in result["batches"]:
            row["times_the_official_rate"] = round(row["frames_a_second"] / rate, 2)
    return result


def _batch(ours: Ours, batch: int, options: argparse.Namespace) -> dict[str, Any]:
    say(f"{batch} streams, {options.frames} frames each")
    taken = ours.steps(batch, options.frames, options.chunk)
    rate = batch * len(taken) / sum(taken)
    return {
        "streams": batch,
        "step_ms": percentiles([1000 * one for one in taken]),
        "frames_a_second": round(rate, 2),
        "audio_seconds_a_second": round(rate * FRAME, 3),
        "rtf_of_each_stream": round(sum(taken) / len(taken) / FRAME, 3),
    }


def _memory(device: str) -> int:
    if device.startswith("cuda"):
        return int(torch.cuda.memory_allocated())
    return int(psutil.Process().memory_info().rss)


DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=SHAPES, default="tiny")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--dtype", choices=DTYPES, help="default: bfloat16 on cuda, else float32")
    parser.add_argument("--quantize", choices=["none", "int8"], default="none")
    parser.add_argument(
        "--batches",
        type=lambda text: [int(number) for number in text.split(",")],
        default=[1, 8],
        help="numbers of streams at once (default 1,8)",
    )
    parser.add_argument("--frames", type=int, default=40, help="of each stream (default 40)")
    parser.add_argument("--chunk", type=int, default=4, help="frames a codec call (default 4)")
    parser.add_argument("--official-frames", type=int, default=20, help="default 20")
    parser.add_argument("--no-official", action="store_true", help="leave the peer out")
    parser.add_argument("--agreement", action="store_true", help="of int8 codes with fp32 ones")
    parser.add_argument("--threads", type=int, help="of both sides (default: 1 if tiny, else all)")
    parser.add_argument("--checkpoint", type=Path, help="keep the checkpoint in this folder")
    parser.add_argument("--name", help="of the result (default engine-SIZE-DEVICE-QUANTIZE)")
    options = parser.parse_args()
    options.dtype = options.dtype or ("float32" if options.device == "cpu" else "bfloat16")
    if options.threads or options.size == "tiny":
        torch.set_num_threads(options.threads or 1)
    where = circumstances("qwen3-tts-live", "torch", "qwen-tts", "transformers")
    where["threads"] = torch.get_num_threads()
    if options.device != "cpu":
        where["gpu"] = torch.cuda.get_device_name()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.checkpoint or Path(temporary)
        if not (folder / "config.json").exists():
            say(f"writing a random checkpoint, {options.size}")
            write_checkpoint(folder, SHAPES[options.size])
        result = measure(options, folder)
    settings = {name: getattr(options, name) for name in ("size", "device", "dtype", "quantize")}
    settings |= {"frames": options.frames, "chunk": options.chunk}
    name = options.name or f"engine-{options.size}-{options.device}-{options.quantize}"
    path = write(name, {"what": "model runner", "settings": settings, **result, **where})
    print(path.read_text())


if __name__ == "__main__":
    main()
