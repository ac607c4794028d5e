"""A card in a reader: card.py look DEVICE LIMITS [IMAGE] says what it is, card.py write DEVICE LIMITS IMAGE IDENTITY writes to it, as root.

LIMITS is JSON: gigabytes between which a card is, and whether it has to say that it is removable. Both refuse what is in use.
IDENTITY is what `look` has said: another card in the same place is not written to.
"""

import json
import os
import subprocess
import sys

COLUMNS = "NAME,TYPE,SIZE,RM,RO,FSTYPE,LABEL,MODEL,SERIAL,MOUNTPOINTS"


def system(device, name):
    """What the kernel says of a disk; a card has other files than a disk."""
    try:
        with open(f"/sys/class/block/{os.path.basename(device)}/{name}", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def tree(device):
    """The disk and all that stands on it, as lsblk tells it."""
    words = ["lsblk", "--json", "--bytes", "--paths", "--output", COLUMNS, device]
    listed = subprocess.run(words, capture_output=True, text=True, check=False)
    if listed.returncode:
        sys.exit(f"{device}: {listed.stderr.strip()}; `lsblk` lists what there is, before and after the card is put in")
    return json.loads(listed.stdout)["blockdevices"][0]


def parts(of):
    """Everything in the tree."""
    return [of] + [part for child in of.get("children", []) for part in parts(child)]


def refused(disk, limits, image):
    """Why it is not written to, in words; nothing if it is."""
    size = int(disk["size"])
    # The bus of cards says "not removable" of all that is on it, and chips that are soldered in are on it, too.
    removable = disk["rm"] or system(disk["name"], "device/type") == "SD"
    if disk["type"] != "disk":
        yield f"is a {disk['type']}, no whole disk"
    if disk["ro"]:
        yield "is read-only: is the card's lock off?"
    if limits["removable"] and not removable:
        yield "does not say that it is removable (an SSD on USB never does: -e flash_device_removable=false, if it is that one)"
    if not limits["least"] * 1e9 <= size <= limits["most"] * 1e9:
        yield f"has {size / 1e9:.1f} GB, and a card has {limits['least']} to {limits['most']} (flash_device_least_gb, flash_device_most_gb)"
    if image and os.path.getsize(image) > size:
        yield f"has {size} bytes, and the image {os.path.getsize(image)}: take a larger card"
    for part in parts(disk):
        if part["type"] not in ("disk", "part", disk["type"]):
            yield f"holds {part['name']} ({part['type']}), which is open: close it (cryptsetup close, vgchange -an, mdadm --stop)"
        for place in filter(None, part["mountpoints"]):
            yield f"is in use: {part['name']} is {'swap' if place == '[SWAP]' else 'mounted at ' + place}; unmount it if it is the card"


def look(device, limits, image):
    """The identity, or the end."""
    disk = tree(device)
    why = list(refused(disk, limits, image))
    if why:
        sys.exit(f"{device} ({disk['model'] or 'no name'}) is not written to: it {'; it '.join(why)}")
    # The number is another one for each card that is put in.
    return f"{disk['size']} {disk['serial'] or '-'} {system(device, 'diskseq') or '-'}"


def write(device, limits, image, identity):
    """The image onto the card, and it reads back the same."""
    try:
        # Of a disk that anything else holds, the kernel refuses this; and while it is held, nothing mounts it.
        held = os.open(device, os.O_RDWR | os.O_EXCL)
    except OSError as error:
        sys.exit(f"{device}: {error.strerror}; nothing was written. `lsblk {device}` says what is on it")
    if look(device, limits, image) != identity:
        sys.exit(f"{device} is another card than the one that was asked about; nothing was written")
    size = str(os.path.getsize(image))
    subprocess.run(["dd", f"if={image}", f"of={device}", "bs=4M", "conv=fsync", "oflag=direct", "status=none"], check=True)
    if subprocess.run(["cmp", f"--bytes={size}", image, device], check=False).returncode:
        sys.exit(f"{device} reads back differently: the card or its reader is broken; try another one")
    os.close(held)


def main():
    """As the module says."""
    verb, device, limits, *more = sys.argv[1:]
    device, limits = os.path.realpath(device), json.loads(limits)
    if verb == "look":
        identity = look(device, limits, more[0] if more else None)
        table = subprocess.run(["lsblk", "--output", COLUMNS, device], capture_output=True, text=True, check=True).stdout
        print(json.dumps({"identity": identity, "table": table}))
    else:
        write(device, limits, *more)


main()
