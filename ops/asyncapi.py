"""The AsyncAPI 3 document of all topics, made from the topic catalogue and the Avro schemas.

    python -m ops.asyncapi          writes docs/asyncapi.yaml anew; a test holds the file equal to this

Sources: AsyncAPI 3.0.0 specification; Kafka bindings 0.5.0.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from schemas.avro_files import schema_text
from schemas.topics import CATALOGUE, Topic

PATH = Path(__file__).resolve().parents[1] / "docs" / "asyncapi.yaml"
_BINDING = "0.5.0"
_NUMBERS = {"retention.ms", "retention.bytes", "delete.retention.ms", "max.message.bytes"}


def document() -> dict[str, Any]:
    """The document as plain data. Version 1 of the interface is version 1 of the schemas."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Prediction Movers",
            "version": "1.0.0",
            "description": "What is published about prediction markets, and what may be relied on: "
            "docs/consuming_alerts.md. Values are Avro in the Confluent wire format.",
            "license": {"name": "Apache-2.0"},
        },
        "servers": {
            "local": {
                "host": "127.0.0.1:19092",
                "protocol": "kafka",
                "bindings": {
                    "kafka": {
                        "schemaRegistryUrl": "http://127.0.0.1:18081",
                        "schemaRegistryVendor": "confluent",
                        "bindingVersion": _BINDING,
                    }
                },
            }
        },
        "defaultContentType": "application/vnd.apache.avro+binary",
        "channels": {_id(topic): _channel(topic) for topic in CATALOGUE},
        "operations": {f"send_{_id(topic)}": _operation(topic) for topic in CATALOGUE},
        "components": {"messages": {topic.event.__name__: _message(topic) for topic in CATALOGUE}},
    }


def text() -> str:
    """The file as it should stand."""
    head = "# Made by `python -m ops.asyncapi` from schemas/topics.py and schemas/avro; edited there, not here.\n"
    return head + yaml.safe_dump(document(), sort_keys=False, allow_unicode=True, width=110)


def _id(topic: Topic) -> str:
    return topic.name.replace(".", "_")


def _message_ref(topic: Topic) -> dict[str, str]:
    return {"$ref": f"#/channels/{_id(topic)}/messages/{topic.event.__name__}"}


def _channel(topic: Topic) -> dict[str, Any]:
    name = topic.event.__name__
    return {
        "address": topic.name,
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "bindings": {
            "kafka": {"topic": topic.name, "topicConfiguration": _configuration(topic), "bindingVersion": _BINDING}
        },
    }


def _configuration(topic: Topic) -> dict[str, Any]:
    """Kafka's settings of the topic; the clean-up is a list in AsyncAPI, numbers are numbers."""
    settings: dict[str, Any] = {}
    for name, value in topic.config.items():
        if name == "cleanup.policy":
            settings[name] = value.split(",")
        else:
            settings[name] = int(value) if name in _NUMBERS else value
    return settings


def _operation(topic: Topic) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{_id(topic)}"},
        "messages": [_message_ref(topic)],
    }


def _message(topic: Topic) -> dict[str, Any]:
    schema = json.loads(schema_text(topic.subject_file))
    return {
        "name": topic.event.__name__,
        "summary": schema["doc"],
        "headers": {
            "type": "object",
            "properties": {
                "venue": {"type": "string", "description": "UTF-8"},
                "category": {"type": "string", "description": "UTF-8; absent or empty while not known"},
            },
        },
        "payload": {"schemaFormat": "application/vnd.apache.avro+json;version=1.9.0", "schema": schema},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": topic.key},
                "schemaIdLocation": "payload",
                "schemaIdPayloadEncoding": "confluent",
                "schemaLookupStrategy": "TopicNameStrategy",
                "bindingVersion": _BINDING,
            }
        },
    }


if __name__ == "__main__":
    PATH.write_text(text(), "utf-8")
    sys.exit(0)
