"""Alerts in Python: pip install "confluent-kafka[avro]", then python alerts.py"""

import os

from confluent_kafka import Consumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

TOPIC = "alerts"
registry = SchemaRegistryClient({"url": os.environ.get("SCHEMA_REGISTRY_URL", "http://127.0.0.1:18081")})
decode = AvroDeserializer(registry)
reader = Consumer(
    {
        "bootstrap.servers": os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:19092"),
        "group.id": os.environ.get("GROUP", "my-alerts"),
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
)
reader.subscribe([TOPIC])
while True:
    message = reader.poll(1.0)
    if message is None or message.error():
        continue
    alert = decode(message.value(), SerializationContext(TOPIC, MessageField.VALUE))
    print(alert["event_id"], alert["state"], alert["market_id"], alert["title"], flush=True)  # do your work here
    reader.commit(message, asynchronous=False)  # after the work: an alert may come twice, and is never missed
