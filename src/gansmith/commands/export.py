"""Write a model for other programs: ONNX, one web page, TorchScript or torch.export, checked against the model."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from gansmith.commands._parse import parse, say, show_table
from gansmith.errors import GansmithError
from gansmith.files.paths import check_free, check_writable

if TYPE_CHECKING:
    from gansmith.export.onnx import Check

SUFFIXES = {"onnx": ".onnx", "web": ".html", "torchscript": ".pt", "exported": ".pt2"}


@dataclass(frozen=True)
class Options:
    """Options of ``gansmith export``."""

    model: Positional[str]
    """A run folder, a model folder, or a Hub id such as user/name."""
    to: Literal["onnx", "web", "torchscript", "exported"] = "onnx"
    """onnx for any runtime, web for one page that runs in a browser offline, torchscript or exported (.pt2) for C++."""
    out: Path | None = None
    """The file; by default model.onnx, model.html, model.pt or model.pt2."""
    direction: Literal["ab", "ba"] = "ab"
    """Which way, for models that translate both ways."""
    noise: Literal["const", "input"] = "const"
    """StyleGAN2's per-pixel noise: the model's own, or an input 'noise' [N, P] of N(0, 1) numbers."""
    fixed_size: bool = False
    """For models that change pictures: only pictures of the size it was trained on (always so with --to exported)."""
    overwrite: bool = False
    """Replace the file if it is there."""
    json: bool = False
    """Print the report as JSON."""


def main(argv: list[str]) -> int:
    """Run the command; 0 when the export makes the model's pictures, 1 when it does not."""
    options = parse(Options, argv, "export", __doc__ or "")
    suffix = SUFFIXES[options.to]
    out = options.out or Path(f"model{suffix}")
    if out.suffix.lower() != suffix:
        raise GansmithError(f"--out {out}: --to {options.to} writes a {suffix} file.")
    check_place(out, options.overwrite)
    if options.to == "web" and options.noise == "input":
        raise GansmithError("A web page draws with the model's own noise: leave out --noise input.")
    if options.to == "web" and options.fixed_size:
        raise GansmithError("A web page takes pictures of any size: leave out --fixed-size.")
    from gansmith.files.atomic import write_atomically

    content, checks = exported(options)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, content)
    except OSError as error:
        raise GansmithError(f"{out} could not be written: {error.strerror or error}. Choose another --out.") from None
    report(options, out, len(content), checks)
    return 0 if all(check.passed for check in checks) else 1


def check_place(out: Path, overwrite: bool) -> None:
    """Say before the work, not after it, that the file cannot be written there.

    Raises:
        GansmithError: it is a folder, it is there already, or its folder cannot be made or written to.
    """
    if out.is_dir():
        raise GansmithError(f"--out {out} is a folder. Give the file to write.")
    check_writable(out)
    check_free(out, overwrite)


def exported(options: Options) -> tuple[bytes, list[Check]]:
    """The file's bytes, and how its pictures compare with the model's."""
    from gansmith.export import onnx, torch_programs, web
    from gansmith.export.program import program_of
    from gansmith.models import bundle

    model = bundle.load(options.model)
    free_size = not options.fixed_size and options.to != "exported"  # torch.export makes one program per size
    program = program_of(model, direction=options.direction, noise=options.noise, free_size=free_size)
    if options.to in ("torchscript", "exported"):
        content = (
            torch_programs.to_torchscript(program)
            if options.to == "torchscript"
            else torch_programs.to_exported(program)
        )
        run = torch_programs.loaded(content, options.to)
        return content, onnx.compare(lambda inputs: run(*inputs.values()).numpy(), program, model)
    content = onnx.to_onnx(program)
    checks = onnx.check_onnx(content, program, model)
    if options.to == "web":
        content = web.to_web_page(content, program, model).encode()
    return content, checks


def report(options: Options, out: Path, size: int, checks: list[Check]) -> None:
    """Print what was written and how near it comes."""
    from gansmith.export.onnx import TOLERANCE

    passed = all(check.passed for check in checks)
    if options.json:
        rows = [{"batch": c.batch, "height": c.size[0], "width": c.size[1], "difference": c.difference} for c in checks]
        print(json.dumps({"out": str(out), "bytes": size, "passed": passed, "tolerance": TOLERANCE, "checks": rows}))
    else:
        rows = [
            [str(c.batch), f"{c.size[1]}x{c.size[0]}", f"{c.difference:.1e}", "yes" if c.passed else "NO"]
            for c in checks
        ]
        show_table(
            "Compared with the model (values are -1 to 1)",
            ["pictures", "size", "largest difference", f"<= {TOLERANCE:g}"],
            rows,
        )
        say(f"{out} ({size / 1e6:.1f} MB)", sys.stdout)
    if not passed:
        say("gansmith: the export does not make the model's pictures; do not use it, and please report this.")
