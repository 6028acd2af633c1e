"""Every architecture that spandrel knows, with random weights: imported, saved, loaded, compared, exported.

Run: python benchmarks/upscaler_architectures.py [--quick] [NAME ...]
Prints one line each: the largest difference to spandrel's own call. --quick leaves the export out.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from spandrel import MAIN_REGISTRY, ImageModelDescriptor, MaskedImageModelDescriptor

from gansmith.config import to_plain
from gansmith.errors import GansmithError
from gansmith.export import onnx
from gansmith.export.program import program_of
from gansmith.gans.foreign import spandrel
from gansmith.models import bundle

FORMS: dict[str, dict[str, Any]] = {  # small ones, where the defaults are of another kind than the published weights
    "SwinIR": {
        "upscale": 2,
        "img_size": 16,
        "window_size": 8,
        "depths": [2, 2],
        "embed_dim": 12,
        "num_heads": [2, 2],
        "upsampler": "nearest+conv",
    },
    "Swin2SR": {
        "upscale": 2,
        "img_size": 16,
        "window_size": 8,
        "depths": [2, 2],
        "embed_dim": 12,
        "num_heads": [2, 2],
        "upsampler": "pixelshuffle",
    },
    "HAT": {
        "upscale": 2,
        "img_size": 16,
        "window_size": 16,
        "depths": [2],
        "embed_dim": 60,
        "num_heads": [2],
        "upsampler": "pixelshuffle",
    },
    "DAT": {"upscale": 2, "img_size": 16, "depth": [2], "embed_dim": 12, "num_heads": [2], "split_size": [8, 16]},
    "OmniSR": {"num_feat": 16, "upsampling": 2, "res_num": 1},
    "NAFNet": {"width": 16, "enc_blk_nums": [1, 1], "middle_blk_num": 1, "dec_blk_nums": [1, 1]},
    "RCAN": {"n_resgroups": 2, "n_resblocks": 2, "n_feats": 16, "scale": 2},
    "SCUNet": {"config": [1, 1, 1, 1, 1, 1, 1], "dim": 16},
    "SPAN": {"num_in_ch": 3, "num_out_ch": 3, "upscale": 2},
    "ESRGAN": {"num_blocks": 2},
}


def networks(name: str) -> list[torch.nn.Module]:
    """The architecture's networks that can be built with few arguments."""
    module = importlib.import_module(f"spandrel.architectures.{name}")
    built = []
    for value in vars(module).values():
        if inspect.isclass(value) and issubclass(value, torch.nn.Module):
            for form in (FORMS.get(name, {}), {}, {"upscale": 2}, {"scale": 2}, {"num_in_ch": 3, "num_out_ch": 3}):
                try:
                    torch.manual_seed(0)
                    built.append(value(**form))
                    break
                except Exception:
                    continue
    return built


def tried(network: torch.nn.Module, folder: Path) -> str:
    state = network.eval().state_dict()
    reference = MAIN_REGISTRY.load({k: v.clone() for k, v in state.items()})
    assert isinstance(reference, (ImageModelDescriptor, MaskedImageModelDescriptor))
    reference.eval()
    config, spec, tensors = spandrel.imported(state, "file")
    model = bundle.from_tensors("spandrel", to_plain(config), spec, tensors, {}, "file")
    model.save(folder / "model")
    game: Any = bundle.load(folder / "model").game
    side = 48
    pictures, mask = torch.rand(2, spec.channels, side, side) * 2 - 1, torch.zeros(2, 1, side, side)
    mask[:, :, 8:24, 8:24] = 1
    started = time.monotonic()
    with torch.inference_mode():
        if game.takes_mask:
            made = game.translate(pictures, mask=mask)
            theirs = torch.cat([reference((p[None] + 1) / 2, m[None]) for p, m in zip(pictures, mask, strict=True)])  # type: ignore[call-arg]
            theirs = torch.where(mask > 0.5, theirs * 2 - 1, pictures)
        else:
            made = game.translate(pictures)
            theirs = torch.cat([reference((p[None] + 1) / 2) for p in pictures]) * 2 - 1  # type: ignore[call-arg]
        odd = game.translate(pictures[:, :, :37, :41], **({"mask": mask[:, :, :37, :41]} if game.takes_mask else {}))
    seconds = time.monotonic() - started
    assert odd.shape[2:] == (37 * game.scale, 41 * game.scale), odd.shape
    count = sum(p.numel() for p in game.parameters())
    difference = (made - theirs).abs().max().item()
    written = "" if "--quick" in sys.argv else f", ONNX {exported(model)}"
    return f"x{game.scale}, {count:,} weights, largest difference {difference:.1e}, {seconds:.1f} s{written}"


def exported(model: bundle.Model) -> str:
    for words, free in (("any size", True), ("one size", False)):
        try:
            program = program_of(model, free_size=free)
            checks = onnx.check_onnx(onnx.to_onnx(program), program, model, onnx.FOREIGN_TOLERANCE)
            if all(check.passed for check in checks):
                return words
        except GansmithError:
            continue
    return "no"


def main() -> None:
    warnings.filterwarnings("ignore")
    for support in MAIN_REGISTRY:
        name = support.architecture.id
        chosen = [word for word in sys.argv[1:] if not word.startswith("-")]
        if chosen and name not in chosen:
            continue
        lines = []
        for network in networks(name):
            with tempfile.TemporaryDirectory() as folder:
                try:
                    lines.append(f"{type(network).__name__}: {tried(network, Path(folder))}")
                except GansmithError as error:
                    lines.append(f"{type(network).__name__}: refused: {str(error)[:150]}")
                except Exception as error:
                    lines.append(f"{type(network).__name__}: FAILED {type(error).__name__}: {str(error)[:150]}")
        print(f"{name:14} {' | '.join(lines) or 'not built here'}", flush=True)


if __name__ == "__main__":
    main()
