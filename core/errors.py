"""The one exception family for what a user wrote or supplied."""

from collections.abc import Iterable


class InputError(ValueError):
    """Something that the user wrote or supplied is wrong; every problem found is listed, one line each.

    The command line prints `problems` and exits without a traceback. Each line names the file, line or key, what was
    found there and what is valid.
    """

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type["InputError"], tuple[tuple[str, ...]]]:
        return type(self), (self.problems,)  # keeps `problems` when raised in another process


class TrainingDiverged(ArithmeticError):
    """The loss or an embedding is no longer finite: these hyperparameters cannot be trained."""
