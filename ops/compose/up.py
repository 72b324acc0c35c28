"""`make compose`: makes `.env` where something is missing, brings the file up, waits for health, says what you have."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from kernel.errors import UserError
from ops.compose import dotenv
from ops.compose.engine import Project, compose_command

REPO = Path(__file__).resolve().parents[2]
OVERLAYS = {"DEMO": "ops/compose/demo.env", "SHARDED": "ops/compose/sharded.env"}

YOU_NOW_HAVE = """
You now have
  the dashboard       http://127.0.0.1:{dashboard}{login}
  Kafka               127.0.0.1:{kafka}
  schema registry     http://127.0.0.1:{registry}
  ClickHouse          http://127.0.0.1:{clickhouse} (reads: movers_reader, CLICKHOUSE_READ_PASSWORD in .env)

  how it does         docker compose ps
  what it says        docker compose logs --follow sink-clickhouse
  new alerts          docker compose exec dashboard movers alerts tail
  stop, keep data     docker compose down
  stop, forget data   docker compose down --volumes
"""


def main() -> int:
    """Exit code 0 once everything is healthy."""
    try:
        command = compose_command()
        overlays = [REPO / path for name, path in OVERLAYS.items() if os.environ.get(name)]
        if len(overlays) > 1:
            raise UserError("DEMO and SHARDED do not go together: the simulated venues have one collector each")
        env_file = REPO / ".env"
        made = dotenv.complete(env_file)
        if made.names:
            _say(f"Wrote to {env_file}: {', '.join(made.names)}")
        Project(REPO, "prediction-movers", command, [env_file, *overlays]).run(
            "up", "--detach", "--build", "--wait", "--wait-timeout", "300"
        )
    except UserError as error:
        print(f"movers: {error}", file=sys.stderr)  # noqa: T201
        return 2
    _say(_you_now_have(dotenv.read(env_file), made.dashboard_password))
    return 0


def _you_now_have(env: dict[str, str], password: str | None) -> str:
    if password:
        login = f" (password {password}; written down nowhere, its hash is in .env)"
    else:
        login = " (with the password whose hash is in .env; `movers hash-password` makes another)"
    return YOU_NOW_HAVE.format(
        dashboard=env.get("DASHBOARD_PORT", "8501"),
        kafka=env.get("KAFKA_PORT", "19092"),
        registry=env.get("SCHEMA_REGISTRY_PORT", "18081"),
        clickhouse=env.get("CLICKHOUSE_HTTP_PORT", "8123"),
        login=login,
    )


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
