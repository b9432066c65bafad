"""Make an avatar speak a WAV file: pip install websockets; python pcm_client.py speech.wav"""

import asyncio
import json
import sys
import wave

from websockets.asyncio.client import connect


async def speak(path: str, url: str = "ws://127.0.0.1:8080/ws/pcm", **session: str) -> None:
    # The server reads sound no faster than it plays it, and pings wait behind it: no keepalive.
    options = {"ping_interval": None, "compression": None, "subprotocols": ["avatar.pcm.v1"]}
    async with connect(url, **options) as socket:
        with wave.open(path) as sound:  # 16 bit
            form = {"rate_hz": sound.getframerate(), "channels": sound.getnchannels()}
            await socket.send(json.dumps({"type": "start", **form, **session}))
            ready = json.loads(await socket.recv())
            print("watch it at /obs?session=" + ready["session"])
            while piece := sound.readframes(4800):
                await socket.send(piece)
        await socket.send('{"type": "end"}')
        async for message in socket:
            print(message)
            if json.loads(message)["type"] == "played":
                break


if __name__ == "__main__":
    asyncio.run(speak(*sys.argv[1:]))
