#!/bin/sh
# Alerts with kcat. A kcat with Avro (kcat -V says so) decodes them through the registry; Debian's has none, so there
# it shows key, headers and place of each, which is enough to wake something that reads them properly.
set -eu
kafka=${KAFKA_BOOTSTRAP_SERVERS:-127.0.0.1:19092}
registry=${SCHEMA_REGISTRY_URL:-http://127.0.0.1:18081}
if kcat -V | grep -qi avro; then
  exec kcat -b "$kafka" -C -t alerts -o "${FROM:-beginning}" -u -q -s value=avro -r "$registry"
fi
exec kcat -b "$kafka" -C -t alerts -o "${FROM:-beginning}" -u -q -f '%k %h %p/%o %S bytes\n'
