"""The exceptions that a user can do something about: wrong input, and what is not available now."""

from collections.abc import Iterable
from typing import NamedTuple


class Problem(NamedTuple):
    """One thing that is wrong with what a user wrote.

    Attributes:
        path: Keys and indices from the top of the mapping that was read to the place; empty = the whole of it.
        text: What is wrong there, and what is valid.
    """

    path: tuple[str | int, ...]
    text: str

    def within(self, *keys: str | int) -> "Problem":
        """The same problem as seen from further up: `keys` lead to the mapping that was read."""
        return Problem((*keys, *self.path), self.text)


class InputError(ValueError):
    """Something that the user wrote or supplied is wrong; every problem is listed, one line each.

    The command line prints `problems` and exits with 2 and without a traceback. Each line names the file, line or key,
    what was found there and what is valid.

    Attributes:
        located: The problems with the key where each lies, where that is known.
        problems: Their texts.
    """

    def __init__(self, problems: str | Problem | Iterable[str | Problem]) -> None:
        listed = [problems] if isinstance(problems, str | Problem) else problems
        self.located = tuple(item if isinstance(item, Problem) else Problem((), item) for item in listed)
        self.problems: tuple[str, ...] = tuple(problem.text for problem in self.located)
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type["InputError"], tuple[tuple[Problem, ...]]]:
        return type(self), (self.located,)  # keeps the problems when raised in another process


class Unavailable(InputError):
    """Something outside is not there now and may be later: a storage, a cluster, a run that another process holds.

    Nothing that the user wrote is wrong, so that the same command may succeed later. The command line exits with 1.
    """


class TrainingDiverged(ArithmeticError):
    """The loss or an embedding is no longer finite: these hyperparameters cannot be trained."""


def problems_of(error: ValueError) -> tuple[Problem, ...]:
    """The problems of an error with their keys; the whole text of one that is no `InputError`."""
    return error.located if isinstance(error, InputError) else (Problem((), str(error)),)
