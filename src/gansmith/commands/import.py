"""Make a model of other people's weights (StyleGAN2, CycleGAN, pix2pix, ESRGAN), without running their code."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from gansmith.commands._parse import parse
from gansmith.errors import GansmithError


@dataclass(frozen=True)
class Options:
    """Options of ``gansmith import``."""

    file: tyro.conf.Positional[Path]
    """A StyleGAN2-ADA or StyleGAN3-trainer .pkl, a rosinality .pt, or a .pth of CycleGAN, pix2pix, ESRGAN, Real-ESRGAN."""
    out: Path
    """The model folder to write."""
    overwrite: bool = False
    """Replace a model that is there already."""


def main(argv: list[str]) -> int:
    """Run ``gansmith import``."""
    options = parse(Options, argv, "import", __doc__ or "")
    if options.out.exists() and not options.overwrite:
        raise GansmithError(f"{options.out} exists. Choose another --out, or add --overwrite.")
    from gansmith.bundle import from_tensors, save
    from gansmith.importers import import_file

    found = import_file(options.file)
    info = {"imported": options.file.name, "notes": found.notes}
    model = from_tensors(found.family, found.config, found.spec, found.tensors, info, str(options.file))
    save(options.out, model, discriminator=found.discriminator)
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)
    spec = found.spec
    print(f"{found.family}, {spec.width}x{spec.height}: {options.out}", file=sys.stderr)
    return 0
