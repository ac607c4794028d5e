#!/bin/sh
# Puts a part of a backup in the place of what is there: restore.sh ARCHIVE FOLDER. What was there moves into its folder
# .before-restore, where the programs do not look. Comes over stdin; the services have to be stopped. Owners go by name: a
# fresh system may have numbered them in another way.
set -eu
archive=$1
folder=$2
[ -d "$folder" ] || {
    echo "restore: there is no $folder; run make site first" >&2
    exit 66
}
aside=$folder/.before-restore
rm -rf "$aside"
mkdir "$aside"
chmod 700 "$aside"
find "$folder" -mindepth 1 -maxdepth 1 ! -name .before-restore -exec mv -t "$aside" {} +
tar -C "$folder" --strip-components=1 -xpzf "$archive"
