"""Frames that belong together: what flickers from one to the next is damped by what the last frame had.

A network decides on every frame by itself, so colours and fills change a little where nothing in the scene did. Three
things are reused, all forgotten where the scene changes:

- colours of a colouring model: each place keeps its colour as far as its light stays the same, and the whole frame's
  mean and deviation of colour move slowly;
- fills of an inpainting model: they stay as far as what surrounds them stays;
- the mean and deviation of every channel for other models that change colours (translation).

Upscalers keep their input's colours and are left alone.
"""

from __future__ import annotations

import numpy as np

from gansmith.translation import Paired, Translation

CUT = 0.12
"""Mean change of light, on a scale of 1, from which on two frames belong to different scenes."""
_KEEP = 0.8
"""Share of the last frame's values where nothing changed."""
_SAME = 0.03
"""Change of light at which a place keeps 1 / e of that share."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


class Steady:
    """Damps the results of one film, frame after frame; see the module.

    Args:
        game: the model that makes them.
    """

    def __init__(self, game: Translation) -> None:
        repair = game.repair if isinstance(game, Paired) else "translate"
        self.kind = (
            "fill"
            if game.takes_mask
            else "none"
            if repair == "upscale"
            else "colour"
            if repair == "colour"
            else "statistics"
        )
        self.given: np.ndarray | None = None
        self.made: np.ndarray | None = None
        self.statistics: tuple[np.ndarray, np.ndarray] | None = None

    def __call__(self, given: np.ndarray, made: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """The next frame, damped.

        Args:
            given: the film's frame, uint8 [H, W, 3].
            made: what the model made of it, uint8 [H', W', 3].
            mask: bool [H, W], what was filled.
        """
        if self.kind == "none":
            return made
        light = _light(given)
        if self.given is None or self.made is None or self.made.shape != made.shape or _cut(self.given, light):
            self.statistics = None
            result = made.astype(np.float32)
        elif self.kind == "fill":
            result = self._fill(light, made, mask)
        elif self.kind == "colour":
            result = self._colour(light, made)
        else:
            result = made.astype(np.float32)
        if self.kind != "fill":
            result = self._even(result)
        self.given, self.made = light, result
        return result.round().clip(0, 255).astype(np.uint8)

    def _fill(self, light: np.ndarray, made: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        """Holes keep their last fill as far as their surroundings are what they were."""
        result = made.astype(np.float32)
        if mask is None or self.made is None or self.given is None:
            return result
        around = _grown(mask, max(4, round(0.02 * max(mask.shape)))) & ~mask
        change = np.abs(light - self.given)[around].mean() if around.any() else 1.0
        keep = _KEEP * np.exp(-change / _SAME)
        return np.where(mask[..., None], keep * self.made + (1 - keep) * result, result)

    def _colour(self, light: np.ndarray, made: np.ndarray) -> np.ndarray:
        """Places keep their colour as far as their light is what it was; the light itself is the frame's own."""
        assert self.made is not None
        assert self.given is not None
        change = _smooth(np.abs(light - self.given))
        keep = (_KEEP * np.exp(-change / _SAME))[..., None]
        now, last = made.astype(np.float32), self.made
        colour, before = now - (now @ _LUMA)[..., None], last - (last @ _LUMA)[..., None]
        return (now @ _LUMA)[..., None] + keep * before + (1 - keep) * colour

    def _even(self, made: np.ndarray) -> np.ndarray:
        """The frame with the mean and deviation of its colours near the last ones."""
        grey = (made @ _LUMA)[..., None] if self.kind == "colour" else np.zeros((1, 1, 1), np.float32)
        values = made - grey
        mean, deviation = values.mean((0, 1)), values.std((0, 1)) + 1e-3
        if self.statistics is None:
            self.statistics = mean, deviation
            return made
        mean_before, deviation_before = self.statistics
        wanted = _KEEP * mean_before + (1 - _KEEP) * mean, _KEEP * deviation_before + (1 - _KEEP) * deviation
        self.statistics = wanted
        factor = np.clip(wanted[1] / deviation, 0.5, 2.0)
        return grey + (values - mean) * factor + wanted[0]


def _light(frame: np.ndarray) -> np.ndarray:
    """Luma on a scale of 1, float32 [H, W]."""
    return (frame.astype(np.float32) @ _LUMA) / 255


def _cut(before: np.ndarray, now: np.ndarray) -> bool:
    return before.shape != now.shape or float(np.abs(before - now).mean()) > CUT


def _smooth(values: np.ndarray) -> np.ndarray:
    from scipy.ndimage import uniform_filter

    return uniform_filter(values, 5, mode="nearest")


def _grown(mask: np.ndarray, pixels: int) -> np.ndarray:
    from scipy.ndimage import maximum_filter

    return maximum_filter(mask, 2 * pixels + 1)
