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
    mv "$folder/sqlite/copy" "$3"
    rm -r "$folder/sqlite"
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
        # Its watchdog waits 30 s.
        timeout 20 cp -a --sparse=always /var/lib/tickberry/gateway "$folder/gateway"
        if [ "$pid" != 0 ]; then
            kill -CONT "$pid"
            trap - EXIT
        fi
        tar -C "$folder" -czf "$folder/gateway.tar.gz" gateway
        rm -r "$folder/gateway"
        ;;
    aggregator)
        cp -a /var/lib/tickberry/aggregator "$folder/aggregator.other"
        rm -f "$folder"/aggregator.other/*.sqlite3*
        mv "$folder/aggregator.other" "$folder/aggregator"
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
        tar -C /var/lib/influxdb --exclude=./.before-restore -czf "$folder/influxdb.tar.gz" --transform='s,^\.,influxdb,' .
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
    *)
        echo "backup: no part is called $part" >&2
        exit 64
        ;;
    esac
done
chmod 700 "$folder"
chown -R "$user" "$folder"
