"""What processes of :mod:`helpers.forked` find imported: all that a training run imports, also late."""

import torch

import gansmith.cli
import gansmith.commands.train
import gansmith.gans.gan
import gansmith.health.report
import gansmith.training.session

torch.set_num_threads(1)
torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])  # the first optimizer imports torch's compiler
assert gansmith.cli
