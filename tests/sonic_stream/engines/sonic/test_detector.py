"""The authors' detector file, stood in for by a TorchScript module of the same interface."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sonic_stream.engines.sonic.clip import has_detector, prepared_by_detector
from sonic_stream.engines.sonic.detector import YoloFace, grids, suppress
from sonic_stream.generate import GenerateOptions, load_model

# TorchScript is what the file is; torch would rather have no new ones made.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


class WhiteSpot(torch.nn.Module):
    """Finds what is white; says so twice, and adds an unsure find elsewhere."""

    def forward(self, image: torch.Tensor, grids: list[torch.Tensor]) -> torch.Tensor:
        found = torch.zeros(1, 3, 16)
        ys, xs = torch.where(image[0].mean(0) > 0.9)
        if len(ys) > 0:
            width, height = (xs.max() - xs.min() + 1), (ys.max() - ys.min() + 1)
            box = torch.stack([xs.min() + width / 2, ys.min() + height / 2, width, height])
            found[0, :, :4] = box.float()
            found[0, 1, :2] += 2
            found[0, 2, :4] = torch.tensor([20.0, 20.0, 40.0, 40.0])
            found[0, :, 4] = torch.tensor([0.95, 0.9, 0.3])
            found[0, :, 15] = 1.0
        return found


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.jit.script(WhiteSpot()).save(str(tmp_path / "yoloface_v5m.pt"))
    return tmp_path


def picture(face: bool = True) -> np.ndarray:
    """A white face of 120 x 160 pixels in a dark picture of 500 x 400."""
    image = np.full((400, 500, 3), 40, np.uint8)
    if face:
        image[100:260, 200:320] = 255
    return image


def test_a_face_is_found_in_the_pictures_own_pixels(weights: Path) -> None:
    box = YoloFace(weights / "yoloface_v5m.pt")(picture())
    assert box is not None
    assert np.abs(np.array(box) - (200, 100, 120, 160)).max() < 3
    assert YoloFace(weights / "yoloface_v5m.pt")(picture(face=False)) is None


def test_grids_have_one_cell_for_each_stride() -> None:
    sizes = [tuple(grid.shape) for grid in grids(416, 512)]
    assert sizes == [(1, 1, 52, 64, 2), (1, 1, 26, 32, 2), (1, 1, 13, 16, 2)]
    assert grids(416, 512)[2][0, 0, 3, 5].tolist() == [5.0, 3.0]


def test_of_overlapping_finds_the_surest_stays() -> None:
    found = torch.zeros(4, 16)
    found[:, :4] = torch.tensor(
        [[50.0, 50, 20, 20], [52, 50, 20, 20], [90, 50, 20, 20], [9, 9, 4, 4]]
    )
    found[:, 4], found[:, 15] = torch.tensor([0.8, 0.9, 0.7, 0.4]), 1.0
    assert suppress(found).tolist() == [[42, 40, 20, 20], [80, 40, 20, 20]]


def test_quality_mode_uses_the_detector_where_there_is_one(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "face.png"
    cv2.imwrite(str(path), picture())
    options = GenerateOptions(min_resolution=256, expand_ratio=0.5)
    model = load_model("sonic", weights="random-reduced", device="cpu")
    model._weights = weights  # type: ignore[attr-defined]
    prepared = model.portrait(path, options)
    assert prepared.picture.shape == (3, 256, 256)
    white = prepared.picture.mean(0) > 0.9
    assert prepared.mask[0][white].mean() > 0.99
    assert prepared.mask.mean() < 0.7
    assert model.portrait("mira", options).picture.shape == (3, 256, 256)


def test_no_face_and_a_damaged_file_are_told(weights: Path) -> None:
    assert has_detector(weights)
    with pytest.raises(ValueError, match="no face was found"):
        prepared_by_detector(picture(face=False), weights, 0.5, 256)
    (weights / "yoloface_v5m.pt").write_bytes(b"no script")
    with pytest.raises(ValueError, match=r"yoloface_v5m\.pt is damaged"):
        prepared_by_detector(picture(), weights, 0.5, 256)
