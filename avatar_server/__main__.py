"""`python -m avatar_server` is `avatar-server`."""

from avatar_server.cli import main

main()
