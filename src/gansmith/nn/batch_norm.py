"""Batch norms of a network: which they are, and their statistics measured anew."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def batch_norms(network: nn.Module) -> list[nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm]:
    """Every batch norm of a network."""
    return [module for module in network.modules() if isinstance(module, BATCH_NORMS)]


def measure_anew(network: nn.Module, batches: Sequence[tuple[Tensor | None, ...]]) -> None:
    """Replace the running statistics of a network's batch norms by the plain average over these batches.

    Args:
        network: left in eval mode.
        batches: the arguments of every pass.
    """
    norms = batch_norms(network)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
    network.train()
    for count, given in enumerate(batches, 1):
        for norm in norms:  # a plain average; where momentum is None, every layer asks the GPU for its count
            norm.momentum = 1 / count
        network(*given)
    network.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
