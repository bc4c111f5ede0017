"""Time the codec decoder beside the official one, which decodes whole windows.

Random weights of real size: speed does not depend on their values. Both sides take turns, cell
by cell, so that what else the machine does hits both; a cell's number is its fastest run. With one
thread it is that thread's own time, which other work on the machine hardly changes. The official
decoder has no state: its frames stand alone, so its audio would click at every window.

    python benchmarks/codec.py
    python benchmarks/codec.py --threads 1 --dtypes float32 bfloat16 --batches 1
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from typing import Any

import torch
from random_codec import random_decoder
from random_shapes import SHAPES
from report import circumstances, write
from torch import Tensor

from qwen3_tts_live.model.codec import CodecDecoder

FRAME_MS = 80.0


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Time the codec beside the official decoder.")
    parser.add_argument("--size", choices=SHAPES, default="0.6B", help="default: 0.6B")
    parser.add_argument("--device", default="cpu", help="default: cpu")
    parser.add_argument("--threads", type=int, default=2, help="default: 2")
    parser.add_argument(
        "--frames", nargs="+", type=int, default=[1, 2, 4, 8], help="a call; default: 1 2 4 8"
    )
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8], help="default: 1 8")
    parser.add_argument(
        "--dtypes",
        nargs="+",
        default=["float32"],
        choices=["float32", "bfloat16", "float16"],
        help="default: float32",
    )
    parser.add_argument("--seconds", type=float, default=8, help="for each cell; default: 8")
    parser.add_argument("--name", help="of the result; default: codec-DEVICE")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    about = circumstances("torch", "qwen-tts")
    official = random_decoder(SHAPES[args.size]).to(args.device)
    result: dict[str, Any] = {
        "circumstances": about,
        "size": args.size,
        "device": args.device,
        "threads": args.threads,
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "unit": "milliseconds a frame (80 ms of audio) of one stream, fastest of all runs",
        "clock": "the thread's own time" if _own_time(args) else "wall time",
        "dtypes": {},
    }
    with torch.inference_mode():
        for name in args.dtypes:
            result["dtypes"][name] = _measure(official, getattr(torch, name), args)
    print(write(args.name or f"codec-{args.device}", result))


def _measure(official: Any, dtype: torch.dtype, args: argparse.Namespace) -> dict[str, Any]:
    codec = CodecDecoder(official, dtype)
    theirs = copy.deepcopy(official).to(dtype)
    codes = torch.randint(2048, (max(args.batches), 16, 40), device=args.device)
    measured = {
        "bytes_of_state_a_slot": codec.init_state(1, args.device).bytes_per_slot,
        **_errors(official, theirs, codec, codes[:1]),
        "cells": [],
    }
    for batch in args.batches:
        for frames in args.frames:
            window = codes[:batch, :, :frames].contiguous()
            ours = _stepper(codec, window)
            best = _fastest([ours, lambda window=window: theirs(window)], args)
            milliseconds = [1e3 * seconds / batch / frames for seconds in best]
            cell = {
                "batch": batch,
                "frames_a_call": frames,
                "ours": round(milliseconds[0], 2),
                "official": round(milliseconds[1], 2),
                "times_faster": round(milliseconds[1] / milliseconds[0], 2),
                "real_time_factor": round(milliseconds[0] / FRAME_MS, 3),
            }
            measured["cells"].append(cell)
            print(str(dtype).removeprefix("torch."), cell, flush=True)
    return measured


def _stepper(codec: CodecDecoder, window: Tensor) -> Callable[[], Tensor]:
    rows = torch.arange(len(window), device=window.device)
    state = codec.init_state(len(window), window.device)
    return lambda: codec.decode(window, state, rows)


def _fastest(moves: list[Callable[[], Tensor]], args: argparse.Namespace) -> list[float]:
    """Return the seconds of each move's fastest run; they take turns, three at least."""
    clock = time.thread_time if _own_time(args) else time.perf_counter
    best = [float("inf")] * len(moves)
    for move in moves:
        move()
    end = time.perf_counter() + args.seconds
    turns = 0
    while turns < 3 or time.perf_counter() < end:
        turns += 1
        for index, move in enumerate(moves):
            started = clock()
            move().cpu()  # waits for the device
            best[index] = min(best[index], clock() - started)
    return best


def _own_time(args: argparse.Namespace) -> bool:
    return args.threads == 1 and args.device == "cpu"


def _errors(official: Any, theirs: Any, codec: CodecDecoder, codes: Tensor) -> dict[str, Any]:
    """How far streamed audio, and the official decoder in this dtype, are from fp32 in one go."""
    expected = official(codes)[:, 0]
    state = codec.init_state(1, codes.device)
    row = torch.zeros(1, dtype=torch.int64, device=codes.device)
    pieces = [codec.decode_float(piece, state, row) for piece in torch.split(codes, 3, dim=2)]
    streamed = torch.cat(pieces, dim=1)
    return {
        "streamed_largest_error": _rounded((streamed - expected).abs().max()),
        "streamed_snr_db": _snr(streamed, expected),
        "official_snr_db": _snr(theirs(codes)[:, 0].float(), expected),
    }


def _snr(wave: Tensor, expected: Tensor) -> float | None:
    noise = (wave - expected).square().mean()
    if not noise:
        return None
    return round(10 * torch.log10(expected.square().mean() / noise).item(), 1)


def _rounded(value: Tensor) -> float:
    return float(f"{value.item():.2g}")


if __name__ == "__main__":
    main()
