#!/usr/bin/env python3
"""Recomputes the hash chain of `esrun export` lines, from docs/reference/ledger-format.md alone.

usage: ledger_check.py [FILE]     prints count and head hash; exit status 1 names the first bad position"""
import hashlib
import json
import sys
import uuid
from datetime import datetime, timedelta, timezone

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def integer(value):
    return value.to_bytes(8, "big", signed=True)


def text(value):
    if value is None:
        return b"\x00"
    data = value.encode()
    return b"\x01" + len(data).to_bytes(2, "big") + data


def moment(value):
    return integer((datetime.fromisoformat(value.replace("Z", "+00:00")) - EPOCH) // timedelta(microseconds=1))


def sha256(data):
    return hashlib.sha256(data).digest()


def leaf(e, previous):
    cause = e["causation_id"]
    return b"".join((
        b"esrun/1\n", integer(e["position"]), uuid.UUID(e["event_id"]).bytes,
        text(e["aggregate_type"]), text(e["aggregate_id"]), integer(e["version"]),
        text(e["event_type"]), integer(e["schema_version"]), text(e["tenant_id"]), text(e["actor_id"]),
        uuid.UUID(e["correlation_id"]).bytes, b"\x00" if cause is None else b"\x01" + uuid.UUID(cause).bytes,
        moment(e["occurred_at"]), moment(e["recorded_at"]),
        sha256(e["data"].encode()), sha256(e["metadata"].encode()), previous))


def main(lines):
    count, previous, shown = 0, bytes(32), "GENESIS"
    for line in lines:
        e = json.loads(line)
        count += 1
        head = sha256(b"\x00" + leaf(e, previous))
        for good, what in ((e["position"] == count, "position"), (e["previous_hash"] == shown, "previous_hash"),
                           (e["hash"] == head.hex(), "hash")):
            if not good:
                sys.exit(f"position {count}: wrong {what}")
        previous, shown = head, head.hex()
    print(count, shown)


if __name__ == "__main__":
    main(open(sys.argv[1], encoding="utf-8") if len(sys.argv) > 1 else sys.stdin)
