"""Where a command's output goes: text for people, JSON lines for scripts, both or neither."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Output:
    """The output of a command.

    Attributes:
        console: Console for text: stdout, or stderr if stdout has JSON lines. It is silent with `--quiet`.
        verbose: Whether text shows every epoch and whole configurations.
        emit: Writes an object of `search.runs.facts` as a line of JSON on stdout; None: no JSON is wanted.
    """

    console: "Console"
    verbose: bool = False
    emit: Callable[[Mapping[str, Any]], None] | None = None

    def say(self, text: str) -> None:
        """Prints a line of text."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    @property
    def one_line(self) -> bool:
        """Whether a row of a table takes one line: on a terminal, unless whole configurations are wanted."""
        return self.console.is_terminal and not self.verbose
