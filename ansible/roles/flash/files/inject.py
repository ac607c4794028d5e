"""Unpacks a card image and puts files on its boot partition, without root: inject.py IMAGE TARGET FOLDER SIGNS.

The boot partition is the first FAT one. Each file is read back. TARGET is whole or not there. SIGNS are names, with commas between them,
of files without which the image would not read what is put there.
"""

import json
import os
import shutil
import subprocess
import sys

SFDISK = shutil.which("sfdisk") or "/sbin/sfdisk"
# FAT, by MBR type and by GPT type (EFI system, basic data).
FAT = {"b", "c", "e", "6", "ef", "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"}


def unpack(image, target):
    """The image, unpacked where it is packed."""
    if image.endswith(".xz"):
        with open(target, "wb") as out:
            subprocess.run(["xz", "--decompress", "--stdout", "--threads=0", image], stdout=out, check=True)
    else:
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", image, target], check=True)


def boot_partition(target):
    """Where the first FAT partition begins, in bytes."""
    listed = subprocess.run([SFDISK, "--json", target], capture_output=True, text=True, check=False)
    if listed.returncode:
        sys.exit(f"{target}: no partition table: {listed.stderr.strip()}; is this the image of a card?")
    table = json.loads(listed.stdout)["partitiontable"]
    size = table.get("sectorsize", 512)
    for partition in table.get("partitions", []):
        if partition["type"] in FAT:
            return partition["start"] * size
    sys.exit(f"{target}: no FAT partition; is this the image of a card for a Pi?")


def put(target, offset, path):
    """One file onto the partition, and what can be read there is the same."""
    name = os.path.basename(path)
    image = f"{target}@@{offset}"
    subprocess.run(["mcopy", "-o", "-i", image, path, f"::{name}"], check=True)
    back = subprocess.run(["mtype", "-i", image, f"::{name}"], capture_output=True, check=True).stdout
    with open(path, "rb") as file:
        if file.read() != back:
            sys.exit(f"{target}: {name} reads back differently; is the boot partition full?")


def expect(image, target, offset, signs):
    """The end, unless the image has a file of each of these names."""
    for name in signs:
        found = subprocess.run(["mtype", "-i", f"{target}@@{offset}", f"::{name}"], capture_output=True, check=False)
        if found.returncode:
            sys.exit(
                f"{image}: there is no {name} on its boot partition, so its first start reads none, and nobody could get in. Images that do: "
                'Raspberry Pi OS "Trixie" since November 2025, Ubuntu Server for the Pi. An older one, "Bookworm" too: write it with '
                "Raspberry Pi Imager, with the name, user and key of the inventory; then it needs no `make flash`"
            )


def main():
    """As the module says."""
    image, target, folder, signs = sys.argv[1:]
    draft = target + ".new"
    os.umask(0o077)
    try:
        unpack(image, draft)
        offset = boot_partition(draft)
        expect(image, draft, offset, signs.split(","))
        names = sorted(os.listdir(folder))
        for name in names:
            put(draft, offset, os.path.join(folder, name))
        os.rename(draft, target)
    finally:
        if os.path.exists(draft):
            os.remove(draft)
    print(f"{target}: {', '.join(names)} on the partition at byte {offset}")


main()
