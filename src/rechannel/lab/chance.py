"""Keyed randomness: every purpose has its own stream, so that a change in one place shifts no other draw."""

from __future__ import annotations

from zlib import crc32

import numpy as np

from rechannel.vocabulary.estimate import FloatArray


def stream(seed: int, *purpose: str) -> np.random.Generator:
    """A generator for one purpose of one seed; equal arguments give equal draws.

    Parameters
    ----------
    seed
        Of the world.
    purpose
        Words that name what is drawn.
    """
    words = [crc32(word.encode()) for word in purpose]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, *words])))


def normals(seed: int, purpose: str, shape: tuple[int, ...], *, from_day: int, future: int) -> FloatArray:
    """Standard normals by day on axis 0; days from `from_day` on come from the stream of `future`.

    Two worlds that differ only in `future` share everything that happened before `from_day`.
    """
    draws = stream(seed, purpose).standard_normal(shape)
    later = stream(seed, purpose, "future", str(future)).standard_normal(shape)
    draws[from_day:] = later[from_day:]
    return draws
