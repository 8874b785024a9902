"""The command `front-ends`: what every front end needs, and whether it can be used here. It needs no torch."""

from search.cli.shared_arguments import open_console


def front_ends() -> int:
    """List the front ends: what each needs, its size, and whether it can be used here.

    The rows `transformers` and `whisper` take any model of their kind; the table shows some.
    """
    from rich.table import Table

    from core.catalogue.front_ends import CATALOGUE

    table = Table(box=None, pad_edge=False)
    columns = ("front end", "model", "needs", "ready here", "parameters", "features", "frames/s", "layers", "licence")
    for column in columns:
        number = column in ("parameters", "features", "frames/s")
        table.add_column(column, no_wrap=column in ("front end", "model"), justify="right" if number else "left")
    for entry in CATALOGUE:
        table.add_row(
            entry.row,
            entry.model or "-",
            entry.needs,
            entry.ready(entry.model),
            f"{entry.parameters / 1e6:,.1f} M" if entry.parameters else "-",
            f"{entry.n_features:,}",
            "one in all" if entry.frames_per_second is None else f"{entry.frames_per_second:g}",
            entry.layers,
            entry.licence,
        )
    open_console().print(table)
    return 0
