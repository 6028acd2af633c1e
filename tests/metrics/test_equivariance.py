"""Pictures moved and turned as pictures are, and the comparison with those moved inside a generator."""

from __future__ import annotations

import json
import math

import pytest
import torch

import gansmith
from gansmith import cli
from gansmith.errors import GansmithError
from gansmith.metrics.equivariance import band_limit, band_limited, equivariance, rotated, translated
from gansmith.models.bundle import Model, averaged_copy


def waves(size: int, move: tuple[float, float] = (0.0, 0.0), angle: float = 0.0) -> torch.Tensor:
    """Smooth waves, [1, 2, size, size], moved by pixels, then turned around the middle."""
    place = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    y, x = torch.meshgrid(place, place, indexing="ij")
    x, y = math.cos(angle) * x + math.sin(angle) * y, -math.sin(angle) * x + math.cos(angle) * y
    x, y = x - move[0], y - move[1]
    return torch.stack([(0.31 * x + 0.2 * y).sin(), (0.15 * x - 0.4 * y + 1).cos()])[None]


@pytest.mark.parametrize("move", [(2.0, -3.0), (0.3, 1.7), (-1.25, 0.0), (40.0, 0.0)])
def test_moved_waves_are_waves_somewhere_else(move: tuple[float, float]) -> None:
    made, known = translated(waves(32), *move)
    whole = all(distance == int(distance) for distance in move)
    assert known.sum() == 0 if move[0] >= 32 else known.mean() > 0.5
    error = ((made - waves(32, move)) * known).abs().max()
    assert error < (1e-9 if whole else 0.02)
    if whole and move[0] < 32:
        assert known.sum() == (32 - abs(move[0])) * (32 - abs(move[1]))


@pytest.mark.parametrize("angle", [0.0, 0.4, math.pi / 2, -2.5])
def test_turned_waves_are_waves_in_another_direction(angle: float) -> None:
    made, known = rotated(waves(48), angle)
    assert known.sum() > 200
    assert ((made - waves(48, angle=angle)) * known).abs().max() < 0.03


@pytest.mark.parametrize("fine", [1, 4])
def test_the_filter_passes_what_both_grids_hold(fine: int) -> None:
    taps = band_limit(0.6, fine)
    assert taps.shape == (12 * fine - 1, 12 * fine - 1)
    assert taps.sum().item() == pytest.approx(fine**2)
    torch.testing.assert_close(taps, taps.flip(0, 1), atol=1e-6, rtol=0)
    smooth, known = band_limited(waves(32), 0.6)
    assert ((smooth - waves(32)) * known).abs().max() < 0.02
    board = ((torch.arange(32)[:, None] + torch.arange(32)) % 2 * 2.0 - 1).double()[None, None]
    flat, known = band_limited(board, 0.6)  # a corner of one grid's frequencies, which the turned one does not hold
    assert (flat * known).abs().max() < 0.05


def test_other_models_have_no_such_score() -> None:
    game = gansmith.build("gan", size=16, channels=1)
    with pytest.raises(GansmithError, match="stylegan3"):
        equivariance(game)


def test_the_command(tmp_path, capsys) -> None:
    torch.manual_seed(0)
    settings = {"width": 1 / 128, "layers": 4, "latent_dim": 8, "style_dim": 8, "conditional": True}
    game = gansmith.build("stylegan3", size=32, channels=1, classes=3, **settings)
    folder = str(Model("stylegan3", averaged_copy(game)).save(tmp_path / "model"))
    assert cli.main(["evaluate", folder, "--metrics", "eq", "--n", "4", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert list(scores) == ["EQ-T", "EQ-T_frac", "EQ-R"]
    assert scores["EQ-T"] > 45
    assert cli.main(["evaluate", folder, "--metrics", "eq", "--n", "2"]) == 0
    assert "EQ-T_frac" in capsys.readouterr().out
    for words, why in ((["--metrics", "eq,fid"], "alone"), ([], "--data"), (["--metrics", "eq", "--n", "0"], "--n")):
        assert cli.main(["evaluate", folder, *words]) == 2
        assert why in capsys.readouterr().err
