"""A corpus that joins several corpora of any layout: their partitions, with names that stay apart."""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from core import table
from core.corpora.corpus import PARTITIONS, Corpus, Line, Reader
from core.corpora.protocol_files import existing_folder
from core.errors import InputError
from core.table import Block

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def joined(path: Path, *, corpora: Sequence[Any] = ()) -> Corpus:
    """Corpus that joins several corpora. A partition has the utterances of all that have such a partition.

    Utterances, speakers, attacks and sources are named `<name>/<their name>`, so that equal names of two corpora stay
    apart. Kinds of attacks keep their names. The name of the corpus is kept, for folds of corpora.

    Args:
        path: Folder to which the paths of the corpora are relative.
        corpora: Mappings with name, layout, path, and the options of the layout.

    Raises:
        InputError: A corpus is described wrongly, has the name of another one, or does not exist.
    """
    root = existing_folder(path)
    if not corpora:
        raise InputError("corpora: joined needs a list of corpora, such as [{name: a, layout: csv, path: a.csv}]")
    members: dict[str, Corpus] = {}
    problems: list[str] = []
    for number, entry in enumerate(corpora):
        where = f"corpora[{number}]"
        try:
            name, member = _member(root, entry, where)
        except InputError as error:
            problems += error.problems
            continue
        if name in members:
            problems.append(f"{where}.name: {name!r} is the name of an earlier corpus")
        members[name] = member
    if problems:
        raise InputError(problems)

    def reader(partition: str) -> Reader:
        def lines() -> Iterator[Line | str]:
            for name, member in members.items():
                if partition in member.partitions():
                    yield from (_renamed(line, name) for line in member.lines(partition))

        return lines

    there = {partition for member in members.values() for partition in member.partitions()}
    readers = {partition: reader(partition) for partition in PARTITIONS if partition in there}
    return Corpus(f"joined {'+'.join(members)}", root, readers)


def _member(root: Path, entry: object, where: str) -> tuple[str, Corpus]:
    from core.corpora.layouts import CORPORA  # the table has this module's row, too

    if not isinstance(entry, Mapping):
        raise InputError(f"{where}: {entry!r}; it must be a mapping with name, layout and path")
    name, layout, path = (entry.get(key) for key in ("name", "layout", "path"))
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InputError(f"{where}.name is {name!r}; it must be letters, digits, '.', '_' or '-'")
    if not isinstance(path, str):
        raise InputError(f"{where}.path is {path!r}; it must be a folder or file")
    options = {key: value for key, value in entry.items() if key not in ("name", "layout", "path")}
    member: Corpus = table.build(f"{where}.layout", CORPORA, Block(str(layout), options), root / path)
    return name, member


def _renamed(line: Line | str, name: str) -> Line | str:
    if isinstance(line, str):
        return line

    def own(word: str) -> str:
        return word if word == "-" else f"{name}/{word}"

    return dataclasses.replace(
        line,
        utterance_id=f"{name}/{line.utterance_id}",
        speaker_id=own(line.speaker_id),
        attack_id=own(line.attack_id),
        source=own(line.source),
        corpus=name if line.corpus == "-" else f"{name}/{line.corpus}",
    )
