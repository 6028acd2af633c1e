"""The report beside synthetic pictures: what was made, what was dropped, and how to use the rest."""

from __future__ import annotations

import math
from pathlib import Path

from gansmith.files.atomic import write_atomically
from gansmith.files.text import table
from gansmith.synthetic import plots
from gansmith.synthetic.filters import NAMES, WHY, Tally
from gansmith.synthetic.settings import AugmentSettings, Made

_USE = """## Use

```python
from torchvision.datasets import ImageFolder
synthetic = ImageFolder("{folder}")  # numbers the classes by the alphabet: see synthetic.class_to_idx

import keras
synthetic = keras.utils.image_dataset_from_directory("{folder}", image_size=({height}, {width}), color_mode="{mode}")

from gansmith.synthetic.dataset import SyntheticDataset
synthetic = SyntheticDataset.load("{folder}")  # numbers the classes as the real pictures do
```
"""


def write_augment_report(made: Made, settings: AugmentSettings, folder: Path, final: Path) -> None:
    """Write ``report.md`` and ``samples.svg`` into ``folder``, which will be called ``final``."""
    plots.samples(made.train_images, made.train_labels, made.dataset, folder / "samples.svg")
    _, channels, height, width = made.dataset.images.shape
    mode = {1: "grayscale", 3: "rgb", 4: "rgba"}[channels]
    total, real = len(made.dataset), sum(made.real.values())
    short = [name for name, n in made.wanted.items() if made.tallies[name].kept < n]
    parts = [
        f"# Synthetic pictures for {made.split.data}\n",
        f"{total:,} pictures of {width}x{height} made by `{made.model_name}`, beside {real:,} real ones that it and the filters learned from.\n",
        _learned_from(made),
        "![real pictures on the left, synthetic ones on the right](samples.svg)\n",
        "## Filters\n",
        _filter_words(made, settings),
        _filter_table(made),
    ]
    if short:
        parts.append(
            f"\n**Fewer than asked for** in {', '.join(short)}: too many failed the filters, even after {settings.tries} times as "
            "many tries. A model that trained longer makes more that pass.\n"
        )
    parts.append("\nEvery picture can be made again from its seed in `manifest.csv`" + _again(settings) + "\n")
    if without := [name for name, t in made.tallies.items() if not t.kept]:
        parts.append(_numbering(without, list(made.dataset.counts()), made.tallies))
    parts.append(_USE.format(folder=final.name, height=height, width=width, mode=mode))
    parts.append("Whether they help is another question: `gansmith study` answers it.\n")
    write_atomically(folder / "report.md", "\n".join(parts))


def _numbering(without: list[str], classes: list[str], tallies: dict[str, Tally]) -> str:
    """What to know where some class has no folder: who numbers folders by the alphabet numbers these otherwise than all."""
    there = sorted(name for name in classes if tallies[name].kept)
    numbers = [sorted(classes).index(name) for name in there]
    return (
        f"\n**{', '.join(without)} got no pictures, so there is no folder for them**, and ImageFolder and Keras number the folders "
        f"that are there from 0. Beside the real pictures that would be wrong labels: give class {', '.join(map(str, range(len(there))))} "
        f"of these the numbers {', '.join(map(str, numbers))}, as in `ImageFolder(..., target_transform={numbers}.__getitem__)` or, in "
        f"Keras, `synthetic.map(lambda x, y: (x, tf.gather({numbers}, y)))`. `SyntheticDataset.load` does so by itself.\n"
    )


def _again(settings: AugmentSettings) -> str:
    truncation = f" --truncation {settings.truncation:g}" if settings.truncation != 1 else ""
    return f": `gansmith sample MODEL --seeds SEED --class CLASS{truncation}`."


def _learned_from(made: Made) -> str:
    split = made.split
    if split.test_data:
        return f"The test pictures are {split.test_data}: {len(split.test):,} of them are in nothing that was learned from (`split.json`).\n"
    if split.test:
        return (
            f"{len(split.test):,} different real pictures ({split.share:.0%} of each class) were kept out before anything was "
            "learned: `split.json` lists them by the hash of their pixels. Equal pictures are on the same side.\n"
        )
    return "Nothing was held out, so a study needs other labelled pictures (`gansmith study --test`).\n"


def _filter_words(made: Made, settings: AugmentSettings) -> str:
    off = [name for name in NAMES if name not in settings.filters]
    lines = [f"- **{name}**: {WHY[name]}" + (" (switched off)" if name in off else "") for name in NAMES]
    if not math.isnan(made.filter_accuracy):
        lines.append(
            f"\nThe filters' classifier is right on {100 * made.filter_accuracy:.1f} % of the real pictures kept from it "
            "(mean over classes): of what it calls another class, some is simply beyond it."
        )
    return "\n".join(lines) + "\n"


def _filter_table(made: Made) -> str:
    rows = [
        [name, made.real[name], made.wanted[name], t.drawn, t.kept, *(t.failed[f] for f in NAMES)]
        for name, t in made.tallies.items()
    ]
    total = ["all", *(sum(column) for column in zip(*(row[1:] for row in rows), strict=True))]
    titles = ["class", "real", "asked for", "drawn", "kept", *(f"failed {name}" for name in NAMES)]
    return (
        table(titles, [[str(cell) for cell in row] for row in [*rows, total]])
        + "\n\nOne picture may fail several filters."
    )
