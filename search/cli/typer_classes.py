"""Typer's classes with a fast start, commands in groups, and help texts without markup."""

import inspect
import re
from dataclasses import dataclass
from typing import Any

from typer._coercion import RuntimeParam, TypeDescriptor, build_runtime_param
from typer.core import TyperCommand, TyperGroup


class FastCommand(TyperCommand):
    """A command that converts only words that need it, and whose help writes SPACE where Typer writes {SPACE}."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The arguments and options of the command."""
        return _converting_if_needed(super().get_params(ctx))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Writes the help of every argument and option."""
        rows: dict[str, list[tuple[str, str]]] = {"argument": [], "option": []}
        for param in self.get_params(ctx):
            name, text = param.get_help_record(ctx)
            is_argument = param.param_type_name == "argument"
            text = re.sub(r"\[default: \((.*)\)\]$", r"[default: \1]", text)  # a default in words needs no parentheses
            rows[param.param_type_name].append((param.metavar if is_argument else name, text))
        for heading, known in (("Arguments", rows["argument"]), ("Options", rows["option"])):
            if known:
                with formatter.section(heading):
                    formatter.write_dl(known)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words of the usage line."""
        return [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]


class GroupedCommands(TyperGroup):
    """Commands that the help lists under the headings of their groups."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The options that precede a command."""
        return _converting_if_needed(super().get_params(ctx))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Writes the first line of every command's help, group by group."""
        groups: dict[str, list[tuple[str, str]]] = {}
        width = max(map(len, self.commands))
        for name, command in self.commands.items():
            first_line = inspect.cleandoc(command.help or "").partition("\n")[0]
            heading = str(getattr(command, "rich_help_panel", None))
            groups.setdefault(heading, []).append((name.ljust(width), first_line))
        for heading, rows in groups.items():
            with formatter.section(heading):
                formatter.write_dl(rows)


@dataclass(frozen=True)
class _Conversion(RuntimeParam):
    """Typer's conversion of a word. A value that already has the type stays as it is.

    Typer converts with Pydantic, whose import would take a third of the time of `spooftune list`.
    """

    descriptor: TypeDescriptor

    def _coerce_value(self, value: Any, param: Any, ctx: Any) -> Any:
        if type(value) is self.annotation:
            return value
        return build_runtime_param(self.descriptor).coerce(value, param, ctx)


def _converting_if_needed(params: list[Any]) -> list[Any]:
    for param in params:
        known = param.type_descriptor
        param._runtime_param = _Conversion(known.parameter_info, known.annotation, known)
    return params
