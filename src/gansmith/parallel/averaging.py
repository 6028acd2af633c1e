"""One gradient of all processes: what each has found on its own rows of a batch, averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from gansmith.parallel import processes, seeds


def average_gradients(parameters: Sequence[nn.Parameter], logs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Average gradients and logs over processes: in one message on CPUs, in two on GPUs.

    Losses are means over their own pictures, so this equals the gradient of one process with the whole batch. A weight
    that the loss reached in no process keeps having no gradient.
    """
    world = seeds.process()[1]
    if world == 1:
        return dict(logs)
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    device = grads[0].device
    flags = torch.tensor([float(p.grad is not None) for p in parameters])
    values = torch.stack([value.detach().float().to(device) for value in logs.values()])
    one_message = device.type == "cpu"
    if not one_message:  # what went through a GPU can only be read by waiting for it
        flags = processes.all_reduce_(flags)
    flat = torch.cat([*(g.reshape(-1) for g in grads), values, *([flags] if one_message else [])])
    flat = processes.all_reduce_(flat).div_(world)
    lengths = [*(g.numel() for g in grads), len(values), len(flags) if one_message else 0]
    *averaged, values, last = torch.split(flat, lengths)
    reached = (last if one_message else flags).tolist()
    for parameter, grad, anywhere in zip(parameters, averaged, reached, strict=True):
        if parameter.grad is None and anywhere > 0:
            parameter.grad = torch.empty_like(parameter)
        if parameter.grad is not None:
            parameter.grad.copy_(grad.view_as(parameter))
    return dict(zip(logs, values.unbind(), strict=True))
