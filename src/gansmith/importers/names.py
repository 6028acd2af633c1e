"""Which names a pickle of weights may hold. None of them is ever imported; a name that no such file has is a warning sign."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass

_PLAIN = {
    "int",
    "float",
    "bool",
    "str",
    "bytes",
    "bytearray",
    "complex",
    "list",
    "tuple",
    "dict",
    "set",
    "frozenset",
    "slice",
}
_DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
STORAGES = {
    f"torch.{kind}Storage": dtype
    for kind, dtype in zip(("Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool"), _DTYPES, strict=True)
}  # fmt: skip
"""torch's storages, and the dtype of each by its name in torch."""

_TENSORS = {
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    "torch.Size",
    "torch.device",
    "torch.nn.parameter.Parameter",
    "torch.Tensor",
    "numpy.dtype",
    "numpy.ndarray",
    "_codecs.encode",
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *(f"numpy.{core}.numeric._frombuffer" for core in ("core", "_core")),
    *(f"torch.{dtype}" for dtype in _DTYPES),
    *(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in _PLAIN),
    *STORAGES,
}
_R3GAN = {
    *(f"training.networks.{name}" for name in ("Generator", "Discriminator")),
    *(
        f"R3GAN.Networks.{name}"
        for name in ("Generator", "GeneratorStage", "GenerativeBasis", "UpsampleLayer", "Discriminator", "DiscriminatorStage",
                     "DiscriminativeBasis", "DownsampleLayer", "ResidualBlock", "Convolution")
    ),
    *(f"R3GAN.FusedOperators.BiasedActivation{kind}" for kind in ("CUDA", "Reference")),
    *(f"R3GAN.Resamplers.Interpolative{way}sampler{kind}" for way in ("Up", "Down") for kind in ("CUDA", "Reference")),
    "torch.nn.modules.container.ModuleList",
    "torch.nn.modules.conv.Conv2d",
    "torch.nn.modules.linear.Linear",
}  # fmt: skip
"""Modules of the networks that R3GAN pickles with their structure."""
_STYLEGAN = _TENSORS | _R3GAN | {
    "torch_utils.persistence._reconstruct_persistent_obj",
    "dnnlib.util.EasyDict",
    "torch.storage._load_from_bytes",
}  # fmt: skip
_CHECKPOINTS = _TENSORS | {
    "argparse.Namespace",
    "builtins.object",
    "__builtin__.object",
    "collections.Counter",
    "collections.defaultdict",
    "collections.deque",
    "copyreg._reconstructor",
    "copy_reg._reconstructor",
    "types.SimpleNamespace",
    "uuid.UUID",
    "torch.storage.UntypedStorage",
    "torch.storage.TypedStorage",
    "torch.serialization._get_layout",
    *(f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone")),
}
_PARTS = ("torch._utils._rebuild_", "torch._tensor._rebuild_", "torch.nn.", "torch.optim.", "torch._C._nn.", "torch.distributed.optim.",
          "torch.amp.", "torch.cuda.amp.", "torch.jit._pickle.build_", "pathlib.", "numpy.dtypes.", "numpy.random.")  # fmt: skip
"""What trainers also save beside tensors: layers, optimizers, lists of TorchScript, paths, states of random numbers."""
_STORAGE = re.compile(r"torch\.[A-Z]\w{0,20}Storage", re.ASCII)
_OTHERS = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)
_SYSTEM = sys.stdlib_module_names | {"__builtin__", "nt", "posix", "torch", "numpy", "os2", "copy_reg"}


@dataclass(frozen=True)
class Policy:
    """Which names a kind of file may hold.

    Attributes:
        what: such a file, for messages.
        allows: whether it may hold a name.
        odd_keys: whether keys of tables may be something other than words and numbers.
    """

    what: str
    allows: Callable[[str], bool]
    odd_keys: bool = False


def _of_a_checkpoint(name: str) -> bool:
    """A trainer's own classes may stand beside tensors, as nothing of them is read; tools of Python and torch that run things may not."""
    if name in _CHECKPOINTS or name.startswith(_PARTS) or _STORAGE.fullmatch(name):
        return True
    return name.split(".", 1)[0] not in _SYSTEM and len(name) <= 200 and _OTHERS.fullmatch(name) is not None


STYLEGAN = Policy("a file of StyleGAN weights", _STYLEGAN.__contains__)
"""Pickles of StyleGAN2-ADA, which hold networks and nothing else."""
CHECKPOINT = Policy("a file of weights", _of_a_checkpoint, odd_keys=True)
"""What ``torch.save`` writes of weights, and of trainings with their settings and optimizers."""
