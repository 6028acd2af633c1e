"""Make a model of other people's weights (StyleGAN2, CycleGAN, CUT, pix2pix, pix2pixHD, LaMa, MI-GAN, ESRGAN), without running their code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from gansmith.commands._parse import parse, say
from gansmith.config import Bounds, check_numbers
from gansmith.errors import GansmithError
from gansmith.files.paths import check_writable

OF_A_MODEL = {"config.json", "model.safetensors", "discriminator.safetensors", "README.md"}


@dataclass(frozen=True)
class Options:
    """Options of ``gansmith import``."""

    file: tyro.conf.Positional[Path]
    """A StyleGAN2-ADA or StyleGAN3-trainer .pkl, a rosinality .pt, or a .pth, .ckpt, .pt or .safetensors of CycleGAN, CUT, pix2pix,
    pix2pixHD, LaMa, MI-GAN, ESRGAN, Real-ESRGAN."""
    out: Path
    """The model folder to write."""
    key: tuple[str, ...] = ()
    """Which network of a file that holds several, such as a training's checkpoint: netG_A2B. Two name both directions of a CycleGAN."""
    labels: Annotated[int | None, Bounds(1, was=0)] = None
    """How many labels a network of pix2pixHD knows; by default one less than its channels, the last of which is for borders of instances."""
    overwrite: bool = False
    """Replace a model that is there already."""


def main(argv: list[str]) -> int:
    """Run ``gansmith import``."""
    options = parse(Options, argv, "import", __doc__ or "")
    check_numbers(options)
    check_out(options.out, options.overwrite)
    from gansmith.importers import import_file
    from gansmith.models.bundle import from_tensors, save

    found = import_file(options.file, options.key, options.labels)
    info = {"imported": options.file.name, "notes": found.notes}
    model = from_tensors(found.family, found.config, found.spec, found.tensors, info, str(options.file))
    save(options.out.resolve(), model, discriminator=found.discriminator)
    for note in found.notes:
        say(f"note: {note}")
    spec = found.spec
    say(f"{found.family}, {spec.width}x{spec.height}: {options.out}")
    return 0


def check_out(out: Path, overwrite: bool) -> None:
    """Before any work: can a model be written there, and would nothing but a model be lost?

    Raises:
        GansmithError: no; says why.
    """
    check_writable(out)
    if not out.exists() and not out.is_symlink():
        return
    if not overwrite:
        raise GansmithError(f"{out} exists. Choose another --out, or add --overwrite.")
    if not out.is_dir() or out.is_symlink():
        raise GansmithError(f"--out {out} is a file or a link, not a folder. Choose another --out.")
    others = sorted(entry.name for entry in out.iterdir() if entry.name not in OF_A_MODEL)
    if others:
        raise GansmithError(
            f"--overwrite replaces a model's folder, and {out} also has '{others[0]}', which would be lost. Choose another --out."
        )
