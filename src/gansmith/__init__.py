"""gansmith: generative adversarial networks that anyone can train, trust and use.

Importing it does no work: everything below is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gansmith.version import __version__

if TYPE_CHECKING:
    from gansmith.api import build, load, train
    from gansmith.errors import GansmithError
    from gansmith.registry import families, use_family
    from gansmith.synthetic.api import augment
    from gansmith.synthetic.dataset import SyntheticDataset
    from gansmith.synthetic.mixing import MixedSampler

_WHERE = {
    "MixedSampler": "gansmith.synthetic.mixing",
    "SyntheticDataset": "gansmith.synthetic.dataset",
    "augment": "gansmith.synthetic.api",
    "build": "gansmith.api",
    "load": "gansmith.api",
    "train": "gansmith.api",
    "families": "gansmith.registry",
    "use_family": "gansmith.registry",
    "GansmithError": "gansmith.errors",
}

__all__ = [
    "GansmithError",
    "MixedSampler",
    "SyntheticDataset",
    "__version__",
    "augment",
    "build",
    "families",
    "load",
    "train",
    "use_family",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        import importlib

        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'gansmith' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
