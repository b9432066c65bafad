"""What a command does to a session, whichever way it came: WebSocket, HTTP or another."""

from __future__ import annotations

from avatar_server import protocol
from avatar_server.server import Server
from avatar_server.session import Session
from avatar_server.sources.file import FileSource
from avatar_server.sources.speech import SpeechSource


async def carry_out(server: Server, session: Session, command: protocol.Command) -> None:
    """Raises `AvatarError` when it cannot be done; the session goes on as before."""
    match command:
        case protocol.SelectSource():
            session.voice.select(command.kind)
        case protocol.Say():
            session.voice.enqueue(SpeechSource(server.speech, command.text, command.voice))
        case protocol.Play():
            file = server.files.get(command.file)
            session.voice.enqueue(await FileSource.open(file.path))
        case protocol.Stop():
            await session.stop()
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
    session.tell_state()


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
