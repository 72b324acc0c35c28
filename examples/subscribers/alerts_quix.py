"""Alerts in Quix Streams: pip install "quixstreams[avro]", then python alerts_quix.py"""

import os

from quixstreams import Application
from quixstreams.models import SchemaRegistryClientConfig
from quixstreams.models.serializers.avro import AvroDeserializer

registry = SchemaRegistryClientConfig(url=os.environ.get("SCHEMA_REGISTRY_URL", "http://127.0.0.1:18081"))
app = Application(
    broker_address=os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:19092"),
    consumer_group=os.environ.get("GROUP", "my-quix-alerts"),
    auto_offset_reset="earliest",
    auto_create_topics=False,
)
alerts = app.topic("alerts", value_deserializer=AvroDeserializer(schema_registry_client_config=registry))


def show(alert: dict) -> None:
    print(alert["event_id"], alert["state"], alert["market_id"], alert["title"], flush=True)


app.dataframe(alerts).update(show)
app.run()
