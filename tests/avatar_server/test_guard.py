"""Host and Origin decide before anything else does."""

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers

from avatar_server.config import ServerSection
from avatar_server.guard import Guard, host_name


def guard(**section: object) -> Guard:
    return Guard(Starlette(), ServerSection.model_validate(section), "default-src 'self'")


@pytest.mark.parametrize(
    ("host", "origin", "allowed"),
    [
        ("localhost:8080", None, True),
        ("127.0.0.1:8080", "http://127.0.0.1:8080", True),
        ("[::1]:8080", "http://[::1]:8080", True),
        ("evil.example", None, False),
        ("evil.example:8080", "http://evil.example:8080", False),
        ("localhost:8080", "http://evil.example", False),
        ("localhost:8080", "http://localhost:9999", False),
        ("localhost:8080", "null", False),
        ("", None, False),
        ("[", None, False),
    ],
)
def test_only_our_own_pages_on_our_own_names(host: str, origin: str | None, allowed: bool) -> None:
    headers = Headers({"host": host} | ({"origin": origin} if origin else {}))
    assert (guard().refusal(headers) is None) == allowed


def test_the_operator_may_allow_more() -> None:
    strict = guard(allowed_hosts=["avatar.local"], allowed_origins=["https://shop.example"])
    assert strict.refusal(Headers({"host": "avatar.local:80"})) is None
    shop = Headers({"host": "localhost:8080", "origin": "https://shop.example"})
    assert strict.refusal(shop) is None
    anywhere = guard(host="0.0.0.0")
    assert anywhere.refusal(Headers({"host": "192.0.2.7:8080"})) is None
    assert anywhere.refusal(Headers({"host": "192.0.2.7", "origin": "http://evil.example"}))


def test_host_names_lose_port_and_case() -> None:
    assert host_name("LocalHost:80") == "localhost"
    assert host_name("[::1]") == "::1"
