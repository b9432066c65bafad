"""What can go wrong on purpose. Every error carries a code that clients can act on."""

from __future__ import annotations


class AvatarError(Exception):
    """Base: `code` for programs, the message (what happened, what to do) for people."""

    code = "error"
    status = 400
    fatal = False

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code or type(self).code


class BadMessage(AvatarError):
    code = "bad_message"


class NotAllowed(AvatarError):
    code = "not_allowed"
    status = 403


class ServerFull(AvatarError):
    code = "server_full"
    status = 503
    fatal = True


class Draining(AvatarError):
    code = "draining"
    status = 503
    fatal = True


class NoSession(AvatarError):
    code = "no_session"
    status = 404
    fatal = True


class NoToken(AvatarError):
    code = "no_token"
    status = 401
    fatal = True


class BadToken(AvatarError):
    code = "bad_token"
    status = 403
    fatal = True


class WorkerFailed(AvatarError):
    code = "worker_failed"
    status = 500
    fatal = True


class ConfigError(AvatarError):
    code = "bad_config"
