"""An avatar of your own that speaks: python rest_client.py "Good evening." (no packages needed)"""

import json
import sys
import time
import urllib.request

SERVER = "http://127.0.0.1:8080"


def call(method: str, path: str, body: object = None, token: str = "") -> dict:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(SERVER + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"{}")


def main(text: str) -> None:
    session = call("POST", "/api/sessions", {"portrait": "nia", "keep_alive_s": 60})
    path, token = f"/api/sessions/{session['id']}", session["token"]
    print("watch it:", SERVER + session["links"]["obs"])
    call("POST", path + "/commands", {"type": "set", "expression": "happy"}, token)
    call("POST", path + "/commands/say", {"text": text}, token)
    while call("GET", path, token=token)["queue"]:
        time.sleep(0.5)
    call("DELETE", path, token=token)


if __name__ == "__main__":
    SERVER = sys.argv[2] if len(sys.argv) > 2 else SERVER
    main(sys.argv[1])
