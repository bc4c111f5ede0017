"""The moves of a model as captured CUDA graphs: a step costs a few launches instead of thousands.

Each move runs on static inputs for a bucket of batch sizes; rows that a batch does not need work
on a slot that nobody has. Where a capture fails the move runs eagerly, with one warning. Without
capture all of it runs on any device, which is how it is tested without a GPU.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from qwen3_tts_live.model.codec import CodecDecoder
from qwen3_tts_live.model.contract import Sampling
from qwen3_tts_live.model.kv_cache import FlashAttention, KVCache
from qwen3_tts_live.model.sampling import NARROW
from qwen3_tts_live.model.speech_model import SpeechModel
from qwen3_tts_live.model.transfer import to_device

__all__ = ["GraphSteps"]

logger = logging.getLogger(__name__)

# Rows of a prefill: longer ones run eagerly, they are rare and their work outweighs the launches.
_PREFILL_BUCKETS = (16, 32, 64, 128, 256)
# How much of the cache a step looks at. The steps between are a compromise: each is a graph for
# each batch bucket, and what lies beyond a speech's end is read for nothing.
_FIRST_WINDOW = 256
# Frames of a chunk whose graphs are captured before the first request.
_USUAL_CHUNKS = (1, 2, 4)


_Pool: TypeAlias = Any  # torch's handle of memory that several graphs share


class _Move:
    """One move on static inputs; `work` is captured, or called each time.

    Args:
        work: reads the inputs, and returns the output, if there is one.
        pool: the graphs' shared memory; None to call `work` each time.
    """

    def __init__(self, work: Callable[[], Tensor | None], pool: _Pool | None) -> None:
        self._work = work
        self._graph: torch.cuda.CUDAGraph | None = None
        self._out: Tensor | None = None
        if pool is not None:
            self._capture(pool)

    def _capture(self, pool: _Pool) -> None:
        stream = torch.cuda.current_stream()
        self._work()  # loads kernels and work spaces, which a capture must not do
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        # A recording may be encoded on another thread meanwhile, whose allocations are no error.
        mode = "thread_local"
        with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode=mode):
            self._out = self._work()
        self._graph = graph

    def run(self) -> Tensor | None:
        """Do it; the output is good until the next run of any move."""
        if self._graph is None:
            return self._work()
        self._graph.replay()
        return self._out


class GraphSteps:
    """See `steps.Steps` for what it promises.

    Args:
        model: talker and predictor.
        codec: the codec.
        slots: speeches at once.
        capture: capture graphs; needs a CUDA device.
    """

    def __init__(
        self, model: SpeechModel, codec: CodecDecoder, slots: int, *, capture: bool = True
    ) -> None:
        self.slots = slots
        self._model = model
        self._codec = codec
        self._like = model.talker.codec_embedding
        self._nobody = slots  # one more place, for the rows that fill a bucket
        self._state = model.empty_state(slots + 1)
        self._cache = KVCache(model.talker.shape, slots + 1, model.max_length, self._like)
        self._audio = codec.init_state(slots + 1, self._like.device)
        self._positions = [0] * slots
        self._batches = _powers(1, slots)
        self._flash = _flash_attention(self._like)
        # flash-attn reads no further than a speech has come: it needs no windows.
        first = model.max_length if self._flash else _FIRST_WINDOW
        self._windows = _powers(first, model.max_length)
        self._moves: dict[tuple[str, int, int], tuple[_Move, Tensor, Tensor]] = {}
        self._pool = torch.cuda.graph_pool_handle() if capture else None

    def capture_usual(self) -> None:
        """Capture what ordinary requests need, so that no request waits for it."""
        total = len(self._batches)
        for number, batch in enumerate(self._batches, start=1):
            logger.info("capturing graphs for %d of up to %d streams", batch, self._batches[-1])
            for window in self._windows:
                self._talk_move(batch, window)
            self._predict_move(batch, NARROW)
            for frames in _USUAL_CHUNKS:
                self._vocode_move(batch, frames)
            logger.debug("captured %d of %d batch sizes", number, total)
        for length in _PREFILL_BUCKETS:
            self._prefill_move(length)

    def prefill(self, slot: int, rows: Tensor, sampling: Sampling) -> None:
        """See `steps.Steps`."""
        self._state.sampling.set(slot, sampling)
        self._positions[slot] = len(rows)
        device = self._like.device
        place = to_device([slot, len(rows) - 1], device)
        if len(rows) > _PREFILL_BUCKETS[-1]:
            row, last = place[:1], place[1:]
            self._model.prefill(self._state, row, rows, last, self._cache.prefill(row))
            return
        length = _PREFILL_BUCKETS[bisect_left(_PREFILL_BUCKETS, len(rows))]
        move, places, padded = self._prefill_move(length)
        places.copy_(place)
        padded[: len(rows)].copy_(rows)
        move.run()

    def talk(self, slots: Sequence[int], text: Tensor) -> None:
        """See `steps.Steps`."""
        needed = 1 + max(self._positions[slot] for slot in slots)
        window = self._windows[bisect_left(self._windows, needed)]
        move, rows, texts = self._talk_move(self._bucket(slots), window)
        self._fill(rows, slots)
        texts[: len(slots)].copy_(text)
        move.run()
        for slot in slots:
            self._positions[slot] += 1

    def predict(self, slots: Sequence[int], width: int) -> Tensor:
        """See `steps.Steps`."""
        move, rows, _ = self._predict_move(self._bucket(slots), width)
        self._fill(rows, slots)
        codes = move.run()
        assert codes is not None
        return codes[: len(slots)].clone()  # the next replay writes over it

    def vocode(self, slots: Sequence[int], codes: Tensor) -> Tensor:
        """See `steps.Steps`."""
        move, rows, static = self._vocode_move(self._bucket(slots), codes.shape[2])
        self._fill(rows, slots)
        static[: len(slots)].copy_(codes)
        pcm = move.run()
        assert pcm is not None
        return pcm[: len(slots)]

    def begin_audio(self, slot: int, reference: Tensor | None) -> None:
        """See `steps.Steps`."""
        self._audio.reset(slot)
        if reference is not None:
            row = to_device([slot], self._like.device)
            self._codec.prime(reference[None], self._audio, row)

    # ------------------------------------------------------------ the moves

    def _prefill_move(self, length: int) -> tuple[_Move, Tensor, Tensor]:
        places = self._rows(2)
        places[1] = 0  # the last row of nobody's prompt
        padded = self._like.new_zeros(length, self._like.shape[1])

        def work() -> None:
            row = places[:1]
            attend = self._cache.prefill(row)
            self._model.prefill(self._state, row, padded, places[1:], attend)

        return self._move(("prefill", length, 0), work, places, padded)

    def _talk_move(self, batch: int, window: int) -> tuple[_Move, Tensor, Tensor]:
        rows = self._rows(batch)
        text = self._like.new_zeros(batch, self._like.shape[1])

        def work() -> None:
            positions = self._state.position.index_select(0, rows)
            if self._flash is None:
                attend = self._cache.static_step(rows, positions, window)
            else:
                attend = self._cache.flash_step(rows, positions, self._flash)
            self._model.talk(self._state, rows, text, attend)
            self._state.position[self._nobody :].zero_()  # it never grows out of the cache

        return self._move(("talk", batch, window), work, rows, text)

    def _predict_move(self, batch: int, width: int) -> tuple[_Move, Tensor, Tensor]:
        rows = self._rows(batch)

        def work() -> Tensor:
            return self._model.predict(self._state, rows, width)

        return self._move(("predict", batch, width), work, rows, rows)

    def _vocode_move(self, batch: int, frames: int) -> tuple[_Move, Tensor, Tensor]:
        rows = self._rows(batch)
        codes = torch.zeros(
            batch, self._model.predictor.groups, frames, dtype=torch.int64, device=rows.device
        )

        def work() -> Tensor:
            return self._codec.decode(codes, self._audio, rows)

        return self._move(("vocode", batch, frames), work, rows, codes)

    def _move(
        self,
        key: tuple[str, int, int],
        work: Callable[[], Tensor | None],
        first: Tensor,
        second: Tensor,
    ) -> tuple[_Move, Tensor, Tensor]:
        """Return the move of that key with its two inputs; make it at its first use."""
        if key not in self._moves:
            self._moves[key] = self._made(key[0], work), first, second
        return self._moves[key]

    def _made(self, name: str, work: Callable[[], Tensor | None]) -> _Move:
        try:
            return _Move(work, self._pool)
        except RuntimeError as error:
            self._pool = None
            logger.warning(
                "capturing the %s step as a CUDA graph failed (%s): all further steps run "
                "without graphs, several times slower",
                name,
                error,
            )
            return _Move(work, None)

    # ------------------------------------------------------------ rows

    def _rows(self, count: int) -> Tensor:
        return torch.full((count,), self._nobody, dtype=torch.int64, device=self._like.device)

    def _bucket(self, slots: Sequence[int]) -> int:
        return self._batches[bisect_left(self._batches, len(slots))]

    def _fill(self, rows: Tensor, slots: Sequence[int]) -> None:
        padding = [self._nobody] * (len(rows) - len(slots))
        rows.copy_(to_device([*slots, *padding], rows.device))


def _flash_attention(like: Tensor) -> FlashAttention | None:
    """Return flash-attn's attention over a cache, where it is installed and fits."""
    if like.device.type != "cuda" or like.dtype == torch.float32:
        return None
    if importlib.util.find_spec("flash_attn") is None:
        return None
    flash: FlashAttention = importlib.import_module("flash_attn").flash_attn_with_kvcache
    logger.info("attention: flash-attn")
    return flash


def _powers(first: int, last: int) -> list[int]:
    """Return `first`, twice that, and so on, and `last` in the end."""
    powers = []
    while first < last:
        powers.append(first)
        first *= 2
    return [*powers, last]
