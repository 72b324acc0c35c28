"""The command line: every command, its options and its help, and which part of the product does it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from kernel import logs
from kernel.errors import UserError
from movers.invocation import command_settings, process_settings, run_command
from movers.options import ForOption, JsonFlag, PortOption, ReportOption, VerboseFlag, duration_s
from movers.pairs import commands as pairs
from movers.running import running
from movers.settings import load
from processors.registry import PROCESSORS

app = typer.Typer(
    name="movers",
    help="Which prediction-market probabilities are moving, how much, over which window, and whether it is real.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
sink_app = typer.Typer(help="Store what the topics carry.", no_args_is_help=True)
topics_app = typer.Typer(help="Manage the topics.", no_args_is_help=True)
schemas_app = typer.Typer(help="Manage the schemas.", no_args_is_help=True)
alerts_app = typer.Typer(help="Follow the alerts.", no_args_is_help=True)
app.add_typer(sink_app, name="sink")
app.add_typer(topics_app, name="topics")
app.add_typer(schemas_app, name="schemas")
app.add_typer(alerts_app, name="alerts")
app.add_typer(pairs.app, name="pairs")


@app.command(epilog="Example: movers demo --markets 500 --speed 120")
def demo(
    markets: Annotated[int, typer.Option(help="Markets on the house tape.")] = 500,
    seed: Annotated[int, typer.Option(help="Seed of the house tape.")] = 1,
    since: Annotated[str, typer.Option(help="How far in the past the tape starts, e.g. 2h or 45m.")] = "2h",
    speed: Annotated[float, typer.Option(help="How much faster than real time until the present is reached.")] = 120.0,
    tape: Annotated[Path | None, typer.Option(help="Play this tape instead of the house tape.")] = None,
    lockstep: Annotated[
        bool, typer.Option("--lockstep", help="The tape waits for each full sweep, so that none misses a moment.")
    ] = False,
    truth: Annotated[Path | None, typer.Option(help="Write the jumps put into the house tape here.")] = None,
    run_for: ForOption = None,
    report: ReportOption = None,
    port: PortOption = None,
    verbose: VerboseFlag = False,
) -> None:
    """Run everything on this machine with simulated venues."""
    from simulator.options import open_tape, options

    arguments = ["--seed", str(seed), "--markets", str(markets), "--since", since, "--speed", str(speed)]
    if tape is not None:
        arguments = ["--tape", str(tape), "--speed", str(speed)]
    arguments += ["--lockstep"] if lockstep else []
    arguments += ["--truth", str(truth)] if truth is not None else []
    # A wrong argument or an unreadable tape is said now, not by a process that dies later.
    open_tape(options(["--port", "0", *arguments]))
    overrides = {"COLLECTOR_HOT_MARKETS": "0", "COLLECTOR_MIN_PAUSE_S": "0"} if lockstep else {}
    _run_stack("demo", arguments, run_for, report, port, verbose, overrides)


@app.command(epilog="Example: movers up --for 3600 --report hour.json")
def up(
    run_for: ForOption = None, report: ReportOption = None, port: PortOption = None, verbose: VerboseFlag = False
) -> None:
    """Run everything on this machine with the live venues."""
    _run_stack("up", None, run_for, report, port, verbose, {})


@app.command(
    epilog="Example: movers simulate --port 18090 --markets 100 --speed 60",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def simulate(context: typer.Context) -> None:
    """Serve simulated venues, or `simulate convert` a recording to a tape."""
    from simulator import convert, server

    logs.configure(command_settings().process.log_level, process="simulator")
    if context.args[:1] == ["convert"]:
        raise typer.Exit(convert.main(context.args[1:]))
    raise typer.Exit(server.main(context.args))


@app.command(epilog="Example: movers produce polymarket --shard 2/4")
def produce(
    venue: Annotated[str, typer.Argument(help="polymarket or kalshi")],
    category: Annotated[
        str, typer.Option(help="Only the markets of these of our categories, separated by commas.")
    ] = "",
    shard: Annotated[str, typer.Option(metavar="N/OF", help="Only one of so many equal parts, e.g. 2/4.")] = "",
) -> None:
    """Collect one venue's markets and prices, or a part of them beside other such processes."""
    from producers.registry import VENUES
    from producers.runner import run
    from producers.shards import Shard

    if venue not in VENUES:
        raise UserError(f"unknown venue {venue}; known: {', '.join(VENUES)}")
    part = Shard.parse(venue, category, shard)
    run(process_settings(f"produce-{part.name}"), part)


@app.command(epilog="Example: movers record kalshi monday.raw.gz --since 1h")
def record(
    venue: Annotated[str, typer.Argument(help="polymarket or kalshi")],
    tape: Annotated[Path, typer.Argument(help="File to write.")],
    since: Annotated[str, typer.Option(metavar="1h", help="From so long ago on; 0s: from now.")] = "0s",
    for_: Annotated[str, typer.Option("--for", metavar="60s", help="Go on for so long from now.")] = "0s",
) -> None:
    """Write what a venue said to a tape, out of its raw topic."""
    from movers.tapes import record

    typer.echo(
        record(command_settings(), venue, tape, duration_s("--since", since), duration_s("--for", for_)), err=True
    )


@app.command(epilog="Example: movers replay monday.raw.gz --speed 60 > events.jsonl")
def replay(
    tape: Annotated[Path, typer.Argument(help="File that `movers record` wrote.")],
    speed: Annotated[float, typer.Option(help="Times as fast as it was; 0: as fast as it goes.")] = 0.0,
    publish: Annotated[bool, typer.Option("--publish", help="To Kafka, not as JSON lines to the output.")] = False,
) -> None:
    """Make the events of a tape again, by the code that made them first."""
    from movers.tapes import replay

    typer.echo(replay(command_settings(), tape, speed, publish=publish, write=typer.echo), err=True)


@app.command(epilog="Example: movers process analytics")
def process(name: Annotated[str, typer.Argument(metavar="APP", help=", ".join(PROCESSORS))]) -> None:
    """Run one stream processor."""
    from processors.registry import load as find

    processor, settings = find(name), process_settings(f"process-{name}")
    from processors.quix import run  # what this imports warns, so the log is set up before

    run(processor, settings)


@app.command("compile", epilog="Example: movers compile")
def compile_hot_parts() -> None:
    """Compile the analytics and the hot codecs, where a C compiler is."""
    from movers import compiling

    typer.echo(f"compiled to {compiling.build()}")


@sink_app.command("clickhouse", epilog="Example: movers sink clickhouse")
def sink_clickhouse() -> None:
    """Write markets, ticks, bars, moves and alerts to ClickHouse."""
    from sinks.clickhouse.sink import run

    run(process_settings("sink-clickhouse"))


@app.command(epilog="Example: movers dashboard --port 8501")
def dashboard(port: PortOption = None) -> None:
    """Serve the dashboard."""
    from dashboard import launch
    from movers.supervisor import child_environment

    tree = command_settings(_dashboard_port(port))
    command = [sys.executable, *launch.argv(tree)]
    os.execve(sys.executable, command, child_environment(tree.overrides))  # noqa: S606  ourselves, with our own arguments


@app.command("hash-password", epilog="Example: movers hash-password < password.txt")
def hash_password() -> None:
    """Turn a password for the dashboard into what DASHBOARD_PASSWORD_HASH wants; asks for it, or reads a line."""
    from dashboard import login

    if sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\n")
    typer.echo(login.hash_password(password))


@app.command(epilog="Example: movers migrate")
def migrate() -> None:
    """Bring ClickHouse's tables up to date."""
    from sinks.clickhouse.migrate import migrate as apply

    applied = apply(command_settings().clickhouse)
    typer.echo(f"applied {', '.join(applied)}" if applied else "nothing to apply")


@topics_app.command("create", epilog="Example: movers topics create")
def topics_create() -> None:
    """Create the topics that are missing."""
    from kernel.kafka.topics import create_topics

    made = create_topics(command_settings().kafka)
    typer.echo(f"created {', '.join(made)}" if made else "all topics exist")


@topics_app.command("former", epilog="Example: movers topics former --delete")
def topics_former(
    delete: Annotated[bool, typer.Option("--delete", help="Delete them, but for those in use.")] = False,
) -> None:
    """Show the changelogs of earlier logs and versions, which no processor uses."""
    kafka = command_settings().kafka
    from movers.former_topics import show  # what this imports warns, so logs are set up before

    show(kafka, delete=delete, write=typer.echo)


@schemas_app.command("register", epilog="Example: movers schemas register")
def schemas_register() -> None:
    """Register the schemas of all topics."""
    from kernel.schema_registry import SchemaRegistry
    from schemas.topics import CATALOGUE

    ids = SchemaRegistry.of(command_settings().kafka).register(CATALOGUE)
    for subject, number in ids.items():
        typer.echo(f"{subject}\t{number}")


@app.command(epilog="Example: movers top --window 15m --limit 20 --json")
def top(
    window: Annotated[str, typer.Option(help="5m, 15m, 1h or 24h.")] = "5m",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Rows.")] = 20,
    as_json: JsonFlag = False,
) -> None:
    """Show the top movers now."""
    from movers import console

    console.print_rows(console.top_movers(command_settings(), window, limit), as_json=as_json)


@alerts_app.command("tail", epilog="Example: movers alerts tail --json | jq .title")
def alerts_tail(
    as_json: JsonFlag = False,
    from_start: Annotated[bool, typer.Option("--from-start", help="Also the alerts already there.")] = False,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many.")] = None,
) -> None:
    """Print alerts as they come."""
    from movers import console

    console.tail_alerts(command_settings(), as_json=as_json, from_start=from_start, count=count)


@app.command(epilog="Example: movers backtest --tape week.csv.gz --rules mine.toml --html week.html")
def backtest(
    tape: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Tape, or CSV ts,market,price[,bid,ask,size_usd]; none: the store."),
    ] = None,
    from_: Annotated[str | None, typer.Option("--from", metavar="TIME", help="First moment that counts.")] = None,
    to: Annotated[str | None, typer.Option(metavar="TIME", help="Last moment.")] = None,
    rules: Annotated[Path | None, typer.Option(metavar="FILE", help="Alert rules, TOML or JSON.")] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Jumps that were there, to score against.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write alerts and summary.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page with charts.")] = None,
    volume: Annotated[float, typer.Option(min=0, help="24 h volume in USD where the tape tells none.")] = 100_000.0,
) -> None:
    """Try the alert rules on a tape, or on what is stored: the same analytics, as fast as it goes."""
    from movers.backtest import page, run, stored, tapes
    from processors.backtest import warm_up_us

    tree, from_us, to_us = command_settings(), run.option_instant(from_, "--from"), run.option_instant(to, "--to")
    if tape is None:
        recording = stored.read(tree.clickhouse, from_us, to_us, warm_up_us(tree.rules.windows))
    else:
        recording = tapes.read(tape, volume)
    options = run.Options(recording=recording, from_us=from_us, to_us=to_us, rules=rules, labels=labels)
    outcome = run.run(tree.rules, options)
    if json_file is not None:
        run.write(outcome, json_file)
    if html_file is not None:
        page.write(outcome, html_file)
    for line in run.lines(outcome):
        typer.echo(line)


@app.command(name="track-record", epilog="Example: movers track-record --json")
def track_record(as_json: JsonFlag = False) -> None:
    """Show how often alerts were right, by rule version, stage and severity."""
    from movers import console, store, track_record

    console.print_rows(track_record.table(store.query(command_settings(), track_record.QUERY)), as_json=as_json)


@app.command(epilog="Example: movers digest --hours 12 --category politics")
def digest(
    hours: Annotated[int, typer.Option(min=1, max=168, help="How many hours, up to the newest tick stored.")] = 24,
    category: Annotated[str, typer.Option(help="Only markets of this category.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Events shown.")] = 20,
    as_json: JsonFlag = False,
) -> None:
    """Tell what moved while nobody looked: confirmed moves, one line an event, and whether that is much."""
    from movers import console
    from movers.digest import stored, text
    from producers.shards import known_category

    told = stored.digest(command_settings(), hours, known_category(category) if category else "")
    if as_json:
        console.print_rows([text.as_object(told)], as_json=True)
        return
    for line in text.lines(told, limit):
        typer.echo(line)


@app.command(epilog='Example: movers sql "SELECT venue, count() FROM snapshots GROUP BY venue"')
def sql(query: Annotated[str, typer.Argument(help="One ClickHouse statement.")], as_json: JsonFlag = False) -> None:
    """Ask ClickHouse."""
    from movers import console, store

    console.print_rows(store.query(command_settings(), query), as_json=as_json)


@app.command(epilog="Example: movers status --json")
def status(as_json: JsonFlag = False) -> None:
    """Show each process of the running stack: health, address, restarts, memory."""
    from movers import console

    state = running(command_settings().process.movers_home)
    if state is None:
        raise UserError("no stack is running here; start one with `movers demo` or `movers up`")
    rows: list[dict[str, Any]] = state["processes"]
    console.print_rows(rows, as_json=as_json)
    disk = state["disk"]
    if disk["room"] != "enough":
        typer.echo(f"disk: {disk['room']}, {disk['free_mib']} MiB free at {disk['folder']}", err=True)
    if disk["room"] != "enough" or not all(row["healthy"] for row in rows):
        raise typer.Exit(1)


@app.command(epilog="Example: movers config --json")
def config(as_json: JsonFlag = False) -> None:
    """Show every setting, its value and what it is for. Secrets are masked."""
    from movers import console
    from movers.settings import groups

    console.print_rows(console.settings_rows(command_settings(), groups()), as_json=as_json)


@app.command(epilog="Example: movers doctor")
def doctor(as_json: JsonFlag = False) -> None:
    """Show in one table what is well, what is not, and the fix; exit 1 when something is wrong."""
    from movers import console
    from movers.doctor import examine

    findings = examine(command_settings())
    rows = [
        {"part": each.part, "state": "well" if each.well else "NOT WELL", "found": each.found, "fix": each.fix}
        for each in findings
    ]
    console.print_rows(rows, as_json=as_json)
    if not all(each.well for each in findings):
        raise typer.Exit(1)


def _run_stack(
    profile: str,
    simulator_args: list[str] | None,
    run_for_s: float | None,
    report: Path | None,
    port: int | None,
    verbose: bool,
    overrides: dict[str, str],
) -> None:
    from movers.stack import StackOptions, run
    from processors.rules_file import rules_in_force

    if run_for_s is not None and run_for_s <= 0:
        raise UserError("--for wants a positive number of seconds")
    tree = load({**overrides, **_dashboard_port(port)})
    rules_in_force(tree.rules)
    logs.configure(tree.process.log_level if verbose else "warning", process="supervisor")
    options = StackOptions(
        profile=profile,
        simulator_args=simulator_args,
        run_for_s=run_for_s,
        report_path=report,
        verbose=verbose,
    )
    raise typer.Exit(run(tree, options, lambda text: typer.echo(text, err=True)))


def _dashboard_port(port: int | None) -> dict[str, str]:
    return {} if port is None else {"DASHBOARD_PORT": str(port)}


def main() -> None:
    """Entry point of the console script."""
    run_command(app)


__all__ = ["app", "main"]
