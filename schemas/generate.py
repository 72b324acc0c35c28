"""Source of an encoder and a decoder for one subject, written from its `.avsc`: what fastavro does, laid out flat.

The code is plain typed Python, so that mypyc can compile it (`movers compile`); interpreted it gives the same bytes,
only slower. What it reads and writes with is machine words there (`i64`), which wrap: so no sum may pass 63 bits, and
the 64th bit of a number is masked off, or written from a Python number (`_longest`). Bytes go into mypyc's own writer,
whose calls are machine code when compiled. It knows our own version of the schema and nothing else.
Wherever it stumbles it raises, and `Codec` asks fastavro, which then decides and words the error. What it may never do
is accept what fastavro refuses.

Avro 1.11, binary encoding: int and long are zigzag varints; a string is its length and its UTF-8; a union is the index
of the branch and its value; an array is blocks of a count and so many items, ended by a count of 0.
"""

from __future__ import annotations

import json
import typing
from dataclasses import fields
from typing import Any

from schemas.avro_files import schema_text
from schemas.topics import ALERTS, BARS, MOVES, TICKS, Topic

HOT = (TICKS, MOVES, BARS, ALERTS)
"""Topics that have a codec of their own."""

MODULE = "schemas.fast.{subject_file}"

_INTEGERS = ("int", "long")

_HEAD = '''"""Written by schemas/generate.py from {file}.v1.avsc. Not to be edited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from librt.strings import BytesWriter, read_f64_le, write_f64_le, write_i64_le
from schemas.events import {events}

if TYPE_CHECKING:
    from mypy_extensions import i64


def _long(out: BytesWriter, n: int) -> None:
{asked}    if not -0x4000000000000000 <= n <= 0x3FFFFFFFFFFFFFFF:  # compiled, a greater bound would be an object
        _longest(out, n)
        return
    m: i64 = n
    z: i64 = (m << 1) ^ (m >> 63)
    if 0x2000000000000 <= z < 0x100000000000000:  # eight groups: a moment of these centuries
        write_i64_le(
            out,
            z & 127 | (z & 0x3F80) << 1 | (z & 0x1FC000) << 2 | (z & 0xFE00000) << 3 | (z & 0x7F0000000) << 4
            | (z & 0x3F800000000) << 5 | (z & 0x1FC0000000000) << 6 | z >> 49 << 56 | 0x80808080808080,
        )
        return
    while z > 127:
        out.append(z & 127 | 128)
        z >>= 7
    out.append(z)


def _longest(out: BytesWriter, n: int) -> None:
    if not -0x8000000000000000 <= n <= 0x7FFFFFFFFFFFFFFF:
        raise ValueError("not a long")
    z = (n << 1) ^ (n >> 63)
    while z > 127:
        out.append(z & 127 | 128)
        z >>= 7
    out.append(z)


def _string(out: BytesWriter, text: str) -> None:
    data = text.encode()
    _long(out, len(data))
    out.write(data)
'''

_ASKED = """    if type(n) is not int:
        raise ValueError("not a long")
"""


def source(topic: Topic, *, to_compile: bool = False) -> str:
    """The module's text: `encode(event) -> bytes` without the wire format's header, `decode(data, at) -> event`.

    Compiled, a number has become a machine word or a Python int before it could be asked what it is, and asking would
    make an object of each.
    """
    schema: dict[str, Any] = json.loads(schema_text(topic.subject_file))
    event = topic.event
    nested = [item for _, item in _arrays_of_records(schema, event)]
    writer, reader = _Writer(), _Reader()
    writer.record(schema, event, "e", 1)
    reader.record(schema, event, "r", 1)
    names = ", ".join(sorted({event.__name__, *(item.__name__ for item in nested)}))
    return "\n".join(
        [
            _HEAD.format(file=topic.subject_file, events=names, asked="" if to_compile else _ASKED),
            "",
            f"def encode(e: {event.__name__}) -> bytes:",
            "    out = BytesWriter()",
            *writer.lines,
            "    return out.getvalue()",
            "",
            "",
            f"def decode(data: bytes, start: int) -> {event.__name__}:",
            "    at: i64 = start",
            "    b: i64",
            "    z: i64",
            "    s: i64",
            *reader.lines,
            "    if at != len(data):",
            '        raise ValueError("bytes left over, or missing")',
            "    return r",
            "",
        ]
    )


def _arrays_of_records(schema: dict[str, Any], event: type[Any]) -> list[tuple[str, type[Any]]]:
    """Fields that are arrays of records, with the class of an item."""
    hints = typing.get_type_hints(event)
    found = []
    for f in schema["fields"]:
        kind = f["type"]
        if isinstance(kind, dict) and kind["type"] == "array" and isinstance(kind["items"], dict):
            found.append((f["name"], typing.get_args(hints[f["name"]])[0]))
    return found


def _require(condition: bool, kind: Any) -> None:
    if not condition:
        raise NotImplementedError(f"no code for the Avro type {kind!r}")


class _Lines:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self._counter = 0

    def add(self, depth: int, *lines: str) -> None:
        self.lines += ["    " * depth + line for line in lines]

    def fresh(self, stem: str) -> str:
        self._counter += 1
        return f"{stem}{self._counter}"


class _Writer(_Lines):
    def record(self, schema: dict[str, Any], event: type[Any], name: str, depth: int) -> None:
        items = dict(_arrays_of_records(schema, event))
        for f in schema["fields"]:
            self._value(f["type"], f"{name}.{f['name']}", items.get(f["name"]), depth)

    def _value(self, kind: Any, value: str, item: type[Any] | None, depth: int) -> None:
        if isinstance(kind, list):
            _require(kind[0] == "null" and len(kind) == 2, kind)
            v = self.fresh("v")
            self.add(depth, f"{v} = {value}", f"if {v} is None:", "    out.append(0)", "else:")
            self.add(depth + 1, "out.append(2)")
            self._value(kind[1], v, item, depth + 1)
        elif isinstance(kind, dict):
            _require(kind["type"] == "array", kind)
            v, i = self.fresh("v"), self.fresh("i")
            self.add(depth, f"{v} = {value}", f"if {v}:", f"    _long(out, len({v}))", f"    for {i} in {v}:")
            if item is None:
                self._value(kind["items"], i, None, depth + 2)
            else:
                self.record(kind["items"], item, i, depth + 2)
            self.add(depth, "out.append(0)")
        elif kind == "int":
            v = self.fresh("v")
            self.add(depth, f"{v} = {value}", f"if not -0x80000000 <= {v} <= 0x7FFFFFFF:")
            self.add(depth, '    raise ValueError("not an int")', f"_long(out, {v})")
        elif kind == "long":
            self.add(depth, f"_long(out, {value})")
        elif kind == "string":
            self.add(depth, f"_string(out, {value})")
        elif kind == "double":
            self.add(depth, f"write_f64_le(out, {value})")
        elif kind == "boolean":
            v = self.fresh("v")
            self.add(depth, f"{v} = {value}", f"if {v} is not True and {v} is not False:")
            self.add(depth, '    raise ValueError("not a boolean")', f"out.append(1 if {v} else 0)")
        else:
            _require(False, kind)


class _Reader(_Lines):
    def record(self, schema: dict[str, Any], event: type[Any], name: str, depth: int) -> None:
        items = dict(_arrays_of_records(schema, event))
        values = {}
        for f in schema["fields"]:
            values[f["name"]] = self._value(f["type"], items.get(f["name"]), depth)
        order = [f.name for f in fields(event)]
        arguments = ", ".join(f"{n}={values[n]}" for n in order)
        # The closed word lists are types; which words come is checked where they are used.
        self.add(depth, f"{name} = {event.__name__}({arguments})  # type: ignore[arg-type]")

    def _value(self, kind: Any, item: type[Any] | None, depth: int) -> str:
        v = self.fresh("v")
        if isinstance(kind, list):
            self.add(depth, "b = data[at]", "at += 1", "if b == 0:", f"    {v} = None", "elif b == 2:")
            inner = self._value(kind[1], item, depth + 1)
            self.add(depth + 1, f"{v} = {inner}")
            self.add(depth, "else:", '    raise ValueError("no such branch")')
        elif isinstance(kind, dict):
            n, got = self.fresh("n"), self.fresh("got")
            self.add(depth, f"{got} = []", "while True:")
            self._long(n, depth + 1)
            self.add(depth + 1, f"if {n} == 0:", "    break", f"if {n} < 0:", '    raise ValueError("sized block")')
            self.add(depth + 1, f"for _ in range({n}):")
            if item is None:
                inner = self._value(kind["items"], None, depth + 2)
            else:
                inner = self.fresh("r")
                self.record(kind["items"], item, inner, depth + 2)
            self.add(depth + 2, f"{got}.append({inner})")
            self.add(depth, f"{v} = tuple({got})")
        elif kind in _INTEGERS:
            self._long(v, depth)
            if kind == "int":
                self.add(depth, f"if not -0x80000000 <= {v} <= 0x7FFFFFFF:", '    raise ValueError("not an int")')
        elif kind == "string":
            n = self.fresh("n")
            self._long(n, depth)
            self.add(depth, f"if {n} < 0 or {n} > len(data) - at:", '    raise ValueError("cut short")')
            self.add(depth, f"{v} = data[at:at + {n}].decode()", f"at += {n}")
        elif kind == "double":
            self.add(depth, f"{v} = read_f64_le(data, at)", "at += 8")
        elif kind == "boolean":
            self.add(
                depth, f"{v} = data[at] == 1", "if data[at] > 1:", '    raise ValueError("not a boolean")', "at += 1"
            )
        else:
            _require(False, kind)
        return v

    def _long(self, name: str, depth: int) -> None:
        self.add(
            depth,
            "b = data[at]",
            "at += 1",
            "if b < 128:",
            f"    {name} = (b >> 1) ^ -(b & 1)",
            "else:",
            "    z = b & 127",
            "    s = 7",
            "    while True:",
            "        b = data[at]",
            "        at += 1",
            "        if s == 63 and b > 1:",
            '            raise ValueError("longer than a long")',
            "        z |= (b & 127) << s",
            "        if b < 128:",
            "            break",
            "        s += 7",
            f"    {name} = (z >> 1 & 0x7FFFFFFFFFFFFFFF) ^ -(z & 1)",
        )
