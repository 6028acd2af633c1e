"""Games that turn noise into pictures: what their families share.

A family adds its networks (``generator(z, labels)`` and ``discriminator(images, labels)``) and, where its paper has
others, its own losses and turns.
"""

from gansmith.generation.game import Generation
from gansmith.generation.judged import input_gradient, judgement_logs, squared_gradient_norm
from gansmith.generation.settings import AdversarialConfig, GenerationConfig
from gansmith.generation.styles import StyleGeneration, StyleGenerator

__all__ = [
    "AdversarialConfig",
    "Generation",
    "GenerationConfig",
    "StyleGeneration",
    "StyleGenerator",
    "input_gradient",
    "judgement_logs",
    "squared_gradient_norm",
]
