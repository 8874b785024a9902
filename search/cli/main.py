"""The entry point: the table of commands, exit codes, and messages for errors."""

import functools
import io
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import typer

from core.errors import InputError, Unavailable
from search.cli import (
    bundle_scores,
    corpora,
    front_ends,
    results,
    runs,
    score,
    scores,
    searches,
    segment_scores,
    serve,
    verify,
)
from search.cli.typer_classes import FastCommand, GroupedCommands
from search.runs.interruption import forwarding_sigterm

EXIT_CODES = (
    "Exit codes: 0 done; 1 part of the work failed, or something is not available now; 2 wrong input; 130 interrupted."
)


class Command(NamedTuple):
    """A command, whose signature declares its arguments and whose docstring is its help."""

    function: Callable[..., int]
    group: str
    """Heading in `spooftune --help`."""
    example: str


COMMANDS = {
    "check": Command(searches.check, "Search", "spooftune check spaces/quickstart.yaml --samples 5"),
    "extract": Command(searches.extract, "Search", "spooftune extract spaces/lfcc.yaml --set corpus.path=/data/LA"),
    "launch": Command(searches.launch, "Search", "spooftune launch spaces/quickstart.yaml --name monday"),
    "resume": Command(searches.resume, "Search", "spooftune resume monday --trials 200 --hours 8"),
    "stop": Command(runs.stop, "Search", "spooftune stop monday"),
    "front-ends": Command(front_ends.front_ends, "Search", "spooftune front-ends"),
    "list": Command(runs.list_runs, "Runs", "spooftune list --storage /data/storage"),
    "status": Command(runs.status, "Runs", "spooftune status monday --limit 5"),
    "logs": Command(runs.logs, "Runs", "spooftune logs monday --trial 7"),
    "tensorboard": Command(runs.tensorboard, "Runs", "spooftune tensorboard monday --port 6007"),
    "verify": Command(verify.verify, "Runs", "spooftune verify monday --storage /data/storage"),
    "report": Command(results.report, "Results", "spooftune report monday --top 10 --format markdown"),
    "export": Command(results.export, "Results", "spooftune export monday --rank 2 --output second-best"),
    "score": Command(score.score, "Results", "spooftune score storage/runs/monday/export recording.flac"),
    "evaluate": Command(scores.evaluate, "Results", "spooftune evaluate scores.txt --asv-rates la19-eval"),
    "evaluate-bundle": Command(
        bundle_scores.evaluate_bundle, "Results", "spooftune evaluate-bundle my-bundle /data/itw --layout in_the_wild"
    ),
    "evaluate-segments": Command(
        segment_scores.evaluate_segments, "Results", "spooftune evaluate-segments over-time labels.txt --unit 0.16"
    ),
    "serve": Command(serve.serve, "Results", "spooftune serve storage/runs/monday/export --port 8080"),
    "pretrain": Command(corpora.pretrain, "Corpora", "spooftune pretrain spaces/pretrain/small.yaml"),
}

CORPUS_COMMANDS = {
    "demo": Command(corpora.demo, "Commands", "spooftune corpus demo data/demo"),
    "widen": Command(corpora.widen, "Commands", "spooftune corpus widen /data/LA data/wide world_coded rawboost"),
}
"""The commands below `spooftune corpus`."""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit code. Wrong input gives a message and no traceback.

    Args:
        arguments: The words after `spooftune`; None = those of this process.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # The name of a file need not be text in the terminal's encoding: it is printed as the bytes that it has.
        sys.stdout.reconfigure(errors="surrogateescape")
    try:
        code = typer.main.get_command(app()).main(arguments, prog_name="spooftune", standalone_mode=False)
    except typer.TyperException as error:
        print(f"spooftune: {_usage_problem(error)}", file=sys.stderr)
        return 2
    return int(code or 0)


def app() -> typer.Typer:
    """The command line, built from COMMANDS and CORPUS_COMMANDS."""
    settings = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
    looks: dict[str, Any] = {"cls": GroupedCommands, "rich_markup_mode": None, "invoke_without_command": True}
    built = typer.Typer(
        **looks,
        callback=spooftune,
        epilog=_epilog(COMMANDS["launch"]),
        context_settings=settings,
        pretty_exceptions_enable=False,
    )
    corpus = typer.Typer(**looks, callback=_corpus)
    for within, commands in ((built, COMMANDS), (corpus, CORPUS_COMMANDS)):
        for name, command in commands.items():
            add = within.command(name, cls=FastCommand, epilog=_epilog(command), rich_help_panel=command.group)
            add(_guarded(command.function))
    built.add_typer(corpus, name="corpus", rich_help_panel="Corpora", epilog=EXIT_CODES)
    return built


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"spooftune {version('spooftune')}")
        except PackageNotFoundError:
            print("spooftune (version unknown: it is not installed)")
        raise typer.Exit


def spooftune(
    context: typer.Context,
    *,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_version),
    ] = False,
) -> None:
    """Hyperparameter search for detectors of spoofed speech.

    A search space is a YAML file with fixed values and ranges. `launch` searches it, `report` shows the results, and
    `score` applies the exported detector to recordings. With --cluster, a command runs on a Ray cluster.
    `spooftune COMMAND --help` explains a command.
    """
    _help_alone(context)


def _corpus(context: typer.Context) -> None:
    """Make a demonstration corpus, or further training utterances of a corpus."""
    _help_alone(context)


def _epilog(command: Command) -> str:
    """The text below the help. The control character keeps the lines of the example unwrapped."""
    return f"\b\nExample:\n  {command.example}\n\n{EXIT_CODES}"


def _help_alone(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


def _guarded(command: Callable[..., int]) -> Callable[..., int]:
    """The command with a message and an exit code for wrong input and interrupts, also for SIGTERM."""

    @functools.wraps(command)
    def guarded(**arguments: Any) -> int:
        try:
            with forwarding_sigterm():
                return command(**arguments)
        except InputError as error:
            for problem in error.problems:
                print(f"spooftune: {problem}", file=sys.stderr)
            return 1 if isinstance(error, Unavailable) else 2
        except KeyboardInterrupt as error:
            print(f"spooftune: {str(error) or 'interrupted'}", file=sys.stderr)
            return 130
        except BrokenPipeError:
            # The reader of a pipe has ended: the output is discarded, so that the final flush does not fail.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1

    return guarded


def _usage_problem(error: typer.TyperException) -> str:
    """The mistake in a command line, and the command that shows the help, in one line."""
    message = " ".join(error.format_message().replace("Value error, ", "").split())
    close = getattr(error, "possibilities", None)  # options similar to a mistyped one
    if close:
        message = f"{error.message}. Did you mean {', '.join(map(repr, close))}?"
    context = getattr(error, "ctx", None)
    where = context.command_path if context else "spooftune"
    return f"{message}{'' if message.endswith(('.', '?')) else '.'} See {where} --help"


if __name__ == "__main__":
    sys.exit(main())
