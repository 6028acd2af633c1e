"""What each way of ``nn/cpu`` is worth: processor time of a step with all of them, and with one left out.

    python benchmarks/cpu_layers.py [FAMILY ...]

One thread; processor time instead of the clock, so that other work on the machine counts little; sides alternate.
"""

from __future__ import annotations

import sys
import time

import torch

from gansmith import config, registry
from gansmith.bench.measure import RandomPictures, Subject
from gansmith.devices import Device
from gansmith.game import ImageSpec
from gansmith.nn import cpu

CPU = torch.device("cpu")
WAYS = ("thin", "conv3x3", "strided", "winograd")
CASES = (
    ("dcgan", 28, 1, {}, "bf16"),
    ("dcgan", 64, 3, {}, "bf16"),
    ("wgan-gp", 28, 1, {}, "bf16"),
    ("r3gan", 28, 1, {}, "bf16"),
    ("pix2pix", 64, 3, {}, "bf16"),
    ("cyclegan", 128, 3, {}, "fp32"),
    ("stylegan2", 32, 3, {"width": 0.5}, "fp32"),
)
"""Family, size, channels, settings, precision."""


def subject(name: str, size: int, channels: int, settings: dict, precision: str, ways: tuple[str, ...]) -> Subject:
    """A family with some of the faster layers, timed by processor time."""
    kind = registry.family(name)
    spec = ImageSpec(size, size, channels, other_channels=channels if kind.data in ("paired", "unpaired") else 0)
    torch.manual_seed(0)
    game = kind(config.make(kind.Config, settings, name), spec).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    cpu.speed_up(game, ways)
    batch = min(kind.usual_batch(spec), 1 if name == "cyclegan" else 8 if name == "stylegan2" else 64)
    made = Subject(name, game, RandomPictures(spec, batch, CPU, True), Device(CPU, precision), size)
    made._now = time.process_time  # type: ignore[method-assign]
    return made


def main() -> int:
    torch.set_num_threads(1)
    for name, size, channels, settings, precision in CASES:
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        sets = {"all": WAYS} | {f"without {way}": tuple(w for w in WAYS if w != way) for way in WAYS}
        subjects = {label: subject(name, size, channels, settings, precision, ways) for label, ways in sets.items()}
        for one in subjects.values():
            one.play()
        for _ in range(5):
            for one in subjects.values():
                one.round()
        whole = subjects["all"].step_seconds()
        parts = [f"{label} {100 * (one.step_seconds() / whole - 1):+.0f} %" for label, one in subjects.items()][1:]
        print(f"{name} {size} px {precision}: {1000 * whole:.0f} ms; {', '.join(parts)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
