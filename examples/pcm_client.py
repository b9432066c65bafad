"""Make an avatar speak a WAV file of 16 bit: python pcm_client.py FILE [ws://HOST:PORT/ws/pcm]"""

import json
import sys
import wave

from websockets.sync.client import connect  # pip install websockets

url = sys.argv[2] if len(sys.argv) > 2 else "ws://127.0.0.1:8080/ws/pcm"
# Pings wait behind the sound, which the server reads no faster than it plays: no keepalive.
with connect(url, ping_interval=None) as socket, wave.open(sys.argv[1]) as sound:
    form = {"rate_hz": sound.getframerate(), "channels": sound.getnchannels()}
    socket.send(json.dumps({"type": "start", **form}))
    print(socket.recv(), flush=True)  # its session: watch it at /obs?session=…
    while piece := sound.readframes(4800):
        socket.send(piece)
    socket.send('{"type": "end"}')
    while (message := json.loads(socket.recv()))["type"] != "played":
        print(message)
    print(message)
