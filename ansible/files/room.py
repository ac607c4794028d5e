"""Whether what comes finds room: room.py JSON, with bytes for each folder. Ends with 1 and what is missing where."""

import json
import os
import sys

# What else grows meanwhile.
SPARE = 64 << 20

needs, names, wrong = {}, {}, []
for folder, size in json.loads(sys.argv[1]).items():
    try:
        disk = os.stat(folder).st_dev
    except FileNotFoundError:
        wrong.append(f"there is no {folder}; run `make site` first")
        continue
    needs[disk] = needs.get(disk, SPARE) + size
    names.setdefault(disk, []).append(folder)
for disk, size in needs.items():
    state = os.statvfs(names[disk][0])
    free = state.f_bavail * state.f_frsize
    if free < size:
        wrong.append(
            f"{size >> 20} MiB come to {', '.join(names[disk])}, where {free >> 20} MiB are free; nothing was changed. "
            "`du -xh /var | sort -h | tail` says what is big: .before-restore is what earlier restores put aside"
        )
if wrong:
    sys.exit("\n".join(wrong))
