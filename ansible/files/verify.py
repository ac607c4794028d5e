"""Asks the parts of one host how they are, and prints it as JSON. Reads; changes nothing. Comes over stdin, its argument says what to ask."""

import base64
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request

WHAT = json.loads(sys.argv[1])
CREDENTIALS = "/etc/tickberry/credentials"
ROWS = []


def row(is_ok, part, finding, remedy=""):
    """One line of the table; a failing one ends with what mends it."""
    ROWS.append({"ok": bool(is_ok), "part": part, "finding": finding if is_ok or not remedy else f"{finding}: {remedy}"})


def run(*command, env=None):
    """Exit code and output of a program; 127 if it is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=env)
    except (OSError, subprocess.TimeoutExpired) as error:
        return 127, str(error)
    return done.returncode, (done.stdout + done.stderr).strip()


def ask(url, user=None):
    """Status and text of an answer; 0 if there is none."""
    request = urllib.request.Request(url)
    if user:
        request.add_header("Authorization", "Basic " + base64.b64encode(user.encode()).decode())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace")
    except OSError as error:
        return 0, str(error)


def services():
    """The host's services run and are ready; none runs that should not."""
    for name, port in WHAT["services"].items():
        unit = f"tickberry-{name}"
        _, state = run("systemctl", "is-active", unit)
        status, _ = ask(f"http://127.0.0.1:{port}/health/ready")
        _, restarts = run("systemctl", "show", "--property=NRestarts", "--value", unit)
        row(
            state == "active" and status == 200,
            name,
            f"{state}, {'ready' if status == 200 else 'not ready'}, started again {restarts} times",
            f"journalctl -u {unit} says why; `make site` starts it",
        )
    for name in ("console", "aggregator", "broker", "gateway"):
        if name not in WHAT["services"] and run("systemctl", "is-active", f"tickberry-{name}")[1] == "active":
            row(False, name, "runs, and the inventory does not say so", "`make site` stops it")


def program():
    """The installed version, and what `check` says."""
    code, version = run("tickberry", "--version")
    row(code == 0, "program", version, "`make site` installs it")
    if code or not WHAT["services"]:
        return
    names = {"finnhub-token": "FINNHUB_TOKEN_FILE", "bus-password": "BUS_PASSWORD_FILE", "influxdb-token": "INFLUXDB_TOKEN_FILE"}
    there = {env: f"{CREDENTIALS}/{name}" for name, env in names.items() if os.path.exists(f"{CREDENTIALS}/{name}")}
    _, text = run("tickberry", "check", "--data-dir", "/var/lib/tickberry", env={**os.environ, **there, "TICKBERRY_BROKER__TAPS": WHAT["taps"]})
    wrong = [line.split(None, 2) for line in text.splitlines() if line.startswith("FAIL")]
    for words in wrong:
        row(False, f"check {words[1]}", words[2] if len(words) > 2 else text)
    if not wrong:
        is_ok = text.startswith("ok")
        row(is_ok, "check", f"{len(text.splitlines())} things tried" if is_ok else text)


def shelf():
    """The screen of the page's host, and the audit."""
    if not WHAT["console"]:
        return
    code, text = run("tickberry", "status", "--http", WHAT["console"])
    row(code == 0, "status", " | ".join(" ".join(line.split()) for line in text.splitlines()), "the first line that is not well says where to look")
    code, text = run("tickberry", "audit", "--http", WHAT["console"], "--since", WHAT["audit_since"])
    row(code == 0, "audit", " | ".join(text.splitlines()), "docs/reliability.md says what a difference means")


def store():
    """InfluxDB and Grafana."""
    if WHAT["influxdb"]:
        status, text = ask("http://127.0.0.1:8086/health")
        version = json.loads(text).get("version", "") if status == 200 else ""
        row(status == 200, "InfluxDB", version or f"answers {status or 'nothing'}", "journalctl -u influxdb says why")
    if WHAT["grafana"]:
        status, text = ask("http://127.0.0.1:3000/api/health")
        row(status == 200, "Grafana", "answers" if status == 200 else f"answers {status or 'nothing'}", "journalctl -u grafana-server says why")
        try:
            with open("/etc/grafana/admin-password", encoding="utf-8") as file:
                admin = "admin:" + file.read().strip()
        except OSError as error:
            row(False, "data source", str(error), "`make site` writes it")
            return
        status, text = ask("http://127.0.0.1:3000/api/datasources/uid/tickberry/health", admin)
        row(status == 200, "data source", "works" if status == 200 else f"answers {status}", "`make site` says what to do")


def host():
    """What a Pi dies of: a full disk, heat and weak power, a wrong clock, an open door."""
    disk = shutil.disk_usage("/var/lib/tickberry" if os.path.isdir("/var/lib/tickberry") else "/var/lib")
    free = 100 * disk.free // disk.total
    row(free >= WHAT["disk_free"], "disk", f"{free} % free of {disk.total >> 30} GiB", "`du -xh /var | sort -h | tail` says what fills it")
    for folder in WHAT["data_folders"]:
        path = f"/var/lib/{folder}"
        # Not whether it is a mount: systemd makes the folder of a bind mount where there is none.
        is_there = os.path.isdir(path) and os.stat(path).st_dev != os.stat("/var/lib").st_dev
        remedy = "what needs it does not start; `lsblk` says whether the disk is there, then `mount -a` and `make site`"
        row(is_there, "data disk", f"{path} is {'on it' if is_there else 'not on it'}", remedy)
    if WHAT["clock"]:
        _, synced = run("timedatectl", "show", "--property=NTPSynchronized", "--value")
        row(synced == "yes", "clock", "synchronised" if synced == "yes" else "not synchronised", "`chronyc sources` says whom it asks")
    code, text = run("vcgencmd", "get_throttled")
    if code == 0:
        bits = int(text.rpartition("=")[2], 16)
        row(bits & 0xF == 0, "power and heat", text, "a stronger supply, or a heat sink")
    if WHAT["firewall"]:
        row(run("nft", "list", "table", "inet", "tickberry")[0] == 0, "firewall", "rules of tickberry", "`systemctl restart shelf-firewall`, or `make site`")
    if WHAT["ssh"]:
        # By a login that cannot succeed: what its files say need not be what sshd has read. Root's would be asked for less.
        asked = ["-F", "none", "-o", "PreferredAuthentications=none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        _, text = run("ssh", *asked, "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=10", "-p", str(WHAT["ssh"]), "nobody@127.0.0.1", "true")
        ways = text.rpartition("Permission denied (")[2].partition(")")[0].split(",") if "Permission denied (" in text else []
        is_off = bool(ways) and not {"password", "keyboard-interactive"} & set(ways)
        row(is_off, "ssh", f"lets in by {', '.join(ways)}" if ways else text, "`make site` switches passwords off")


services()
program()
shelf()
store()
host()
print(json.dumps(ROWS))
