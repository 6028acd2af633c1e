"""Colour modes of files that are not grey or RGB: CMYK through its profile, and Lab."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

# CIE L*a*b* (D50) of solid inks on coated paper, by which of C, M, Y and K are printed.
# The single inks, their overprints and paper: ISO 12647-2:2004, paper type 1. Black over colours is the same black.
_SOLIDS = {
    "": (95.0, 0.0, -2.0),
    "C": (55.0, -37.0, -50.0),
    "M": (48.0, 74.0, -3.0),
    "Y": (89.0, -5.0, 93.0),
    "CM": (24.0, 22.0, -46.0),
    "CY": (50.0, -65.0, 27.0),
    "MY": (47.0, 68.0, 48.0),
    "CMY": (23.0, 0.0, 0.0),
    "K": (16.0, 0.0, 0.0),
}
_BLACK_OVER = (10.0, 0.0, 0.0)
_DOT_GAIN = 2.0
"""Yule and Nielsen's n: ink dots look larger than they are, because light spreads in paper."""
_ROWS = 1 << 18
"""Pixels converted at once."""


def to_rgb(image: Image.Image) -> Image.Image:
    """A CMYK, Lab or YCbCr picture as sRGB.

    CMYK goes through the profile in the file. Without one, or with one that is damaged or not of CMYK, it is taken for
    a print on coated paper (:func:`printed`).
    """
    if image.mode == "CMYK":
        return _by_profile(image, image.info.get("icc_profile")) or printed(image)
    if image.mode == "LAB":
        lab = ImageCms.createProfile("LAB", 5000)
        made = ImageCms.profileToProfile(image, ImageCms.ImageCmsProfile(lab), _srgb(), outputMode="RGB")
        assert made is not None
        return made
    return image.convert("RGB")


def _by_profile(image: Image.Image, profile: Any) -> Image.Image | None:
    """CMYK through its own profile, or None where there is none to use."""
    if not isinstance(profile, bytes) or profile[16:20] != b"CMYK":
        return None
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        return ImageCms.profileToProfile(image, given, _srgb(), renderingIntent=intent, outputMode="RGB", flags=flags)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


@lru_cache(maxsize=1)
def _srgb() -> Any:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def printed(image: Image.Image) -> Image.Image:
    """CMYK as it looks on coated paper: the Neugebauer equations with Yule and Nielsen's dot gain.

    Neugebauer 1937: a halftone is a mosaic of the 16 overprints of solid inks, whose shares are products of the inks'
    coverages (Demichel 1924). Yule and Nielsen 1951: the mean is taken of reflectances to the power of 1/n. The paper becomes
    white and the darkest overprint black.

    Args:
        image: mode CMYK, 255 is full ink.

    Returns:
        mode RGB, sRGB.
    """
    ink = np.asarray(image)
    pixels = ink.reshape(-1, 4)
    made = np.empty((len(pixels), 3), np.uint8)
    for start in range(0, len(pixels), _ROWS):
        cover = pixels[start : start + _ROWS, :, None].astype(np.float32) / 255  # [n, 4, 1]
        corners = _overprints()  # [2, 2, 2, 2, 3] over k, y, m, c
        mixed = _mixed(corners[0], cover), _mixed(corners[1], cover)
        linear = (mixed[0] + cover[:, 3] * (mixed[1] - mixed[0])) ** _DOT_GAIN
        made[start : start + _ROWS] = np.rint(_encoded(linear) * 255)
    return Image.fromarray(made.reshape(*ink.shape[:2], 3))


def _mixed(corners: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """The mean over the overprints of C, M and Y: [2, 2, 2, 3] over y, m, c -> [n, 3]."""
    c, m, y = cover[:, 0], cover[:, 1], cover[:, 2]
    along_c = [[corners[i, j, 0] + c * (corners[i, j, 1] - corners[i, j, 0]) for j in (0, 1)] for i in (0, 1)]
    along_m = [row[0] + m * (row[1] - row[0]) for row in along_c]
    return along_m[0] + y * (along_m[1] - along_m[0])


@lru_cache(maxsize=1)
def _overprints() -> np.ndarray:
    """Linear sRGB of the 16 overprints to the power of 1/n, float32 [2, 2, 2, 2, 3] over k, y, m, c."""
    labs = np.empty((2, 2, 2, 2, 3))
    for k, y, m, c in np.ndindex(2, 2, 2, 2):
        name = "C" * c + "M" * m + "Y" * y + "K" * k
        labs[k, y, m, c] = _BLACK_OVER if k and name != "K" else _SOLIDS[name]
    xyz = _lab_to_xyz(labs)
    paper, black = xyz[0, 0, 0, 0], _lab_to_xyz(np.array(_BLACK_OVER))
    scaled = (xyz - black) / (paper - black) * _D50  # paper is white, and the darkest overprint black
    linear = np.clip(scaled @ _XYZ_TO_SRGB.T, 0, 1)
    return (linear ** (1 / _DOT_GAIN)).astype(np.float32)


_D50 = np.array([0.9642, 1.0, 0.8249])
_XYZ_TO_SRGB = np.array(  # from D50, by Bradford's adaptation
    [[3.1339, -1.6169, -0.4906], [-0.9788, 1.9161, 0.0335], [0.0719, -0.2290, 1.4052]]
)


def _lab_to_xyz(lab: np.ndarray) -> np.ndarray:
    """CIE 1976 L*a*b* under D50 -> XYZ with Y = 1 for white."""
    fy = (lab[..., 0] + 16) / 116
    f = np.stack([fy + lab[..., 1] / 500, fy, fy - lab[..., 2] / 200], -1)
    return np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * _D50


def _encoded(linear: np.ndarray) -> np.ndarray:
    """The curve of sRGB (IEC 61966-2-1), [0, 1] -> [0, 1]."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055).clip(0, 1)
