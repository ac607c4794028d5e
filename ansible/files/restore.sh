#!/bin/sh
# Puts a part of a backup in the place of what is there, in two steps: what may fail comes before anything is touched.
#   restore.sh unpack ARCHIVE FOLDER    into FOLDER/.restore-new; the archive goes
#   restore.sh swap FOLDER [NAMES]      what is there moves into FOLDER/.before-restore/<time>, the new takes its place;
#                                       NAMES is a pattern where the backup has only a part of the folder
# Programs look into neither. Comes over stdin; to swap, the services have to be stopped. Owners go by name: a fresh
# system may have numbered them in another way.
set -eu

# entries FOLDER NAMES COMMAND…: with each of them that is not of a restore
entries() {
    folder_=$1 names_=$2
    shift 2
    find "$folder_" -mindepth 1 -maxdepth 1 -name "$names_" ! -name .before-restore ! -name .restore-new -exec "$@" {} +
}

unpack() {
    archive=$1 folder=$2 new=$2/.restore-new
    [ -d "$folder" ] || {
        echo "restore: there is no $folder; run make site first" >&2
        exit 66
    }
    trap 'rm -rf "$new" "$archive"' EXIT
    rm -rf "$new"
    mkdir -m 700 "$new"
    tar -C "$new" --strip-components=1 -xpzf "$archive"
    # The swap is renames only: after a power cut they must not be all that is left.
    sync -f "$new"
    trap - EXIT
    rm -f "$archive"
}

undo() {
    trap - EXIT
    if { [ "$moving" != in ] || entries "$folder" "$names" mv -t "$new"; } && entries "$aside" '*' mv -t "$folder" && rmdir "$aside"; then
        echo "restore: $folder could not be replaced, and is as it was before" >&2
    else
        echo "restore: $folder is half replaced; what was there is in $aside" >&2
    fi
    exit 74
}

swap() {
    folder=$1 names=${2:-*} new=$1/.restore-new
    [ -d "$new" ] || {
        echo "restore: nothing is unpacked in $new; run make restore again" >&2
        exit 66
    }
    # By time, so that no restore removes what another one has put aside.
    aside=$folder/.before-restore/$(date -u +%Y-%m-%dT%H%M%S.%NZ)
    (umask 077 && mkdir -p "$aside")
    moving=aside
    trap undo EXIT
    trap 'exit 1' HUP INT TERM
    entries "$folder" "$names" mv -t "$aside"
    moving=in
    entries "$new" '*' mv -t "$folder"
    trap - EXIT
    rmdir "$new"
    sync -f "$folder"
}

verb=$1
shift
case $verb in
    unpack) unpack "$@" ;;
    swap) swap "$@" ;;
    *)
        echo "restore: $verb is neither unpack nor swap" >&2
        exit 64
        ;;
esac
