"""Prints what the file of a W&B run holds, as JSON. Run by a Python that has W&B.

The file is 7 bytes (`:W&B`, magic, version), then LevelDB's log format: blocks of 32 KiB, in them checksum, length and
kind before each piece of a record, which is a protobuf message.
"""

import json
import struct
import sys
from pathlib import Path

from wandb.proto.wandb_internal_pb2 import Record

BLOCK, HEAD = 32768, 7


def records(data):
    at, whole = HEAD, b""
    while at + HEAD <= len(data):
        left = BLOCK - at % BLOCK
        _, size, kind = struct.unpack("<IHB", data[at : at + HEAD])
        if left < HEAD or kind == 0:
            at += left
            continue
        whole += data[at + HEAD : at + HEAD + size]
        at += HEAD + size
        if kind in (1, 4):  # the only piece of a record, or its last
            record = Record()
            record.ParseFromString(whole)
            whole = b""
            yield record


def pairs(items):
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


def read(path):
    found = {"config": {}, "summary": {}, "history": [], "artifacts": [], "run": {}, "exit": None}
    for record in records(Path(path).read_bytes()):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
            found["config"] |= pairs(run.config.update)
            found["started"] = run.start_time.ToNanoseconds()
            found["run"] = {"id": run.run_id, "group": run.run_group, "type": run.job_type, "host": run.host}
        elif kind == "config":
            found["config"] |= pairs(record.config.update)
        elif kind == "summary":
            found["summary"] |= pairs(record.summary.update)
        elif kind == "history":
            found["history"].append(pairs(record.history.item))
        elif kind == "artifact":
            artifact = record.artifact
            found["artifacts"].append(
                {
                    "name": artifact.name,
                    "type": artifact.type,
                    "metadata": json.loads(artifact.metadata),
                    "references": [entry.ref for entry in artifact.manifest.contents],
                    "is_input": artifact.use_after_commit,
                }
            )
        elif kind == "exit":
            found["exit"] = record.exit.exit_code
    return found


print(json.dumps([read(path) for path in sys.argv[1:]]))
