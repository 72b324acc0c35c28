"""The `.avsc` files as they are packaged."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def schema_text(subject_file: str) -> str:
    """The `.avsc` of a subject as text."""
    return files("schemas").joinpath("avro", f"{subject_file}.v1.avsc").read_text("utf-8")
