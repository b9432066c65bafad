"""`python -m avatar_server.worker FD ENGINE SIZE`: started by the pool, not by hand."""

import logging
import sys

from avatar_server.worker.process import run

logging.basicConfig(level=logging.INFO, format="%(levelname)s worker: %(message)s")
run(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
