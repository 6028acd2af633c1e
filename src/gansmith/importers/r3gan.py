"""R3GAN's networks, out of the pickles that its trainer writes: plain modules, which keep no arguments.

What they were built with is told by the shapes of their tensors.
"""

from __future__ import annotations

import math
import re
from typing import Any

import torch
from torch import Tensor

from gansmith import config as configs
from gansmith.errors import ModelError
from gansmith.game import ImageSpec
from gansmith.gans.r3gan import R3GAN, Config, widths_of
from gansmith.importers.imported import Imported, expected_shapes, misfit, require_fit, square_pictures
from gansmith.importers.notes import Refused, printable
from gansmith.importers.persistent import Network, collect
from gansmith.importers.pickled_tensors import Tensors
from gansmith.importers.stylegan_parts import check_filters, pick, whole

_BLOCK = re.compile(r"Model\.MainLayers\.(\d{1,3})\.Layers\.(\d{1,3})\.LinearLayer2")
_STAGES = "Model.MainLayers"


def networks(generator: Any, discriminator: Any, reader: Tensors, notes: list[str]) -> Imported:
    """R3GAN's generator and discriminator, from the notes of them.

    Raises:
        ModelError: it is another generator, or none that ours can be.
    """
    source = reader.source
    network = collect(generator, reader, "G_ema")
    if f"{_STAGES}.0.Layers.0" not in network.modules or "Model.AggregationLayer" not in network.modules:
        raise ModelError(f"{source} holds a '{printable(network.class_name)}' that is not a generator of R3GAN.")
    config, spec = _settings(network, source)
    judge, found, more = None, {}, []
    if discriminator is not None:
        try:
            judge = collect(discriminator, reader, "D")
            config = configs.with_changes(config, class_dim=_class_dim(judge, spec, source))
        except Refused:
            raise
        except ModelError as error:
            more, judge = [_left_out(error)], None
    tensors = _generator_tensors(network, config, spec, source)
    require_fit(tensors, expected_shapes(R3GAN, config, spec, "generator."), source, "R3GAN")
    if judge is not None:
        try:
            found = _discriminator_tensors(judge, config, spec, source)
            if wrong := misfit(found, expected_shapes(R3GAN, config, spec, "discriminator.")):
                raise ModelError(wrong)
        except ModelError as error:
            found, more = {}, [_left_out(error)]
    notes += (["Its classes have no names."] if spec.classes else []) + more
    return Imported("r3gan", configs.to_plain(config), spec, tensors, found, notes)


def _left_out(error: ModelError) -> str:
    return f"The discriminator was left out ({str(error).rstrip('.')}): the model can be used, not trained on."
