"""One call of the real server's HTTP interface."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from tests.peers.real_server import RealServer


def call(
    server: RealServer, method: str, path: str, body: object = None, token: str = "", **more: str
) -> tuple[int, Any]:
    """Status and answer, JSON where it is. `body`: bytes, or what becomes JSON."""
    headers = {"Content-Type": "application/json"} if isinstance(body, dict) else {}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    request = urllib.request.Request(server.url + path, data, headers | more, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text
