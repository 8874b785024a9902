"""Exceptions that a user can act on: wrong input, an unavailable resource, a training that diverged."""

from collections.abc import Iterable
from typing import NamedTuple


class Problem(NamedTuple):
    """One problem in a user's input.

    Attributes:
        path: Keys and indices from the top of the mapping to the place of the problem; empty = the whole mapping.
        text: Description of the problem, and what is valid.
    """

    path: tuple[str | int, ...]
    text: str

    def within(self, *keys: str | int) -> "Problem":
        """The same problem with a path that starts at an outer mapping; `keys` lead from there to the inner one."""
        return Problem((*keys, *self.path), self.text)


class InputError(ValueError):
    """The user's input is wrong. The message lists every problem, one per line.

    The command line prints `problems` without a traceback and exits with 2. Each line names the file, line or key, the
    wrong value and what is valid.

    Attributes:
        located: The problems, with their keys where these are known.
        problems: The texts of the problems.
    """

    def __init__(self, problems: str | Problem | Iterable[str | Problem]) -> None:
        listed = [problems] if isinstance(problems, str | Problem) else problems
        self.located = tuple(item if isinstance(item, Problem) else Problem((), item) for item in listed)
        self.problems: tuple[str, ...] = tuple(problem.text for problem in self.located)
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type["InputError"], tuple[tuple[Problem, ...]]]:
        return type(self), (self.located,)  # keeps the problems when raised in another process


class Unavailable(InputError):
    """A storage or a cluster is not reachable now, or another process holds a run.

    The user's input is correct, so the same command may succeed later. The command line exits with 1.
    """


class TrainingDiverged(ArithmeticError):
    """A loss, an embedding or a score is not finite: training with these hyperparameters fails."""


def problems_of(error: ValueError) -> tuple[Problem, ...]:
    """The problems of an `InputError` with their keys. Any other error is one problem: its whole text."""
    return error.located if isinstance(error, InputError) else (Problem((), str(error)),)
