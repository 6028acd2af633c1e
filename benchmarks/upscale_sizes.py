"""Time and memory of ready upscalers: python benchmarks/upscale_sizes.py NAME WIDTHxHEIGHT [...]

Every size runs in a process of its own through ``gansmith apply``, on a photograph made that large. Prints seconds,
seconds of the processor, and the process's peak memory, as JSON lines.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def one(name: str, size: tuple[int, int]) -> None:
    from PIL import Image
    from skimage import data

    from gansmith.cli import main

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "photo.png"
        Image.MAX_IMAGE_PIXELS = None
        Image.fromarray(data.astronaut()).resize(size, Image.Resampling.LANCZOS).save(source, compress_level=1)
        before, cpu = time.monotonic(), time.process_time()
        assert main(["apply", name, str(source), "--out", str(Path(folder) / "out")]) == 0
        print(
            json.dumps({
                "model": name, "size": f"{size[0]}x{size[1]}", "seconds": round(time.monotonic() - before, 1),
                "cpu_seconds": round(time.process_time() - cpu, 1),
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            }),
            flush=True,
        )  # fmt: skip


def main() -> None:
    name, sizes = sys.argv[1], sys.argv[2:]
    if sizes[0] == "--one":
        width, height = map(int, sizes[1].split("x"))
        one(name, (width, height))
        return
    for size in sizes:
        subprocess.run([sys.executable, __file__, name, "--one", size], check=True)


if __name__ == "__main__":
    main()
