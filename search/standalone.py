"""Commands that need no run: recordings and score files, pretraining, corpora. As those of `search.commands`."""

import argparse
import json
import sys
from pathlib import Path

from core.errors import InputError


def score(options: argparse.Namespace) -> int:
    """Scores recordings with a bundle."""
    from core import bundle

    loaded = bundle.load(Path(options.bundle))
    failed = 0
    lines = []
    for path, result in bundle.score(loaded, map(Path, options.audio), device=options.device):
        if isinstance(result, InputError):
            failed += 1
            print(f"spooftune: {result}", file=sys.stderr)
            continue
        decision = "bonafide" if result >= loaded.threshold else "spoof"
        line = f"{path}\t{result:.6f}\t{decision}"
        lines.append(line)
        print(line, flush=True)
    if options.output:
        _write_text(Path(options.output), "".join(line + "\n" for line in lines))
    return 1 if failed else 0


def evaluate(options: argparse.Namespace) -> int:
    """Prints the metrics of a score file."""
    from search.evaluate import evaluate
    from search.report import show_evaluation

    other = Path(options.compare) if options.compare else None
    result = evaluate(Path(options.scores), other=other, asv_scores=options.asv_scores, asv_rates=options.asv_rates)
    print(json.dumps(result, indent=2) if options.json else show_evaluation(result))
    return 0


def pretrain(options: argparse.Namespace) -> int:
    """Trains wav2vec."""
    from search.pretrain import read_pretraining, run_pretraining
    from search.report import console

    plan = read_pretraining(Path(options.config), options.set)
    print(f"wav2vec ({plan.options.size}) on {len(plan.files)} recordings, in {plan.output}", flush=True)
    path = run_pretraining(plan, console())
    print(f"watch it: tensorboard --logdir {plan.output / 'tensorboard'}")
    print(f"in a search space: front_end: {{name: wav2vec, checkpoint: {path}}}")
    return 0


def corpus_demo(options: argparse.Namespace) -> int:
    """Makes a small corpus."""
    from core.demo import build_demo_corpus

    speech = Path(options.speech) if options.speech else None
    build_demo_corpus(Path(options.folder), speech=speech, seed=options.seed, report=print)
    return 0


def corpus_widen(options: argparse.Namespace) -> int:
    """Makes further training utterances of a corpus."""
    from core import table
    from core.protocol import CORPORA
    from core.widening import widen

    corpus = table.build("--layout", CORPORA, table.Block(options.layout), Path(options.corpus))
    made = widen(corpus, Path(options.folder), options.copies, seed=options.seed, workers=options.workers, report=print)
    print(f"in a search space: corpus: {{layout: csv, path: {made}}}; experiment: widen: [{', '.join(options.copies)}]")
    return 0


def _write_text(path: Path, text: str) -> None:
    if path.exists():
        raise InputError(f"--output {path}: is there already; nothing of it was touched")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"--output {path}: cannot be written: {error}") from error
