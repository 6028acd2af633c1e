"""Scores that compare two sets of feature vectors, or of pictures, in float64.

Lower is better for the Frechet distance, KID and the sliced Wasserstein distance; higher for the rest.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Moments:
    """Mean [d] and covariance [d, d] of feature vectors, float64."""

    mean: np.ndarray
    covariance: np.ndarray


def moments(features: np.ndarray) -> Moments:
    """Mean and unbiased covariance of features [N, d], N >= 2."""
    features = features.astype(np.float64)
    return Moments(features.mean(0), np.atleast_2d(np.cov(features, rowvar=False)))


def frechet_distance(real: Moments, fake: Moments) -> float:
    """Squared Frechet distance of two Gaussians, |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)).

    Its value on Inception features is the FID (Heusel et al. 2017, arXiv:1706.08500, Eq. 6). The trace of the root is
    the sum of the square roots of the eigenvalues of S1^(1/2) S2 S1^(1/2), which is symmetric: no complex numbers, and
    singular covariances (fewer pictures than features) do no harm.
    """
    values, vectors = np.linalg.eigh(real.covariance)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.linalg.eigvalsh(root @ fake.covariance @ root)
    difference = real.mean - fake.mean
    traces = np.trace(real.covariance) + np.trace(fake.covariance)
    return float(difference @ difference + traces - 2 * np.sqrt(cross.clip(0)).sum())


def kernel_distance(
    real: np.ndarray, fake: np.ndarray, *, subsets: int = 100, size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """KID: unbiased squared maximum mean discrepancy with the kernel (x.y / d + 1)^3 (Binkowski et al. 2018, arXiv:1801.01401).

    Args:
        real, fake: features [N, d], N >= 2.
        subsets: how many random subsets to average over.
        size: pictures per subset; with no more pictures than that, all are used, once.
        seed: of the subsets (drawn as torch-fidelity draws them).

    Returns:
        Mean and standard deviation over the subsets.
    """
    real, fake = real.astype(np.float64), fake.astype(np.float64)
    if max(len(real), len(fake)) <= size:
        return _squared_mmd(real, fake), 0.0
    size = min(size, len(real), len(fake))
    draw = np.random.RandomState(seed)
    values = []
    for _ in range(subsets):
        rows = draw.choice(len(real), size, replace=False), draw.choice(len(fake), size, replace=False)
        values.append(_squared_mmd(real[rows[0]], fake[rows[1]]))
    return float(np.mean(values)), float(np.std(values))


def _squared_mmd(x: np.ndarray, y: np.ndarray) -> float:
    m, n = len(x), len(y)
    return _kernel_sum(x) / (m * (m - 1)) + _kernel_sum(y) / (n * (n - 1)) - 2 * float(_kernel(x, y).mean())


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    linear = x @ y.T / x.shape[1] + 1
    return linear * linear * linear  # much faster than ** 3


def _kernel_sum(x: np.ndarray) -> float:
    """Sum of the kernel over all pairs of different pictures of one set."""
    return float(_kernel(x, x).sum() - (((x * x).sum(1) / x.shape[1] + 1) ** 3).sum())


def manifold_scores(real: np.ndarray, fake: np.ndarray, nearest: int = 5) -> dict[str, float]:
    """Precision and recall (Kynkaanniemi et al. 2019, arXiv:1904.06991), density and coverage (Naeem et al. 2020,
    arXiv:2002.09797), by the reference package ``prdc``.

    Args:
        real, fake: features [N, d], more than ``nearest`` of each. Memory grows with N^2: 1.8 GB at 10,000.
        nearest: a picture's neighbourhood reaches to its k-th nearest neighbour.

    Returns:
        ``precision``, ``recall``, ``density``, ``coverage``; 0 to 1, density may exceed 1.
    """
    from prdc import compute_prdc

    # It prints, and scikit-learn warns of how it is called.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        values = compute_prdc(real.astype(np.float64), fake.astype(np.float64), nearest)
    return {name: float(value) for name, value in values.items()}


def without_extent(features: np.ndarray, nearest: int = 5) -> int:
    """How many pictures have at least ``nearest`` copies among the others: their neighbourhood has a radius of 0.

    Precision, recall, density and coverage ask what lies inside such neighbourhoods, and in these nothing does, not even another
    copy. Copies are found along one random direction, where they lie side by side, and then compared in full.
    """
    x = features.astype(np.float64)
    scale = float(np.sqrt(2 * x.var(0).sum()))  # how far two pictures are from each other
    if scale == 0:
        return len(x) if len(x) > nearest else 0
    along = x @ np.random.default_rng(0).normal(size=x.shape[1])
    order = np.argsort(along)
    breaks = np.flatnonzero(np.diff(along[order]) > 1e-4 * along.std()) + 1
    count = 0
    for group in np.split(order, breaks):
        left = group
        while len(left) > nearest:
            alike = np.linalg.norm(x[left] - x[left[0]], axis=1) < 1e-4 * scale
            count += int(alike.sum()) if alike.sum() > nearest else 0
            left = left[~alike]
    return count


def classifier_score(logits: np.ndarray, *, splits: int = 10, seed: int = 2020) -> tuple[float, float]:
    """Inception score exp(E KL(p(y|x) || p(y))) (Salimans et al. 2016, arXiv:1606.03498) of any classifier's logits.

    Args:
        logits: [N, K], N >= splits.
        splits: the score is averaged over this many parts.
        seed: of the shuffle before splitting (drawn as torch-fidelity draws it).

    Returns:
        Mean and standard deviation over the parts; 1 to K.
    """
    shuffled = torch.from_numpy(logits.astype(np.float64))[np.random.RandomState(seed).permutation(len(logits))]
    log_p = shuffled.log_softmax(1)
    values = []
    for i in range(splits):
        part = log_p[i * len(log_p) // splits : (i + 1) * len(log_p) // splits]
        p = part.exp()
        divergence = torch.where(p > 0, p * (part - p.mean(0).log()), 0.0)  # 0 log 0 is 0, not NaN
        values.append(float(divergence.sum(1).mean().exp()))
    return float(np.mean(values)), float(np.std(values))


def sliced_wasserstein(
    real: Tensor, fake: Tensor, *, seed: int = 0, projections: int = 128, patches: int = 16
) -> dict[str, float]:
    """Sliced Wasserstein distance between 7x7 patches of the levels of Laplacian pyramids, times 1000.

    Source: Karras et al. 2018, arXiv:1710.10196, section 5. Here down to 14 px, with fewer patches and projections, and
    both sets are scaled by the real patches' mean and deviation, so that wrong brightness, contrast and colours count.

    Args:
        real, fake: uint8 pictures [N, C, H, W] of one size, at least 7 px; where one set is larger, the rest of it is unused.
        seed: of patches and directions.
        projections: random directions.
        patches: per picture.

    Returns:
        Level's height in pixels (as text, largest first) -> distance, and ``mean`` over the levels.
    """
    count = min(len(real), len(fake))
    generator = torch.Generator().manual_seed(seed)
    pyramids = [laplacian_pyramid(x[:count].float() / 127.5 - 1) for x in (real, fake)]
    result = {}
    for a, b in zip(*pyramids, strict=True):
        x, y = (_patches(level, patches, generator) for level in (a, b))  # [N * patches, 7, 7, C]
        mean, deviation = x.mean((0, 1, 2)), x.std((0, 1, 2)).clamp_min(1e-3)
        x, y = (((z - mean) / deviation).flatten(1) for z in (x, y))
        directions = F.normalize(torch.randn(x.shape[1], projections, generator=generator), dim=0)
        result[str(a.shape[2])] = 1000 * sliced_distance(x, y, directions)
    return result | {"mean": sum(result.values()) / len(result)}


def sliced_distance(a: Tensor, b: Tensor, directions: Tensor) -> float:
    """Mean over directions [d, P] of the Wasserstein-1 distance of the projections of two equally large sets [N, d]."""
    total = 0.0
    for part in directions.T.split(32):
        # numpy sorts several times faster than torch does
        first, second = (np.sort((part @ x.T).numpy(), axis=1) for x in (a, b))
        total += float(np.abs(first - second).mean(1, dtype=np.float64).sum())
    return total / directions.shape[1]


def laplacian_pyramid(images: Tensor, smallest: int = 14) -> list[Tensor]:
    """Details at ever lower resolutions, and at last what remains: a sum that gives the pictures back.

    Args:
        images: [N, C, H, W], float.
        smallest: levels are not made smaller than this, in pixels.

    Returns:
        One [N, C, h, w] per level, the largest first.
    """
    levels = []
    while min(images.shape[2:]) >= 2 * smallest:
        small = _blur(images)[:, :, ::2, ::2]
        levels.append(images - enlarge(small, images))
        images = small
    return [*levels, images]


def enlarge(small: Tensor, like: Tensor) -> Tensor:
    """Twice as large, to the size of ``like``: zeros in between, then blurred."""
    spread = torch.zeros_like(like)
    spread[:, :, ::2, ::2] = small
    return 4 * _blur(spread)


def _blur(images: Tensor) -> Tensor:
    """The 5x5 binomial filter of the Laplacian pyramid (Burt and Adelson 1983)."""
    line = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    kernel = (line[:, None] * line).expand(images.shape[1], 1, 5, 5)
    return F.conv2d(F.pad(images, (2, 2, 2, 2), mode="reflect"), kernel, groups=images.shape[1])


def _patches(images: Tensor, count: int, generator: torch.Generator, size: int = 7) -> Tensor:
    """Random patches, [N * count, size, size, C]."""
    n, _, height, width = images.shape
    rows = torch.randint(height - size + 1, (n, count, 1, 1), generator=generator) + torch.arange(size)[:, None]
    columns = torch.randint(width - size + 1, (n, count, 1, 1), generator=generator) + torch.arange(size)
    picture = torch.arange(n)[:, None, None, None]
    return images[picture, :, rows, columns].flatten(0, 1)
