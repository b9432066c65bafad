"""What a command does to a session, whichever way it came: WebSocket, HTTP or another."""

from __future__ import annotations

from avatar_server import protocol
from avatar_server.server import Server
from avatar_server.session import Session
from avatar_server.sources.file import FileSource
from avatar_server.sources.local import LocalMicrophone
from avatar_server.sources.speech import Manner, SpeechSource


async def carry_out(server: Server, session: Session, command: protocol.Command) -> None:
    """Raises `AvatarError` when it cannot be done; the session goes on as before."""
    if isinstance(command, protocol.VoiceCommand):
        await _voice(server, session, command)
    else:
        await _picture(server, session, command)
    session.tell_state()


async def _voice(server: Server, session: Session, command: protocol.VoiceCommand) -> None:
    """What drives the avatar, and what becomes of what is queued."""
    match command:
        case protocol.SelectSource():
            await _select(server, session, command)
        case protocol.Say():
            manner = Manner(command.voice, command.rate)
            server.speech.check(manner)
            session.voice.enqueue(
                SpeechSource(server.speech, command.text, manner, session.captions.tell)
            )
        case protocol.Play():
            session.voice.enqueue(FileSource(server.files.get(command.file).path))
        case protocol.Stop():
            session.stop()
        case protocol.Interrupt():
            session.interrupt()
        case protocol.Skip():
            session.skip(back=command.to == "previous")
        case protocol.Pause() | protocol.Resume():
            session.voice.playlist.paused = isinstance(command, protocol.Pause)


async def _picture(server: Server, session: Session, command: protocol.OtherCommand) -> None:
    """What is shown, and where it goes."""
    match command:
        case protocol.Set():
            _configure(server, session, command)
        case protocol.SelectPortrait():
            portrait = server.portraits.get(command.id)
            if session.settings.background != "keep" and not portrait.matte:
                _keep_background(session, portrait.name)
            session.show(portrait.id, portrait.identity)
        case protocol.SinkOffset():
            session.set_sink_offset(command.id, command.offset_ms)
        case protocol.CloseSink():
            await session.close_sink(command.id)
        case _:
            await session.sinks.open(command.id, lambda: server.outlets.open(command, session.feed))


def _configure(server: Server, session: Session, command: protocol.Set) -> None:
    background = session.background
    if command.background is not None:
        portrait = server.portraits.get(session.portrait)
        background = server.backgrounds.resolved(command.background, portrait)
    session.configure(command.applied_to(session.settings), background)


def _keep_background(session: Session, name: str) -> None:
    session.configure(session.settings.model_copy(update={"background": "keep"}), "keep")
    message = f"{name} cannot be told from the background, so it is kept."
    session.tell(protocol.encode("notice", code="background_kept", message=message))


async def _select(server: Server, session: Session, command: protocol.SelectSource) -> None:
    """The local microphone is open only while it is the one selected."""
    local = None
    if command.kind == "local":
        local = await server.microphones.open(command.device, session.notify)
    former = session.voice.attach("local", local)
    session.voice.select(command.kind)
    if isinstance(former, LocalMicrophone):
        await former.close()
