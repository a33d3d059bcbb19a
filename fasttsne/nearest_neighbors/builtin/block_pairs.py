"""Which pairs of blocks are compared, and in which batches, so that threads never conflict."""

import numpy as np


def all_block_pairs(n_blocks: int) -> np.ndarray:
    """Return every pair of blocks, each block with itself first, (pairs, 2) int32.

    The others follow in the rounds of a tournament, in which each block has one partner: as few
    batches as there can be, and as large.
    """
    same = np.repeat(np.arange(n_blocks), 2).reshape(-1, 2)
    pairs = np.argwhere(np.tri(n_blocks, k=-1, dtype=bool))
    n_rounds = n_blocks - 1 + n_blocks % 2
    sums = pairs.sum(1)
    if n_blocks % 2 == 0:  # the last block meets whom its round leaves over
        sums = np.where(pairs[:, 0] == n_blocks - 1, 2 * pairs[:, 1], sums)
    rounds = np.argsort(sums % n_rounds, kind="stable")
    return np.concatenate([same, pairs[rounds]]).astype(np.int32)


def conflict_free_batches(pairs: np.ndarray):
    """Yield batches of pairs in which no block occurs twice, early pairs in early batches.

    The pairs of a batch can be processed in parallel: no block is written by two threads.
    """
    first_free: dict[int, int] = {}
    batches: list[list[int]] = []
    for pair, (a, b) in enumerate(pairs.tolist()):
        batch = max(first_free.get(a, 0), first_free.get(b, 0))
        first_free[a] = first_free[b] = batch + 1
        if batch == len(batches):
            batches.append([])
        batches[batch].append(pair)
    for members in batches:
        yield np.ascontiguousarray(pairs[members])
