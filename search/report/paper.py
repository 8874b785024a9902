"""The tables of the paper (Xie, Zhang, Yang, Interspeech 2021): EER in per cent on ASVspoof 2019 LA, dev and eval.

If the name of a space is a key of PAPER, the report of its runs has that table, with the paper's figures beside ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from search.space.parameter import Label


@dataclass(frozen=True)
class Cell:
    """One system of a table, with the paper's results.

    Attributes:
        values: Hyperparameter values that identify the system's trials. Trials that differ only in others, such as the
            seed, count together.
        dev: The paper's EER on dev, per cent, as printed; `-` if the paper gives none.
        eval: The paper's EER on eval, likewise.
    """

    values: Mapping[str, Label]
    dev: str
    eval: str


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper.

    Attributes:
        title: Title of the table.
        columns: Heads of the columns of cells; an empty one if there is a single column.
        rows: Label of a row -> its cells, one per column.
    """

    title: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[Cell, ...]]


def _system(name: str, dev: str, eval_: str, **more: Label) -> Cell:
    return Cell({"system": name, **more}, dev, eval_)


def _both(name: str, original: tuple[str, str], siamese: tuple[str, str]) -> tuple[Cell, Cell]:
    return _system(name, *original, mode="original"), _system(name, *siamese, mode="siamese")


PAPER: dict[str, PaperTable] = {
    "paper-table-1": PaperTable(
        "Table 1: backbones on wav2vec features and known single systems",
        ("",),
        {
            "LFCC-GMM": (_system("lfcc-gmm", "11.9", "13.54"),),
            "CQCC-GMM": (_system("cqcc-gmm", "9.87", "11.04"),),
            "LPS-FFT-LCNN": (_system("lps-fft-lcnn", "-", "4.53"),),
            "SENet34+logspec": (_system("senet34-logspec", "-", "9.94"),),
            "DenseNet+logspec": (_system("densenet-logspec", "-", "6.78"),),
            "LC-GRNN+LDA": (_system("lc-grnn-lda", "0.00", "6.28"),),
            "FG-LCNN": (_system("fg-lcnn", "0.002", "4.07"),),
            "wav2vec-LCNN": (_system("wav2vec-lcnn", "0.009", "3.02"),),
            "wav2vec-ResNet18": (_system("wav2vec-resnet18", "0.004", "1.62"),),
            "wav2vec-SENet18": (_system("wav2vec-senet18", "0.003", "1.31"),),
            "wav2vec-SENet34": (_system("wav2vec-senet34", "0.001", "1.21"),),
            "wav2vec-SENet50": (_system("wav2vec-senet50", "0.002", "1.59"),),
        },
    ),
    "paper-table-2": PaperTable(
        "Table 2: the Siamese network and the original one",
        ("Original", "Siamese"),
        {
            "LCNN": _both("wav2vec-lcnn", ("0.009", "3.02"), ("0.006", "2.54")),
            "ResNet18": _both("wav2vec-resnet18", ("0.004", "1.62"), ("0.003", "1.33")),
            "SENet18": _both("wav2vec-senet18", ("0.003", "1.31"), ("0.002", "1.25")),
            "SENet34": _both("wav2vec-senet34", ("0.001", "1.21"), ("0.002", "1.16")),
            "SENet50": _both("wav2vec-senet50", ("0.002", "1.59"), ("0.004", "1.15")),
        },
    ),
    "paper-table-3": PaperTable(
        "Table 3: margins of the contrastive loss, SENet34",
        ("",),
        {
            "Siamese-SENet34_margin_2": (Cell({"loss.margin": 2}, "0.002", "1.16"),),
            "Siamese-SENet34_margin_1": (Cell({"loss.margin": 1}, "0.003", "1.24"),),
            "Siamese-SENet34_margin_0.5": (Cell({"loss.margin": 0.5}, "0.015", "1.42"),),
        },
    ),
}
"""Name of a space -> the table that it reproduces."""
