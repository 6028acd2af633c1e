"""Games that turn pictures into pictures: what their families share, and the one paired family they vary.

Two-sided data without pairs is CycleGAN's. Everything else here is one family: a picture is damaged, a network learns to
undo it, a discriminator judges the result. Families differ by the damage and the network only. Where both sides are given
as data (pix2pix), the data is the damage.
"""

from gansmith.translation.game import Translation, other_side, rows_of
from gansmith.translation.paired import Pair, Paired
from gansmith.translation.settings import PairedConfig, TranslationConfig

__all__ = ["Pair", "Paired", "PairedConfig", "Translation", "TranslationConfig", "other_side", "rows_of"]
