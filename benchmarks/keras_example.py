"""The well-known GAN example as it is written with Keras, made to time its steps: for speed.py, or by itself.

    python benchmarks/keras_example.py              checks that both networks move, then times 20 steps
    python benchmarks/keras_example.py --serve      times as many steps as each line of its input says

It needs TensorFlow and tf_keras (Keras 2), which may live in an interpreter of their own. With Keras 3 the example no
longer trains: ``discriminator.trainable = False`` before compiling the combined model freezes the discriminator in its
own train_on_batch as well. Where Keras 3 is installed, ``--keras3`` shows it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np

BATCH, LATENT, PIXELS = 64, 100, 28 * 28


def build(keras: Any) -> tuple[Any, Any, Any]:
    """Generator, discriminator and the combined model, compiled in the example's order."""
    layers, models = keras.layers, keras.models
    slope = {"alpha": 0.2} if keras.__version__.startswith("2") else {"negative_slope": 0.2}
    adam = lambda: keras.optimizers.Adam(learning_rate=2e-4, beta_1=0.5)
    generator = models.Sequential([keras.Input((LATENT,))])
    for units in (256, 512, 1024):
        generator.add(layers.Dense(units))
        generator.add(layers.LeakyReLU(**slope))
    generator.add(layers.Dense(PIXELS, activation="tanh"))
    generator.add(layers.Reshape((28, 28, 1)))
    discriminator = models.Sequential([keras.Input((28, 28, 1)), layers.Flatten()])
    for units in (512, 256):
        discriminator.add(layers.Dense(units))
        discriminator.add(layers.LeakyReLU(**slope))
    discriminator.add(layers.Dense(1, activation="sigmoid"))
    discriminator.compile(loss="binary_crossentropy", optimizer=adam(), metrics=["accuracy"])
    discriminator.trainable = False
    noise = keras.Input((LATENT,))
    combined = models.Model(noise, discriminator(generator(noise)))
    combined.compile(loss="binary_crossentropy", optimizer=adam())
    return generator, discriminator, combined


class Example:
    """The training loop's body."""

    def __init__(self, keras: Any) -> None:
        keras.utils.set_random_seed(0)
        self.generator, self.discriminator, self.combined = build(keras)
        self.images = np.random.default_rng(0).random((10_000, 28, 28, 1), np.float32) * 2 - 1
        self.random = np.random.default_rng(1)
        self.valid, self.fake = np.ones((BATCH, 1), np.float32), np.zeros((BATCH, 1), np.float32)

    def step(self) -> None:
        """One step of the example."""
        real = self.images[self.random.integers(0, len(self.images), BATCH)]
        noise = self.random.normal(0, 1, (BATCH, LATENT)).astype(np.float32)
        made = self.generator.predict(noise, verbose=0)
        self.discriminator.train_on_batch(real, self.valid)
        self.discriminator.train_on_batch(made, self.fake)
        noise = self.random.normal(0, 1, (BATCH, LATENT)).astype(np.float32)
        self.combined.train_on_batch(noise, self.valid)

    def movement(self) -> dict[str, float]:
        """How far one step moves each network: the largest change of any weight."""
        networks = {"generator": self.generator, "discriminator": self.discriminator}
        before = {name: [w.copy() for w in network.get_weights()] for name, network in networks.items()}
        self.step()
        return {
            name: float(max(np.abs(a - b).max() for a, b in zip(before[name], network.get_weights(), strict=True)))
            for name, network in networks.items()
        }


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--keras3", action="store_true", help="show that the example does not train with Keras 3")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--cpu-time", action="store_true", help="processor time instead of time on the wall")
    args = parser.parse_args()
    clock = time.process_time if args.cpu_time else time.perf_counter
    import tensorflow as tf

    if args.threads:
        tf.config.threading.set_intra_op_parallelism_threads(args.threads)
        tf.config.threading.set_inter_op_parallelism_threads(args.threads)
    if args.keras3:
        import keras
    else:
        import tf_keras as keras
    example = Example(keras)
    moved = example.movement()
    counts = {"generator": example.generator.count_params(), "discriminator": example.discriminator.count_params()}
    facts = {"keras": keras.__version__, "tensorflow": tf.__version__, "moved": moved, "parameters": counts}
    print(json.dumps(facts), flush=True)
    if args.keras3:
        return 0
    assert min(moved.values()) > 0, f"a network does not move: {moved}"
    for _ in range(3):
        example.step()
    for line in sys.stdin if args.serve else ["20"]:
        start = clock()
        for _ in range(int(line)):
            example.step()
        print(json.dumps({"seconds": (clock() - start) / int(line)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
