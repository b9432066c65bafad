"""Fetching the official files from a model hub, after their licences were accepted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError

from sonic_stream.engines.sonic.weights import SVD, WeightsError

NOTICE = """\
The Sonic model is not part of this project and has terms of its own:
  Sonic (LeonJoe13/Sonic): CC BY-NC-SA 4.0 in its repository: NON-COMMERCIAL use only.
  Stable Video Diffusion XT (stabilityai): the Stability AI licence of that model.
  whisper-tiny (openai) and RIFE: MIT.
Read them on the models' pages before you accept."""

# Repository -> (folder below the destination, files).
FILES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "LeonJoe13/Sonic": (
        "",
        (
            "Sonic/audio2bucket.pth",
            "Sonic/audio2token.pth",
            "Sonic/unet.pth",
            "RIFE/flownet.pkl",
            "yoloface_v5m.pt",
        ),
    ),
    "stabilityai/stable-video-diffusion-img2vid-xt": (
        SVD,
        (
            "vae/diffusion_pytorch_model.fp16.safetensors",
            "image_encoder/model.fp16.safetensors",
        ),
    ),
    "openai/whisper-tiny": ("whisper-tiny", ("model.safetensors",)),
}


def fetch(destination: Path, *, accepted: bool, endpoint: str | None = None) -> None:
    """All official files into `destination`, in their layout; what is there is not fetched
    again, what was begun goes on. Progress is shown on the terminal.

    Raises `WeightsError` when the licences were not accepted or a file cannot be had.
    """
    if not accepted:
        raise WeightsError("the models' licences were not accepted: nothing was fetched")
    for repository, (folder, files) in FILES.items():
        for file in files:
            try:
                hf_hub_download(repository, file, local_dir=destination / folder, endpoint=endpoint)
            except (HfHubHTTPError, OSError) as error:
                reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
                raise WeightsError(
                    f"{file} of {repository} cannot be fetched: {reason}. Run the command again "
                    "to go on; a gated model needs 'hf auth login' and its terms accepted"
                ) from error
