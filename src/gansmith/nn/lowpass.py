"""Low-pass filters by design: Kaiser's windowed sinc, and its radially symmetric relative (arXiv:2106.12423, appendix C.1)."""

from __future__ import annotations

import functools
import math

import torch

Line = tuple[float, ...]
Plane = tuple[Line, ...]


def kaiser_beta(taps: int, width: float) -> float:
    """The shape of Kaiser's window for a filter of so many taps (Kaiser 1974; Eq. 5 and 6 of the paper's appendix).

    Args:
        width: of the transition band, as a share of half the sampling rate.
    """
    attenuation = 2.285 * (taps - 1) * math.pi * width + 7.95  # decibels
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    return 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21) if attenuation > 21 else 0.0


def _window(taps: int, half_width: float, rate: float) -> torch.Tensor:
    beta = kaiser_beta(taps, 2 * half_width / (rate / 2))
    return torch.kaiser_window(taps, periodic=False, beta=beta, dtype=torch.float64, device="cpu")


def _places(taps: int, rate: float) -> torch.Tensor:
    """Where the taps are, around 0, in units of length."""
    return (torch.arange(taps, dtype=torch.float64, device="cpu") - (taps - 1) / 2) / rate


@functools.lru_cache(maxsize=256)
def separable(taps: int, cutoff: float, half_width: float, rate: float) -> Line:
    """One axis of a separable low-pass filter of sum 1: a sinc in Kaiser's window.

    Args:
        cutoff: frequency at which the filter passes half, in cycles per unit of length.
        half_width: half the width of its transition band, likewise.
        rate: samples per unit of length.
    """
    line = torch.sinc(2 * cutoff * _places(taps, rate)) * _window(taps, half_width, rate)
    return tuple((line / line.sum()).tolist())


@functools.lru_cache(maxsize=256)
def radial(taps: int, cutoff: float, half_width: float, rate: float) -> Plane:
    """A radially symmetric low-pass filter [taps, taps] of sum 1: a jinc in Kaiser's window along both axes (Eq. 9).

    Args:
        taps: an even number, so that none is in the very middle.
    """
    place, window = _places(taps, rate), _window(taps, half_width, rate)
    radius = torch.hypot(place[:, None], place[None])
    plane = torch.special.bessel_j1(2 * math.pi * cutoff * radius) / (math.pi * radius)
    plane = plane * torch.outer(window, window)
    return tuple(tuple(row) for row in (plane / plane.sum()).tolist())
