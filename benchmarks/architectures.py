"""Time and memory of every architecture of public weights: read, and used once at 256 px.

    python benchmarks/architectures.py [NAME ...]

The networks have the sizes of the published weights and random numbers. Each is written as a model folder, then read
and used in a process of its own: models that change pictures get one of 256x256, models that make pictures make one.
Prints a table of seconds of the processor and of the process's memory at its peak, Python and torch included.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SIDE = 256
FORMS: dict[str, tuple[str, dict[str, Any], int]] = {
    "RRDBNet, 23 blocks, x4 (Real-ESRGAN)": ("upscale", {"network": "full"}, 128),
    "RRDBNet, 6 blocks, x4 (anime)": ("upscale", {"network": "full", "blocks": 6}, 128),
    "SRVGG compact, x4 (animevideov3)": ("upscale", {"network": "compact", "width": 64, "blocks": 16}, 128),
    "Big LaMa": ("inpaint", {"arch": "ffc", "width": 64, "blocks": 18}, 256),
    "MI-GAN of 256 px": ("inpaint", {"arch": "migan", "width": 128}, 256),
    "PatchMatch (fill)": ("fill", {}, 128),
    "CycleGAN, 9 blocks": ("cyclegan", {"blocks": 9}, 256),
    "CUT, 9 blocks": ("cut", {"blocks": 9}, 256),
    "pix2pix, U-Net of 256 px": ("pix2pix", {"depth": 8}, 256),
    "pix2pixHD, global": ("pix2pix", {"generator": "global", "norm": "instance"}, 256),
    "StyleGAN2-ADA of 256 px": ("stylegan2", {"channel_base": 16384}, 256),
    "StyleGAN3-T of 256 px": ("stylegan3", {"variant": "t", "channel_base": 16384}, 256),
    "StyleGAN3-R of 256 px": ("stylegan3", {"variant": "r", "channel_base": 32768}, 256),
}
"""What it is called -> family, settings, size of the pictures that it is made for."""


def write(name: str, folder: Path) -> None:
    """A model folder of the architecture with random weights."""
    import torch

    from gansmith import registry
    from gansmith.config import make
    from gansmith.game import ImageSpec
    from gansmith.models import bundle

    torch.manual_seed(0)
    family, settings, size = FORMS[name]
    kind, spec = registry.family(family), ImageSpec(size, size, 3)
    config = make(kind.Config, settings, family)
    bundle.save(
        folder, bundle.Model(family, bundle.build_exports(kind, config, spec, {} if family == "fill" else None))
    )


def measured(folder: Path) -> dict[str, Any]:
    """Read a model, use it once."""
    import numpy as np
    import torch
    from skimage import data

    from gansmith.abilities import Sampled
    from gansmith.apply.tiles import translate_picture
    from gansmith.models import bundle
    from gansmith.translation import Translation

    torch.set_num_threads(1)
    pixels = np.ascontiguousarray(data.astronaut()[:SIDE, :SIDE])
    mask = np.zeros(pixels.shape[:2], bool)
    mask[100:160, 90:170] = True
    began = time.process_time()
    model = bundle.load(folder)
    read, used = time.process_time() - began, time.process_time()
    game = model.game
    if isinstance(game, Translation):
        translate_picture(game, pixels, mask=mask if game.takes_mask else None)
    else:
        assert isinstance(game, Sampled)
        model.sample(1)
    return {
        "weights": sum(p.numel() for p in game.parameters()),
        "read_s": round(read, 2),
        "use_s": round(time.process_time() - used, 2),
        "peak_mb": _peak(),
    }


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measured(Path(sys.argv[2]))))
        return
    print("| architecture | weights | read, s | used, s | peak memory, MB |\n| --- | --- | --- | --- | --- |")
    for name in sys.argv[1:] or FORMS:
        with tempfile.TemporaryDirectory() as folder:
            # in a process of its own too, so that nothing of it is measured
            place = Path(folder) / "model"
            subprocess.run([sys.executable, __file__, "--write", name, str(place)], check=True)
            done = subprocess.run(
                [sys.executable, __file__, "--one", str(place)], check=True, capture_output=True, text=True
            )
        row = json.loads(done.stdout.splitlines()[-1])
        print(
            f"| {name} | {row['weights']:,} | {row['read_s']:.2f} | {row['use_s']:.2f} | {row['peak_mb']:,} |",
            flush=True,
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        write(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
