"""`python -m avatar_server.worker FD ENGINE_JSON`: started by the pool, not by hand."""

import json
import logging
import sys

from avatar_server.worker.process import run

logging.basicConfig(level=logging.INFO, format="%(levelname)s worker: %(message)s")
run(int(sys.argv[1]), json.loads(sys.argv[2]))
