"""What the HTTP modules share: the server's parts, and bodies that are bounded."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Depends, Request

from avatar_server.errors import AvatarError
from avatar_server.server import Server

BODY_TIMEOUT_S = 120.0
READ_ON_FACTOR = 4


class TooSlow(AvatarError):
    code = "too_slow"
    status = 408


class TooLarge(AvatarError):
    code = "too_large"
    status = 413


def server_of(request: Request) -> Server:
    server: Server = request.app.state.server
    return server


Parts = Annotated[Server, Depends(server_of)]


async def body_of(request: Request, limit: int) -> bytes:
    """The request's body. Raises `TooLarge` past `limit` bytes, and `TooSlow`.

    A body that is somewhat too large is read to its end all the same (and forgotten): a client
    that is cut off while it sends never sees the answer that says why.
    """
    data, received = bytearray(), 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for piece in request.stream():
                received += len(piece)
                if received <= limit:
                    data += piece
                elif received > READ_ON_FACTOR * limit:
                    break
    except TimeoutError as error:
        raise TooSlow(f"the body did not arrive within {BODY_TIMEOUT_S:g} s") from error
    if received > limit:
        raise TooLarge(f"at most {limit // 1000} kB are accepted here")
    return bytes(data)
