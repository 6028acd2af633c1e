"""Write a model for other programs: ONNX, one web page, ncnn, TorchScript or torch.export, checked against the model."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional

from gansmith.commands._parse import parse, say, show_table
from gansmith.config import Bounds, check_numbers
from gansmith.errors import GansmithError
from gansmith.files.paths import check_free, check_writable

if TYPE_CHECKING:
    from torch import Tensor

    from gansmith.export.onnx import Check

SUFFIXES = {"onnx": ".onnx", "web": ".html", "ncnn": ".param", "torchscript": ".pt", "exported": ".pt2"}
_SIDE = 128
"""Pixels a side of the pictures that go into a foreign network which cannot be written for any size."""


@dataclass(frozen=True)
class Options:
    """Options of ``gansmith export``."""

    model: Positional[str]
    """A run folder, a model folder, or a Hub id such as user/name."""
    to: Literal["onnx", "web", "ncnn", "torchscript", "exported"] = "onnx"
    """onnx for any runtime, web for one page that runs in a browser offline, ncnn for Upscayl and phones, torchscript or exported (.pt2) for C++."""
    out: Path | None = None
    """The file; by default model.onnx, model.html, model.param (with model.bin), model.pt or model.pt2."""
    direction: Literal["ab", "ba"] = "ab"
    """Which way, for models that translate both ways."""
    noise: Literal["const", "input"] = "const"
    """StyleGAN2's per-pixel noise: the model's own, or an input 'noise' [N, P] of N(0, 1) numbers."""
    fixed_size: bool = False
    """For models that change pictures: only pictures of the size it was trained on (always so with --to exported)."""
    size: Annotated[int | None, Bounds(1, 8192, unit="pixels", was=0)] = None
    """Side of the pictures that go in, with --fixed-size; by default what the model was trained on."""
    dtype: Literal["auto", "float32", "float16"] = "auto"
    """Numbers of the weights: float16 halves the file and makes nearly the same pictures. auto is float16 for ncnn, else float32."""
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
    if options.dtype == "float16" and options.to not in ("onnx", "ncnn"):
        raise GansmithError(f"--dtype float16 is for --to onnx and --to ncnn, not --to {options.to}.")
    check_numbers(options)
    if options.size and not options.fixed_size and options.to != "exported":
        raise GansmithError("--size goes with --fixed-size: without it, pictures of any size go in.")
    beside = out.with_suffix(".bin") if options.to == "ncnn" else None
    if beside is not None:
        check_place(beside, options.overwrite)
    from gansmith.files.atomic import write_atomically

    files, checks, around = exported(options)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        for place, content in zip((beside, out) if beside else (out,), files[::-1], strict=True):  # the text last
            write_atomically(place, content)
    except OSError as error:
        raise GansmithError(f"{out} could not be written: {error.strerror or error}. Choose another --out.") from None
    report(options, out, sum(map(len, files)), checks, around)
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


def exported(options: Options) -> tuple[list[bytes], list[Check], str]:
    """The bytes of the file, or of the two of ncnn, how its pictures compare with the model's and with apply's, and what apply does around it."""
    from gansmith import registry
    from gansmith.export import ncnn, onnx, parity, torch_programs, web
    from gansmith.export.program import Program, program_of
    from gansmith.models import bundle
    from gansmith.translation import Translation

    model = bundle.load(options.model)
    if isinstance(model.game, Translation) and not model.game.recorded:
        raise GansmithError(
            f"'{model.family}' is a search through each picture, not a network, so there is nothing to export. gansmith apply runs it."
        )
    if options.to == "ncnn":
        half = options.dtype != "float32"
        files = ncnn.to_ncnn(model, half)
        return list(files), ncnn.check_ncnn(*files, model, half), ""
    free_size = not options.fixed_size and options.to != "exported"  # torch.export makes one program per size
    program = program_of(
        model, direction=options.direction, noise=options.noise, free_size=free_size, size=options.size
    )
    around = parity.around_it(model.game) if isinstance(model.game, Translation) else ""
    program.facts["apply"] = around
    if options.to in ("torchscript", "exported"):
        content = (
            torch_programs.to_torchscript(program)
            if options.to == "torchscript"
            else torch_programs.to_exported(program)
        )
        recorded = torch_programs.loaded(content, options.to)

        def run(inputs: dict[str, Tensor]) -> Any:
            return recorded(*inputs.values()).numpy()

        checks = [*onnx.compare(run, program, model), *parity.compare_with_apply(run, program, model)]
        return [content], checks, around
    half, foreign = options.dtype == "float16", model.family in registry.LOADED
    tolerance = onnx.HALF_TOLERANCE if half else onnx.FOREIGN_TOLERANCE if foreign else None

    def written(program: Program) -> tuple[bytes, list[Check]]:
        content = onnx.to_onnx(program)
        content = onnx.to_half(content) if half else content
        run = onnx.runner(content, program.smallest > 1)
        with_apply = [replace(check, tolerance=tolerance) for check in parity.compare_with_apply(run, program, model)]
        return content, [*onnx.compare(run, program, model, tolerance), *with_apply]

    try:
        content, checks = written(program)
        fits = all(check.passed for check in checks)
    except GansmithError:
        if not free_size or not foreign:
            raise
        content, checks, fits = b"", [], False
    if not fits and free_size and foreign:  # many of them cut windows that fit one size only
        side = options.size or _SIDE
        say(f"note: this network is written for pictures of {side}x{side}; --fixed-size --size changes that")
        content, checks = written(program_of(model, direction=options.direction, free_size=False, size=side))
    if options.to == "web":
        content = web.to_web_page(content, program, model).encode()
    return [content], checks, around


def report(options: Options, out: Path, size: int, checks: list[Check], around: str) -> None:
    """Print what was written and how near it comes."""
    from gansmith.export.onnx import TOLERANCE

    passed = all(check.passed for check in checks)
    if options.json:
        rows = [
            {"against": c.against, "batch": c.batch, "height": c.size[0], "width": c.size[1], "difference": c.difference,
             "limit": c.limit}
            for c in checks
        ]  # fmt: skip
        said = {
            "out": str(out),
            "bytes": size,
            "passed": passed,
            "tolerance": TOLERANCE,
            "checks": rows,
            "apply": around,
        }
        print(json.dumps(said))
    else:
        rows = [
            [c.against, str(c.batch), f"{c.size[1]}x{c.size[0]}", f"{c.difference:.1e}", f"{c.limit:.0e}", "yes" if c.passed else "NO"]
            for c in checks
        ]  # fmt: skip
        title = "Compared with the model and with gansmith apply (values are -1 to 1; apply's have steps of 1/127.5)"
        show_table(title, ["with", "pictures", "size", "largest difference", "at most", "passed"], rows)
        say(" ".join([f"{out} ({size / 1e6:.1f} MB).", around]).strip(), sys.stdout)
    if not passed:
        say("gansmith: the export does not make the model's pictures; do not use it, and please report this.")
