"""Waits until a host's services are ready, and may look on for a while: ready.py JSON. Ends with 1 and what is wrong with which.

services   name -> port of those that have to say that they are ready
patience   seconds they have for it
watch      if it is there: seconds for which they have to stay up then, as the program that is installed; and what there is to do has to be done
           within another `patience`: a gateway commits when trades come, an aggregator stores what was committed when the watch began. A market in
           which nothing is traded asks for nothing
journals   source -> host:port of the gateway that has its journal
"""

import http.client
import json
import os
import subprocess
import sys
import time
import urllib.request

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
WHAT = json.loads(sys.argv[1])
SERVICES = WHAT["services"]
TRADES, COMMITTED = "tickberry_gateway_trades_total", "tickberry_gateway_journal_committed_records"


def ask(place, path):
    """The text of an answer; None if there is none."""
    try:
        with OPENER.open(f"http://{place}/{path}", timeout=5) as answer:
            return answer.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return None


def metrics(place):
    """Numbers by name; none where nobody answers."""
    lines = (line.rpartition(" ") for line in (ask(place, "metrics") or "").splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def wait(wrong):
    """What is still wrong when patience ends, or nothing as soon as nothing is."""
    until = time.monotonic() + float(WHAT["patience"])
    while True:
        found = wrong()
        if not found or time.monotonic() > until:
            return found
        time.sleep(1)


def not_ready():
    """Services that do not say that they are ready."""
    return [f"{name} is not ready" for name, port in SERVICES.items() if ask(f"127.0.0.1:{port}", "health/ready") is None]


def processes():
    """Of each service its process, and how often it was started again."""
    words = ["systemctl", "show", "--property=MainPID,NRestarts"]
    said = subprocess.run(words + [f"tickberry-{name}.service" for name in SERVICES], check=True, capture_output=True, text=True).stdout
    blocks = (dict(line.split("=", 1) for line in block.splitlines()) for block in said.strip().split("\n\n"))
    return dict(zip(SERVICES, blocks, strict=True))


def runs_another(pid):
    """Whether a process is not the program that is installed."""
    try:
        return "deleted" in os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return True


def idle(committed, gateway):
    """Services that have not done what there was to do since these numbers were."""
    found = []
    if "aggregator" in SERVICES:
        have = metrics(f"127.0.0.1:{SERVICES['aggregator']}")
        for source, needed in committed.items():
            stored = have.get(f'tickberry_aggregator_stored_offset{{source="{source}"}}', 0)
            if stored < needed:
                found.append(f"aggregator has stored {stored:.0f} of {needed:.0f} records that the journal of {source} had")
    if gateway:
        now = metrics(f"127.0.0.1:{SERVICES['gateway']}")
        if now.get(TRADES, 0) > gateway.get(TRADES, 0) and now.get(COMMITTED, 0) <= gateway.get(COMMITTED, 0):
            found.append(f"gateway hears trades, and its journal stays at {now.get(COMMITTED, 0):.0f}")
    return found


def look_on():
    """What goes wrong within the watch."""
    before = processes()
    heads = {source: metrics(place).get(COMMITTED) for source, place in WHAT["journals"].items()} if "aggregator" in SERVICES else {}
    committed = {source: head for source, head in heads.items() if head is not None}
    gateway = metrics(f"127.0.0.1:{SERVICES['gateway']}") if "gateway" in SERVICES else {}
    time.sleep(float(WHAT["watch"]))
    after = processes()
    found = [f"{name} was started again" for name in SERVICES if after[name] != before[name]]
    found += [f"{name} runs another program than the one that is installed" for name in SERVICES if runs_another(after[name]["MainPID"])]
    return found or wait(lambda: idle(committed, gateway))


WRONG = wait(not_ready)
if not WRONG and "watch" in WHAT:
    WRONG = look_on()
if WRONG:
    sys.exit("; ".join(WRONG))
