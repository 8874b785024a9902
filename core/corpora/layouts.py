"""CORPORA: layouts of corpora on disk. A row is a function of a path and its own options that returns a `Corpus`."""

from collections.abc import Callable
from typing import Any

from core.corpora.asvspoof import asvspoof2015, asvspoof2017, asvspoof2019_la
from core.corpora.asvspoof_coded import asvspoof5, asvspoof2021
from core.corpora.generic import folders, from_csv, label_lists, protocols
from core.corpora.joined import joined
from core.corpora.published import add2022, codecfake, fakeavceleb, in_the_wild, mlaad, partialspoof

CORPORA: dict[str, Callable[..., Any]] = {
    "asvspoof2015": asvspoof2015,
    "asvspoof2017": asvspoof2017,
    "asvspoof2019_la": asvspoof2019_la,
    "asvspoof2021": asvspoof2021,
    "asvspoof5": asvspoof5,
    "in_the_wild": in_the_wild,
    "mlaad": mlaad,
    "fakeavceleb": fakeavceleb,
    "codecfake": codecfake,
    "add2022": add2022,
    "partialspoof": partialspoof,
    "protocols": protocols,
    "label_lists": label_lists,
    "folders": folders,
    "csv": from_csv,
    "joined": joined,
}
