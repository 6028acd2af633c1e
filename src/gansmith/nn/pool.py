"""A history of fakes: the discriminator also sees older ones, so that it does not forget (Shrivastava et al. 2016)."""

from __future__ import annotations

import torch
from torch import Tensor

from gansmith.nn.scalars import Scalars
from gansmith.parallel import processes, seeds


class ImagePool(Scalars):
    """Keeps ``size`` fakes and hands out either new ones or older ones (arXiv:1612.07828, section 2.3; CycleGAN, section 4).

    Until it is full it keeps every fake and gives it back. From then on every second fake is swapped for a kept one,
    at random. Its contents are buffers, so checkpoints hold them; every process keeps the same ones.
    """

    pictures: Tensor
    filled: Tensor

    def __init__(self, size: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.register_buffer("pictures", torch.zeros(size, *shape))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def query(self, fakes: Tensor) -> Tensor:
        """Fakes [N, C, H, W] in, as many out; those kept instead stay inside."""
        if len(self.pictures) == 0:
            return fakes
        rank, world = seeds.process()
        with seeds.alone():  # every process draws for all, on the CPU: none waits for a GPU or for another process
            swaps = seeds.uniform(world * len(fakes)).tolist()
            places = seeds.integers(len(self.pictures), world * len(fakes)).tolist()
        given = []
        filled = int(self.scalar("filled"))
        for fake, swap, place in zip(processes.gather(fakes.detach()), swaps, places, strict=True):
            if filled < len(self.pictures):
                self.pictures[filled] = fake
                filled += 1
                given.append(fake)
            elif swap < 0.5:
                given.append(self.pictures[place].to(fake.dtype, copy=True))
                self.pictures[place] = fake
            else:
                given.append(fake)
        self.set_scalar("filled", filled)
        return torch.stack(given[rank * len(fakes) : (rank + 1) * len(fakes)])
