"""Waits until services answer that they are ready: ready.py SECONDS NAME=PORT … Ends with 1 and the names of those that did not."""

import sys
import time
import urllib.request

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def is_ready(port):
    """Whether the service at a port says so."""
    try:
        with OPENER.open(f"http://127.0.0.1:{port}/health/ready", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


until = time.monotonic() + float(sys.argv[1])
waiting = dict(one.split("=") for one in sys.argv[2:])
while True:
    waiting = {name: port for name, port in waiting.items() if not is_ready(port)}
    if not waiting or time.monotonic() > until:
        break
    time.sleep(1)
if waiting:
    sys.exit("not ready: " + ", ".join(waiting))
