"""Holds the contract files of a server against their specifications, and what the server said against them.

Usage: contract.py FOLDER, with `openapi.json`, `asyncapi.json` and `seen.json`: {"answers": [{"method", "path", "status",
"media", "body"}], "messages": [MESSAGE]}, where `path` is one of the contract's. Prints what was checked: {"answers": N,
"messages": N, "examples": N}. Fails at the first thing that is wrong. Shares no code with the server.
"""

import json
import pathlib
import sys

import jsonschema
import openapi_spec_validator

folder = pathlib.Path(sys.argv[1])
openapi, asyncapi, seen = (json.loads((folder / name).read_text()) for name in ("openapi.json", "asyncapi.json", "seen.json"))

openapi_spec_validator.validate(openapi)
for answer in seen["answers"]:
    responses = openapi["paths"][answer["path"]][answer["method"].lower()]["responses"]
    assert str(answer["status"]) in responses, f"not in the contract: {answer}"
    schema = responses[str(answer["status"])]["content"][answer["media"]]["schema"]
    if answer["media"] == "application/json":
        # What the schema refers to is found in the document that it stands in.
        jsonschema.Draft202012Validator({**openapi, **schema}).validate(json.loads(answer["body"]))


def read(message):
    """AsyncAPI's schemas are of draft 7."""
    schema = {**asyncapi, "$ref": f"#/components/messages/{message['op']}/payload"}
    jsonschema.Draft7Validator(schema).validate(message)


for message in seen["messages"]:
    read(message)

examples = 0
for message in asyncapi["components"]["messages"].values():
    jsonschema.Draft7Validator.check_schema(message["payload"])
    for example in message["examples"]:
        read(example["payload"])
        examples += 1

print(json.dumps({"answers": len(seen["answers"]), "messages": len(seen["messages"]), "examples": examples}))
