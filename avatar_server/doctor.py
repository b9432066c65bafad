"""`avatar-server doctor`: what this machine has and lacks, and what to do about it.

Each check really tries the thing: it opens the port, sends the datagram, makes the encoder.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from avatar_server.config import Config
from avatar_server.errors import AvatarError

Status = Literal["ok", "note", "problem"]
REPLY_TIMEOUT_S = 2.0
REQUIRED = ("aiortc", "av", "fastapi", "numpy", "opencv-python-headless", "pillow", "uvicorn")
FIND_FACES = """
import json
from sonic_stream.portrait.decode import PortraitError
from sonic_stream.portrait.faces import open_finder
try:
    found = ["ok", type(open_finder()).__name__, ""]
except PortraitError as error:
    found = ["note", str(error), error.advice]
print(json.dumps(found))
"""
MARKS = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}


@dataclass(frozen=True, slots=True)
class Finding:
    """`note`: something is missing that not everybody needs. `advice`: what to do."""

    check: str
    status: Status
    found: str
    advice: str = ""


Check = Callable[[Config], Iterator[Finding]]


def examine(config: Config) -> list[Finding]:
    """All checks, one after the other; a few seconds."""
    return [finding for check in CHECKS for finding in check(config)]


def report(findings: list[Finding], *, as_json: bool) -> str:
    if as_json:
        return json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False)
    lines = []
    for finding in findings:
        lines.append(f"{MARKS[finding.status]}  {finding.check}: {finding.found}")
        if finding.advice:
            lines.append(f"         -> {finding.advice}")
    return "\n".join(lines)


def _python(config: Config) -> Iterator[Finding]:
    yield Finding("Python", "ok", ".".join(map(str, sys.version_info[:3])))


def _packages(config: Config) -> Iterator[Finding]:
    missing = [name for name in REQUIRED if not _installed(name)]
    if missing:
        advice = "pip install --upgrade avatar-server"
        yield Finding("packages", "problem", f"missing: {', '.join(missing)}", advice)
    else:
        yield Finding("packages", "ok", "all that are required")


def _installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


def _sound_devices(config: Config) -> Iterator[Finding]:
    if find_spec("sounddevice") is None:
        advice = "only for this machine's own one: pip install 'avatar-server[local]'"
        yield Finding("microphone", "note", "sounddevice is not installed", advice)
        return
    try:
        import sounddevice
    except OSError:
        advice = "apt-get install libportaudio2 (or your system's PortAudio)"
        yield Finding("microphone", "note", "PortAudio is missing", advice)
        return
    kinds = {
        "microphone": (
            "max_input_channels",
            "plug one in; browsers bring microphones of their own",
        ),
        "loudspeaker": ("max_output_channels", "only the sink of that name needs one"),
    }
    for kind, (channels, advice) in kinds.items():
        names = [d["name"] for d in sounddevice.query_devices() if d[channels] > 0]
        if names:
            yield Finding(kind, "ok", ", ".join(names))
        else:
            yield Finding(kind, "note", "this machine has none", advice)


def _srt(config: Config) -> Iterator[Finding]:
    from avatar_server.sinks import srt_socket

    try:
        srt_socket.load()
    except OSError:
        advice = "only to push to SRT: " + srt_socket.MISSING.partition("; ")[2]
        yield Finding("SRT", "note", "the library libsrt is missing", advice)
    else:
        yield Finding("SRT", "ok", "libsrt")


def _udp(config: Config) -> Iterator[Finding]:
    from aioice.ice import get_host_addresses

    wanted = config.media.host_addresses
    addresses = wanted or get_host_addresses(use_ipv4=True, use_ipv6=False)
    if not addresses:
        advice = 'without a network set media.host_addresses = ["127.0.0.1"]'
        yield Finding("UDP", "problem", "there is no address but loopback", advice)
    for address in addresses:
        problem = _udp_problem(address)
        advice = "a firewall, or not an address of this machine: see media.host_addresses"
        if problem:
            yield Finding("UDP", "problem", f"{address}: {problem}", advice)
        else:
            yield Finding("UDP", "ok", f"{address}: a datagram to itself arrived")


def _udp_problem(address: str) -> str:
    """Send a datagram from `address` to itself."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as receiver:
            receiver.bind((address, 0))
            receiver.settimeout(REPLY_TIMEOUT_S)
            receiver.sendto(b"ping", receiver.getsockname())
            return "" if receiver.recv(16) == b"ping" else "something else came"
    except TimeoutError:
        return "a datagram to itself did not arrive"
    except OSError as error:
        return error.strerror or str(error)


def _ice_servers(config: Config) -> Iterator[Finding]:
    if not config.media.ice_servers:
        advice = "only viewers outside of this network need them: media.ice_servers"
        yield Finding("STUN/TURN", "note", "none configured", advice)
    for text in config.media.ice_servers:
        name = text.split("@")[-1]
        try:
            seen = asyncio.run(asyncio.wait_for(_ask_ice(text), 2 * REPLY_TIMEOUT_S))
        except TimeoutError:
            advice = "is UDP to it open, is the port right?"
            yield Finding("STUN/TURN", "problem", f"{name} does not answer", advice)
        except (OSError, ValueError) as error:
            yield Finding("STUN/TURN", "problem", f"{name}: {error}", "check media.ice_servers")
        else:
            yield Finding("STUN/TURN", "ok", f"{name} {seen}")


async def _ask_ice(text: str) -> str:
    """Ask a server once. Raises `TimeoutError`, `OSError` or `ValueError`."""
    scheme, _, rest = text.partition(":")
    parts = urlsplit(f"//{rest}")
    if scheme not in ("stun", "turn") or not parts.hostname:
        raise ValueError("it is stun:host:port or turn:user:password@host:port")
    address = (parts.hostname, parts.port or 3478)
    if scheme == "turn":
        return await _allocate(address, parts.username or "", parts.password or "")
    return await asyncio.to_thread(_bind, address)


def _bind(address: tuple[str, int]) -> str:
    from aioice import stun

    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(REPLY_TIMEOUT_S)
        asking.sendto(bytes(request), address)
        answer = stun.parse_message(asking.recv(2048))
    seen = answer.attributes.get("XOR-MAPPED-ADDRESS") or answer.attributes.get("MAPPED-ADDRESS")
    if not seen:
        raise ValueError("it answered, but not as a STUN server does")
    return f"sees this machine as {seen[0]}"


async def _allocate(address: tuple[str, int], username: str, password: str) -> str:
    from aioice import stun, turn

    try:
        transport, _ = await turn.create_turn_endpoint(
            asyncio.DatagramProtocol, server_addr=address, username=username, password=password
        )
    except stun.TransactionFailed as error:
        raise ValueError(f"it refused: {error}") from error
    except stun.TransactionTimeout as error:
        raise TimeoutError from error
    relayed = transport.get_extra_info("sockname")
    transport.close()
    return f"relays through {relayed[0]}"


def _codecs(config: Config) -> Iterator[Finding]:
    needed = {"libvpx": "VP8 for browsers", "libopus": "sound", "libx264": "H.264"}
    for name, purpose in needed.items():
        problem = _encoder_problem(name)
        if problem:
            advice = "pip install --force-reinstall av (its wheels bring these codecs)"
            yield Finding("codecs", "problem", f"{name} ({purpose}): {problem}", advice)
        else:
            yield Finding("codecs", "ok", f"{name}: {purpose}")
    if _encoder_problem("h264_nvenc"):
        advice = "only with an NVIDIA GPU and its driver; libx264 is used"
        yield Finding("codecs", "note", "no NVENC", advice)
    else:
        yield Finding("codecs", "ok", "h264_nvenc: H.264 by the GPU")


def _encoder_problem(name: str) -> str:
    import av

    try:
        context = av.CodecContext.create(name, "w")
        if isinstance(context, av.VideoCodecContext):
            context.width, context.height, context.pix_fmt = 256, 256, "yuv420p"
            context.framerate = 25
        else:
            context.sample_rate, context.layout, context.format = 48_000, "mono", "s16"
        context.open()
    except (av.FFmpegError, ValueError) as error:
        return str(error) or "cannot be opened"
    return ""


def _gpu(config: Config) -> Iterator[Finding]:
    wanted = config.engine.name in ("auto", "sonic")
    if shutil.which("nvidia-smi") is None:
        advice = "the engine sonic needs an NVIDIA GPU; lite can do without"
        yield Finding("GPU", "problem" if config.engine.name == "sonic" else "note",
                      "no NVIDIA driver", advice if wanted else "")  # fmt: skip
        return
    if find_spec("torch") is None:
        advice = "for many sessions of lite: pip install 'avatar-server[gpu]'; for sonic: [sonic]"
        yield Finding("GPU", "note", "an NVIDIA driver, but no torch", advice)
        return
    import torch

    if torch.cuda.is_available():
        yield Finding("GPU", "ok", torch.cuda.get_device_name())
    else:
        advice = "install a torch built for CUDA: https://pytorch.org/get-started"
        yield Finding("GPU", "problem" if wanted else "note", "torch sees no GPU", advice)


def _weights(config: Config) -> Iterator[Finding]:
    from sonic_stream.engines.lite.network import MotionNet

    try:
        MotionNet.load()
        yield Finding("weights", "ok", "lite: in the package")
    except (OSError, ValueError) as error:
        yield Finding("weights", "problem", f"lite: {error}", "install the package again")
    folder = config.engine.settings.get("weights")
    if config.engine.name not in ("auto", "sonic") or not isinstance(folder, str):
        return
    missing = _missing_sonic(Path(folder))
    if missing:
        advice = f"avatar-server weights fetch {folder}"
        yield Finding("weights", "problem", f"sonic: {missing}", advice)
    else:
        yield Finding("weights", "ok", f"sonic: complete in {folder}")


def _missing_sonic(folder: Path) -> str:
    if find_spec("torch") is None:
        return "torch is not installed (pip install 'avatar-server[sonic]')"
    from sonic_stream.engines.sonic.weights import is_converted, missing

    if is_converted(folder):
        return ""
    lacking = missing(folder)
    return f"{len(lacking)} files are missing in {folder}" if lacking else ""


def _voice(config: Config) -> Iterator[Finding]:
    from avatar_server.sources.speech import Manner, load_speech

    try:
        speech = load_speech(config.speech.engine, config.speech.settings)
    except AvatarError as error:
        yield Finding("voice", "problem", str(error), "see [speech]")
        return

    async def heard() -> int:
        try:
            pieces = speech.synthesize("Hello.", Manner())
            return sum([len(piece.samples) async for piece in pieces])
        finally:
            await speech.close()

    if not speech.voices():
        advice = "to let it speak typed text: pip install 'avatar-server[tts]'"
        yield Finding("voice", "note", "none is installed", advice)
        return
    try:
        count = asyncio.run(asyncio.wait_for(heard(), 20))
    except (AvatarError, OSError, TimeoutError) as error:
        yield Finding(
            "voice", "problem", f"{config.speech.engine} does not speak: {error}", "see [speech]"
        )
    else:
        yield Finding(
            "voice", "ok", f"{config.speech.engine} said hello in {count / 48_000:.1f} s of sound"
        )


def _faces(config: Config) -> Iterator[Finding]:
    """In a child: the finder is heavy, and talks."""
    child = subprocess.run(
        [sys.executable, "-c", FIND_FACES], capture_output=True, text=True, timeout=60, check=False
    )
    try:
        status, found, advice = json.loads(child.stdout)
    except ValueError:
        last = child.stderr.strip().splitlines()[-1:]
        status, found, advice = (
            "problem",
            f"does not start: {''.join(last)}",
            "reinstall [portraits]",
        )
    yield Finding("face finder", status, found, advice)


def _cache(config: Config) -> Iterator[Finding]:
    folder = Path(config.paths.cache)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
    except OSError as error:
        advice = "choose another folder: paths.cache"
        yield Finding("cache", "problem", f"{folder}: {error.strerror}", advice)
        return
    free_gb = shutil.disk_usage(folder).free / 1e9
    found = f"{folder}, {free_gb:.0f} GB free"
    if free_gb > 1:
        yield Finding("cache", "ok", found)
    else:
        yield Finding("cache", "note", found, "make room: recordings and portraits go there")


def _port(config: Config) -> Iterator[Finding]:
    address = (config.server.host, config.server.port)
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    shown = f"{address[0]}:{address[1]}"
    try:
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        advice = "is the server running already? else choose another --port"
        yield Finding("port", "note", f"{shown}: {error.strerror}", advice)
    else:
        yield Finding("port", "ok", f"{shown} is free")


CHECKS: tuple[Check, ...] = (
    _python, _packages, _codecs, _gpu, _weights, _voice, _faces, _sound_devices, _srt, _udp,
    _ice_servers, _cache, _port,
)  # fmt: skip
