"""Reads a backup's files to their end: archives.py CACHE FOLDER=ARCHIVE … FILE …

Prints as JSON how many bytes come to each folder, and to CACHE, where the archives lie meanwhile. Ends with 1 and what is wrong with
which file."""

import gzip
import json
import os
import sys
import zlib


def unpacked(path):
    """Bytes in an archive; only to its end it is known to be whole."""
    size = 0
    with gzip.open(path) as file:
        while chunk := file.read(1 << 20):
            size += len(chunk)
    return size


come, wrong = {sys.argv[1]: 0}, []
for argument in sys.argv[2:]:
    folder, _, path = argument.rpartition("=")
    try:
        if folder:
            come[folder] = unpacked(path)
            come[sys.argv[1]] += os.path.getsize(path)
        if os.path.getsize(path) == 0 or (folder and come[folder] == 0):
            wrong.append(f"{path} is empty")
    except FileNotFoundError:
        wrong.append(f"{path} is not there")
    except (OSError, EOFError, zlib.error) as error:
        wrong.append(f"{path} cannot be read to its end: {error}")
if wrong:
    sys.exit(
        "\n".join(wrong) + "\nNothing was changed. A backup has a file for each part of each host: take another one, copy the file again, or name it "
        "after the host that has the part now."
    )
print(json.dumps(come))
