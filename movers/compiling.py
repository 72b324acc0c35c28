"""`movers compile`: analytics, streamed frames, hot codecs, rows as machine code, by mypyc, from the very same source.

Facts (mypy 2.4): mypyc checks types as it compiles and follows imports, so it works in a copy of the packages it needs;
modules compiled together share one library, which must be importable from the top.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tempfile
from importlib.util import find_spec
from pathlib import Path

from kernel.errors import UserError
from kernel.logs import get_logger
from movers.constructors import with_constructors
from movers.supervisor import child_environment
from schemas import compiled, generate

log = get_logger(__name__)

_PACKAGES = (
    *("kernel", "processors", "processors/analytics", "producers", "schemas", "schemas/fast"),
    *("sinks", "sinks/clickhouse"),
)
_CONFIG = "[mypy]\nignore_missing_imports = True\nfollow_imports = silent\n"


def why_not() -> str:
    """What is missing for compiling here; empty when nothing is."""
    if find_spec("mypyc") is None:
        return "mypy is not installed"
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file():
        return "Python's C headers are not installed"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    return "" if shutil.which(compiler) else f"there is no C compiler ({compiler})"


def build() -> Path:
    """Compiles for this interpreter, unless that has been done; returns the folder.

    Raises:
        UserError: something is missing, or the compiler refuses; then everything runs interpreted.
    """
    target = compiled.home() / compiled.digest()
    if (target / "complete").is_file():
        return target
    if missing := why_not():
        raise UserError(f"cannot compile: {missing}; everything runs interpreted, more slowly")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        modules = _lay_out(work)
        command = [sys.executable, "-m", "mypyc", *modules]
        # -O3 takes twice as long, for nothing.
        env = child_environment({"MYPYC_OPT_LEVEL": "1", "MYPYC_DEBUG_LEVEL": "0"})
        done = subprocess.run(command, cwd=work, env=env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = (done.stdout + done.stderr).strip().splitlines()[-1:]
            raise UserError(f"cannot compile: {' '.join(last)}; everything runs interpreted, more slowly")
        _take_over(work, target)
    return target


def _lay_out(work: Path) -> list[str]:
    """Copies what is compiled and what it imports; returns the files to compile."""
    skip = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(compiled.ROOT / "schemas", work / "schemas", ignore=skip)
    shutil.copytree(compiled.ROOT / "processors" / "analytics", work / "processors" / "analytics", ignore=skip)
    found = (path for name in compiled.FRAMES for path in sorted(compiled.ROOT.glob(f"producers/{name}.py")))
    frames = [path.relative_to(compiled.ROOT).as_posix() for path in found]
    steps = [f"processors/{name}.py" for name in compiled.STEP]
    rows = [f"sinks/clickhouse/{name}.py" for name in compiled.SINK]
    for path in (*frames, *steps, *rows, "kernel/errors.py"):  # what else they import is left as it is, untyped
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(compiled.ROOT / path, work / path)
    # A plain package each: their search path is of no use here and mypy could not follow it.
    for package in sorted({*_PACKAGES, *(str(Path(path).parent) for path in frames)}):
        (work / package / "__init__.py").write_text("")
    (work / "mypy.ini").write_text(_CONFIG)
    files = [f"schemas/{name}.py" for name in compiled.SCHEMAS]
    files += [f"processors/analytics/{name}.py" for name in compiled.ANALYTICS]
    files += [*steps, *frames, *rows]
    for topic in generate.HOT:
        path = generate.MODULE.format(subject_file=topic.subject_file).replace(".", "/") + ".py"
        (work / path).write_text(generate.source(topic, to_compile=True))
        files.append(path)
    present = [name for name in files if (work / name).is_file()]
    for name in present:
        (work / name).write_text(with_constructors((work / name).read_text()))
    return present


def _take_over(work: Path, target: Path) -> None:
    """Moves the libraries to their place; the mark that all are there comes last. Older versions go."""
    if target.parent.is_dir():
        shutil.rmtree(target.parent)
    for library in work.rglob("*.so"):
        place = library.relative_to(work)
        if place.parts[0] != "build":
            (target / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(library, target / place)
    (target / "complete").touch()
