"""Commands that serve nothing: `avatar-server generate …`, `weights …`, and those of `remote`.

They import what they need when they run: the server itself has neither torch nor a hub.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from avatar_server.clock import MonotonicClock
from avatar_server.errors import AvatarError
from avatar_server.remote import add_remote_commands


def add_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    add_remote_commands(commands)
    _add_generate(commands)
    _add_weights(commands)


def _add_generate(commands: Any) -> None:
    generate = commands.add_parser("generate", help="a recording and a portrait into a video file")
    generate.set_defaults(run=run_generate)
    generate.add_argument("--audio", type=Path, required=True, help="any sound file")
    generate.add_argument("--image", required=True, help="a picture file or an avatar's name")
    generate.add_argument("--out", type=Path, required=True, help="an MP4")
    generate.add_argument("--engine", dest="clip_engine", default="lite", help="lite or sonic")
    generate.add_argument("--weights", default="", help="sonic: the folder with its weights")
    generate.add_argument("--device", default="auto")
    generate.add_argument("--precision", default="auto", help="sonic: fp16, bf16 or fp32")
    generate.add_argument("--duration", type=float, help="must be the recording's, in seconds")
    generate.add_argument("--min-resolution", type=int, default=512)
    generate.add_argument("--expand-ratio", type=float, default=0.18)
    generate.add_argument("--inference-steps", type=int, default=25)
    generate.add_argument("--dynamic-scale", type=float, default=1.0)
    generate.add_argument("--motion-scale", type=float, default=1.0)
    generate.add_argument("--seed", type=int)
    generate.add_argument("--expression", default="neutral", help="lite: neutral, happy, …")


def _add_weights(commands: Any) -> None:
    weights = commands.add_parser("weights", help="the Sonic model's checkpoint files")
    actions = weights.add_subparsers(dest="action", required=True)
    fetch = actions.add_parser("fetch", help="get the official files from their hub")
    fetch.add_argument("folder", type=Path)
    fetch.add_argument("--accept-licences", action="store_true", help="you have read the terms")
    fetch.add_argument("--endpoint", help="another hub than huggingface.co")
    fetch.set_defaults(run=run_fetch)
    convert = actions.add_parser("convert", help="official files to safetensors and a manifest")
    convert.add_argument("folder", type=Path)
    convert.add_argument("out", type=Path)
    convert.set_defaults(run=run_convert)
    verify = actions.add_parser("verify", help="compare converted files with their manifest")
    verify.add_argument("folder", type=Path)
    verify.set_defaults(run=run_verify)


def run(options: argparse.Namespace) -> None:
    """Raises `AvatarError` with a reason that says what to do."""
    try:
        options.run(options)
    except ModuleNotFoundError as error:
        raise AvatarError(
            f"{error.name} is not installed: pip install 'avatar-server[sonic]'"
        ) from error
    except (ValueError, OSError) as error:
        raise AvatarError(str(error)) from error


def run_generate(options: argparse.Namespace) -> None:
    from sonic_stream.avatars import list_avatars
    from sonic_stream.generate import GenerateOptions, generate, load_model

    wanted = GenerateOptions(
        duration=options.duration,
        min_resolution=options.min_resolution,
        expand_ratio=options.expand_ratio,
        inference_steps=options.inference_steps,
        dynamic_scale=options.dynamic_scale,
        motion_scale=options.motion_scale,
        seed=options.seed,
        expression=options.expression,
    )
    settings = {}
    if options.clip_engine == "sonic":
        names = ("weights", "device", "precision")
        settings = {name: getattr(options, name) for name in names}
    packaged = {avatar.id for avatar in list_avatars()}
    image = options.image if options.image in packaged else Path(options.image)
    model = load_model(options.clip_engine, **settings)
    video = generate(options.audio, image, wanted, model, _Eta())
    count = video.export(options.out)
    sys.stderr.write(f"\n{options.out}: {count} pictures\n")


class _Eta:
    """One line on a terminal, rewritten: share done and time left."""

    def __init__(self) -> None:
        self._clock = MonotonicClock()
        self._started_s = self._clock.now_s()

    def __call__(self, done: int, total: int) -> None:
        left_s = (self._clock.now_s() - self._started_s) / done * (total - done)
        sys.stderr.write(f"\r{100 * done // total:3d} %, {left_s:5.0f} s left ")
        sys.stderr.flush()


def run_fetch(options: argparse.Namespace) -> None:
    from sonic_stream.engines.sonic.fetch import NOTICE, fetch

    sys.stderr.write(NOTICE + "\n")
    accepted = options.accept_licences
    if not accepted and sys.stdin.isatty():
        accepted = input("Type 'yes' to accept them: ").strip().lower() == "yes"
    fetch(options.folder, accepted=accepted, endpoint=options.endpoint)
    sys.stderr.write(f"All files are in {options.folder}.\n")


def run_convert(options: argparse.Namespace) -> None:
    from sonic_stream.engines.sonic.weights import convert

    convert(options.folder, options.out, lambda line: sys.stderr.write(line + "\n"))


def run_verify(options: argparse.Namespace) -> None:
    from sonic_stream.engines.sonic.weights import verify

    verify(options.folder)
    sys.stderr.write(f"{options.folder} is as its manifest says.\n")
