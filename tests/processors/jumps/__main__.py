"""`movers process jumps`, as it would be with the one line in the registry."""

from movers.cli import app
from processors import registry

registry.PROCESSORS = {**registry.PROCESSORS, "jumps": "tests.processors.jumps.app"}
app(["process", "jumps"])
