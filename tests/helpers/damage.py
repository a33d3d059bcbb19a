"""Damaged copies of files: seeded mutations of the bytes of one."""

import random
from collections.abc import Callable, Mapping
from pathlib import Path

# Bytes of a block that a disk loses.
BLOCKS = (8, 64, 512, 4096)


def truncated(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def with_flipped_bits(data: bytes, chance: random.Random) -> bytes:
    """One bit, or a few near each other."""
    changed, place = bytearray(data), chance.randrange(len(data))
    for _ in range(chance.choice((1, 1, 1, 3))):
        changed[min(place + chance.randrange(8), len(data) - 1)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def with_flipped_head(data: bytes, chance: random.Random) -> bytes:
    """A bit of the first or the last bytes, where formats describe themselves."""
    changed, place = bytearray(data), chance.randrange(min(len(data), 600))
    changed[place if chance.random() < 0.5 else -1 - place] ^= 1 << chance.randrange(8)
    return bytes(changed)


def with_a_zeroed_block(data: bytes, chance: random.Random) -> bytes:
    size = chance.choice(BLOCKS)
    first = chance.randrange(len(data))
    end = min(first + size, len(data))
    return data[:first] + bytes(end - first) + data[end:]


def with_a_moved_block(data: bytes, chance: random.Random) -> bytes:
    """A block of the file is at another place, too."""
    size = min(chance.choice(BLOCKS), len(data))
    start, to = (chance.randrange(len(data) - size + 1) for _ in range(2))
    return data[:to] + data[start : start + size] + data[to + size :]


def with_a_lost_block(data: bytes, chance: random.Random) -> bytes:
    first = chance.randrange(len(data))
    return data[:first] + data[first + chance.choice(BLOCKS) :]


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    truncated,
    with_flipped_bits,
    with_flipped_bits,
    with_flipped_head,
    with_flipped_head,
    with_a_zeroed_block,
    with_a_moved_block,
    with_a_lost_block,
)


def damaged(data: bytes, seed: object) -> tuple[str, bytes]:
    """The name of a mutation, and the bytes after it; the same for the same seed."""
    chance = random.Random(repr(seed))
    mutation = chance.choice(MUTATIONS)
    return mutation.__name__, mutation(data, chance)


def damage_one(folder: Path, whole: Mapping[str, bytes], name: str, seed: object) -> str:
    """Write the files of a folder as they were, and one of them damaged; return how it is."""
    for each, data in whole.items():
        (folder / each).write_bytes(data)
    how, data = damaged(whole[name], (name, seed))
    (folder / name).write_bytes(data)
    return how
