#!/bin/sh
# Copies parts of a host's data into a folder that its second argument may read: backup.sh FOLDER USER PART…
# Comes over stdin. Nothing that is copied is left half written:
#   gateway     the process is stopped in its tracks while its files are copied, and goes on: the feed waits in the
#               socket, and no trade is missed. What is copied is what a kill -9 leaves, which the journal is made for
#   aggregator  the SQLite file by SQLite's own backup; beside InfluxDB there is little to copy
#   influxdb    stopped for as long as the copy takes: the aggregator waits, and fetches what it missed from the journal
#   grafana     its SQLite file, as the aggregator's
set -eu
folder=$1
user=$2
shift 2
umask 077
# What stands still goes on, however this ends.
trap 'exit 1' HUP INT TERM
rm -rf "$folder"
mkdir -p "$folder"

# sqlite USER FILE COPY
sqlite() {
    install -d -m 700 -o "$1" "$folder/sqlite"
    runuser -u "$1" -- python3 -c '
import sqlite3, sys
source, copy = sqlite3.connect(sys.argv[1]), sqlite3.connect(sys.argv[2])
source.backup(copy)
copy.close()' "$2" "$folder/sqlite/copy"
    # Who else may read it, such as the page, is said by its mode.
    chmod --reference="$2" "$folder/sqlite/copy"
    mv "$folder/sqlite/copy" "$3"
    rm -r "$folder/sqlite"
}

# others SECONDS FOLDER COPY [CONDITION…]: copies what is in it, but for what a restore has put there; 0: takes as long as it takes.
others() {
    seconds=$1 from=$2 to=$3
    shift 3
    mkdir "$to"
    chown --reference="$from" "$to"
    chmod --reference="$from" "$to"
    timeout "$seconds" find "$from" -mindepth 1 -maxdepth 1 ! -name .before-restore ! -name .restore-new "$@" \
        -exec cp -a --sparse=always -t "$to" {} +
}

# kib PATH…: what is on the disk, but for what a restore has put there
kib() { du -sck --exclude=.before-restore --exclude=.restore-new "$@" | awk 'END { print $1 }'; }

needed=65536
for part in "$@"; do
    case $part in
    # A copy, and then its archive.
    gateway | aggregator) needed=$((needed + 2 * $(kib "/var/lib/tickberry/$part"))) ;;
    grafana) needed=$((needed + 2 * $(kib /var/lib/grafana/grafana.db*))) ;;
    influxdb) needed=$((needed + $(kib /var/lib/influxdb))) ;;
    *)
        echo "backup: no part is called $part" >&2
        exit 64
        ;;
    esac
done
free=$(df -Pk "$folder" | awk 'END { print $4 }')
[ "$free" -ge "$needed" ] || {
    echo "backup: $folder has $((free >> 10)) MiB free and may need $((needed >> 10)): make room; \`du -xh /var | sort -h | tail\` says what is big," \
        ".before-restore is what earlier restores put aside" >&2
    exit 69
}

# Whoever runs sqlite has to get to the folder it may write to.
chmod 711 "$folder"

for part in "$@"; do
    case $part in
    gateway)
        pid=$(systemctl show --property=MainPID --value tickberry-gateway.service)
        if [ "$pid" != 0 ]; then
            trap 'kill -CONT "$pid"' EXIT
            kill -STOP "$pid"
        fi
        # Its watchdog waits 30 s, and may have heard of it 10 s ago.
        others 15 /var/lib/tickberry/gateway "$folder/gateway" || {
            echo "backup: the journal was not copied within 15 s, and the gateway cannot stand still for longer; is the disk busy? Run make backup again" >&2
            exit 74
        }
        if [ "$pid" != 0 ]; then
            kill -CONT "$pid"
            trap - EXIT
        fi
        tar -C "$folder" -czf "$folder/gateway.tar.gz" gateway
        rm -r "$folder/gateway"
        ;;
    aggregator)
        others 0 /var/lib/tickberry/aggregator "$folder/aggregator" ! -name '*.sqlite3*'
        for file in /var/lib/tickberry/aggregator/*.sqlite3; do
            [ -e "$file" ] || continue
            sqlite "$(stat -c %U "$file")" "$file" "$folder/aggregator/${file##*/}"
        done
        tar -C "$folder" -czf "$folder/aggregator.tar.gz" aggregator
        rm -r "$folder/aggregator"
        ;;
    influxdb)
        trap 'systemctl start influxdb.service' EXIT
        systemctl stop influxdb.service
        tar -C /var/lib/influxdb --exclude=./.before-restore --exclude=./.restore-new -czf "$folder/influxdb.tar.gz" --transform='s,^\.,influxdb,' .
        systemctl start influxdb.service
        trap - EXIT
        ;;
    grafana)
        mkdir "$folder/grafana"
        chown grafana: "$folder/grafana"
        sqlite grafana /var/lib/grafana/grafana.db "$folder/grafana/grafana.db"
        tar -C "$folder" -czf "$folder/grafana.tar.gz" grafana
        rm -r "$folder/grafana"
        ;;
    esac
done
chmod 700 "$folder"
chown -R "$user" "$folder"
