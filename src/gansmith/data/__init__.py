"""Pictures to train on: folders, zips, arrays, standard sets; checked, in memory or streamed."""

from gansmith.data.pairs import TwoSided, open_paired, open_unpaired
from gansmith.data.photographs import Photographs, open_photographs
from gansmith.data.sources import MemoryPictures, Pictures, StreamedPictures, open_pictures

__all__ = [
    "MemoryPictures",
    "Photographs",
    "Pictures",
    "StreamedPictures",
    "TwoSided",
    "open_paired",
    "open_photographs",
    "open_pictures",
    "open_unpaired",
]
