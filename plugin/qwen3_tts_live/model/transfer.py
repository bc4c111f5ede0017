"""Small copies between host and device, without stopping the device.

A copy from ordinary memory makes CUDA wait for all that was asked before; one from pinned memory
joins the queue.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["to_device", "to_host"]


def to_device(values: Sequence[int], device: torch.device) -> Tensor:
    """Return `values` as an int64 tensor on `device`."""
    # Before CUDA has begun nothing runs on it that could be stopped.
    if device.type != "cuda" or not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return torch.tensor(values, dtype=torch.int64, device=device)
    # torch keeps the pinned memory until the copy is done.
    pinned = torch.tensor(values, dtype=torch.int64, pin_memory=True)
    return pinned.to(device, non_blocking=True)


def to_host(tensor: Tensor) -> NDArray[np.generic]:
    """Wait for `tensor` and return its values."""
    if tensor.device.type != "cuda":
        return tensor.numpy()
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    pinned.copy_(tensor, non_blocking=True)
    torch.cuda.current_stream(tensor.device).synchronize()
    return pinned.numpy()
