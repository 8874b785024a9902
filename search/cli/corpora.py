"""Commands about corpora and unlabelled speech: corpus demo, corpus widen, pretrain."""

from pathlib import Path
from typing import Annotated

import typer

from search.cli.shared_arguments import open_console
from search.cluster.machine import usable_cpus


def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the new corpus.")],
    *,
    speech: Annotated[
        Path | None,
        typer.Option(
            "--speech",
            metavar="DIR",
            help="Folder of your own recordings of speech.",
            show_default="recordings of Debian's packages",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed; equal seeds make equal corpora.")] = 0,
) -> int:
    """Make a small corpus of bona fide and spoofed speech."""
    from core.demo import build_demo_corpus

    build_demo_corpus(folder, speech=speech, seed=seed, workers=usable_cpus(), report=print)
    return 0


def widen(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="Folder or file of the corpus.")],
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of the copies and of corpus.csv, which lists all utterances.")
    ],
    copies: Annotated[
        list[str],
        typer.Argument(metavar="COPY", help="Kinds of copies, for example world_coded griffin_lim rawboost mulaw."),
    ],
    *,
    layout: Annotated[str, typer.Option("--layout", metavar="NAME", help="Layout of the corpus.")] = "asvspoof2019_la",
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed of the random copies.")] = 0,
    workers: Annotated[
        int,
        typer.Option("--workers", metavar="N", help="Number of processes.", show_default="the CPUs that it may use"),
    ] = usable_cpus(),
) -> int:
    """Make further training utterances: vocoded, distorted and coded copies."""
    from core import table
    from core.corpora.copies import widen as write_copies
    from core.corpora.layouts import CORPORA

    opened = table.build("--layout", CORPORA, table.Block(layout), corpus)
    made = write_copies(opened, folder, copies, seed=seed, workers=workers, report=print)
    print(f"in a search space: corpus: {{layout: csv, path: {made}}}; experiment: widen: [{', '.join(copies)}]")
    return 0


def pretrain(
    config: Annotated[
        Path,
        typer.Argument(metavar="CONFIG", help="YAML file of the pretraining, for example spaces/pretrain/small.yaml."),
    ],
    *,
    changes: Annotated[
        list[str],
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a value of the YAML file, for example speech=/data/speech. May be repeated.",
            default_factory=list,
            show_default="the file as it is",
        ),
    ],
) -> int:
    """Train wav2vec on speech without labels; the result is a front end."""
    from search.pretrain import read_pretraining, run_pretraining

    plan = read_pretraining(config, changes)
    print(f"wav2vec ({plan.options.size}) on {len(plan.files)} recordings, in {plan.output}", flush=True)
    path = run_pretraining(plan, open_console())
    print(f"TensorBoard: tensorboard --logdir {plan.output / 'tensorboard'}")
    print(f"in a search space: front_end: {{name: wav2vec, checkpoint: {path}}}")
    return 0
