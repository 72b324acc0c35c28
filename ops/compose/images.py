"""The images of `make compose-check`: real ones where they can be had, stand-ins built on the named base where not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from kernel.errors import UserError
from movers.local.broker.jars import class_path
from ops.compose.engine import docker

STANDINS = ("redpanda", "clickhouse")
_STANDIN_FOLDER = Path("ops/compose/standins")
_PULL_TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class Images:
    """What the check runs on.

    Args:
        variables: for `.env`.
        told: one line an image, for the log: which it is and whether it is the real one.
        built: names of the images that were built for the check.
    """

    variables: Mapping[str, str]
    told: tuple[str, ...]
    built: tuple[str, ...]


def choose(repo: Path, checkout: Path, tag: str) -> Images:
    """Images for the infrastructure; `COMPOSE_CHECK_STANDINS=1` asks for no real one.

    Args:
        repo: where the jars are kept.
        checkout: what is built.
        tag: of the images built.

    Raises:
        UserError: neither the real images nor the base image can be had.
    """
    wanted = _defaults(checkout)
    only_standins = bool(os.environ.get("COMPOSE_CHECK_STANDINS"))
    real = {service: not only_standins and _have(image) for service, image in wanted.items()}
    base = os.environ.get("BASE_IMAGE") or "python:3.12-slim"
    if not _have(base):
        raise UserError(f"base image {base} cannot be had; name one that is here with BASE_IMAGE=…")
    variables = {"BASE_IMAGE": base, "MOVERS_IMAGE": f"prediction-movers:{tag}"}
    told, built = [f"prediction-movers:{tag}, built on {base}"], [variables["MOVERS_IMAGE"]]
    for service, image in wanted.items():
        if real[service]:
            told.append(f"{service}: REAL, {image}")
            continue
        name = f"movers-standin-{service}:{tag}"
        variables[f"{service.upper()}_IMAGE"] = name
        told.append(f"{service}: STAND-IN for {image}")
        built.append(name)
    missing = [service for service in STANDINS if not real[service]]
    if missing:
        _build_standins(repo, checkout, base, tag, missing)
    return Images(variables, tuple(told), tuple(built))


def _defaults(checkout: Path) -> dict[str, str]:
    """What the compose file would run, by service."""
    services = yaml.safe_load((checkout / "docker-compose.yml").read_text("utf-8"))["services"]
    return {name: services[name]["image"].partition(":-")[2].rstrip("}") for name in STANDINS}


def _have(image: str) -> bool:
    """Whether the image is here, or comes when asked for."""
    for command in (("image", "inspect", image), ("pull", "--quiet", image)):
        try:
            docker(*command, timeout_s=_PULL_TIMEOUT_S)
        except UserError:
            continue
        return True
    return False


def _build_standins(repo: Path, checkout: Path, base: str, tag: str, services: list[str]) -> None:
    with TemporaryDirectory(prefix="movers-standins-") as folder:
        context = Path(folder)
        cache = repo / ".movers" / "cache"
        class_path(cache, print)
        shutil.copytree(cache / "maven", context / "cache" / "maven")
        for part in ("kernel", "schemas", "movers", "ops"):
            shutil.copytree(checkout / part, context / "src" / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(checkout / _STANDIN_FOLDER / "requirements.txt", context)
        arguments = [f"--build-arg=BASE_IMAGE={base}"]
        arguments += [f"--build-arg={n}={os.environ[n]}" for n in ("PIP_INDEX_URL", "PIP_CERT") if os.environ.get(n)]
        dockerfile = str(checkout / _STANDIN_FOLDER / "Dockerfile")
        for service in services:
            name = f"movers-standin-{service}:{tag}"
            docker("build", "--file", dockerfile, "--target", service, "--tag", name, *arguments, folder)
