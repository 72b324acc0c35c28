"""Logs: events with keys. Readable on a terminal, JSON lines elsewhere."""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import FilteringBoundLogger, Processor


def configure(level: str = "info", *, process: str = "movers") -> None:
    """Sets up structlog and the standard library's logging the same way, on stderr, once per process."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=True) if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        cache_logger_on_first_use=False,  # a cached logger escapes structlog.testing.capture_logs
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    handler.setLevel(level.upper())  # some libraries set levels of their own loggers
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in list(root.manager.loggerDict):  # servers and frameworks set up an output of their own
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    for chatty in ("httpx", "httpcore", "uvicorn.access", "watchdog"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    warnings = logging.getLogger("py.warnings")
    warnings.filters[:] = [_of_developers]
    structlog.contextvars.bind_contextvars(process=process)


def _of_developers(record: logging.LogRecord) -> bool:
    """What a library will drop one day is for who develops with it: kept, but not told to whoever runs us."""
    if "DeprecationWarning: " in record.getMessage():
        record.levelno, record.levelname = logging.INFO, "INFO"
    return True


def get_logger(name: str) -> FilteringBoundLogger:
    """A logger whose first argument is an event name and whose keywords are its keys."""
    logger: FilteringBoundLogger = structlog.get_logger(name)
    return logger
