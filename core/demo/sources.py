"""Sources of the bona fide recordings: Debian packages, downloaded without root, or a folder of the user."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.corpora.corpus import AUDIO_SUFFIXES, PARTITIONS
from core.errors import InputError

_OWN_SHARE = {"dev": 0.2, "eval": 0.3}
_PSEUDO_SPEAKERS = 6


@dataclass(frozen=True)
class Recording:
    """A file of one speaker, who belongs to one partition."""

    path: Path
    name: str  # as in metadata.csv: Debian package and path inside it, or path below the user's folder
    speaker_id: str
    partition: str


@dataclass(frozen=True)
class Source:
    """Files of one speaker (a glob) in a Debian package, with their licence and credit."""

    package: str
    speaker_id: str
    partition: str
    files: str
    licence: str
    credit: str


@dataclass(frozen=True)
class SourceNote:
    """A source as the corpus's README cites it."""

    name: str
    version: str
    licence: str
    credit: str


# The same person reads English and Spanish, so they are one speaker. The game has two voices, whose file names contain
# `m` (mala, the small fish) or `v` (velka, the big fish).
_PROMPTS, _GAME = "usr/share/asterisk/sounds/*/*.g722", "usr/share/games/fillets-ng/sound/**/*-{}-*.ogg"
_ALTAR = "ALTAR interactive and the Fish Fillets NG team"
SOURCES = (
    Source("asterisk-core-sounds-fr-g722", "fr_1", "train", _PROMPTS, "CC-BY-SA-3.0", "June Wallack"),
    Source("asterisk-core-sounds-it-g722", "it_1", "train", _PROMPTS, "CC-BY-3.0", "Carlo Flora"),
    Source("fillets-ng-data-cs", "cs_1", "train", _GAME.format("m"), "GPL-2", _ALTAR),
    Source("fillets-ng-data-cs", "cs_2", "dev", _GAME.format("v"), "GPL-2", _ALTAR),
    Source("asterisk-core-sounds-ru-g722", "ru_1", "dev", _PROMPTS, "CC-BY-3.0", "Maxim Topal, ivrvoice.ru"),
    Source("fillets-ng-data-nl", "nl_1", "train", _GAME.format("m"), "GPL-2", _ALTAR),
    Source("asterisk-core-sounds-en-g722", "en_es_1", "eval", _PROMPTS, "CC-BY-SA-3.0", "Allison Smith"),
    Source("asterisk-core-sounds-es-g722", "en_es_1", "eval", _PROMPTS, "CC-BY-SA-3.0", "Allison Smith"),
    Source("fillets-ng-data-nl", "nl_2", "eval", _GAME.format("v"), "GPL-2", _ALTAR),
)
_NO_SPEECH = ("beep", "tone", "monkeys", "weasels")  # prompts that are sound effects


def debian_recordings(cache: Path, report: Callable[[str], None]) -> tuple[list[Recording], list[SourceNote]]:
    """Recordings of all `SOURCES`, in order and without sound effects, and a note about every package.

    Args:
        cache: Folder for downloads; packages that it holds are not downloaded again.
        report: Function that receives a line before a download.

    Raises:
        InputError: apt-get is missing, or a package cannot be downloaded.
    """
    folders = unpacked(sorted({source.package for source in SOURCES}), cache, report)
    recordings, notes = [], {}
    for source in SOURCES:
        folder = folders[source.package]
        version = folder.name.split("_")[1]
        notes[source.package] = SourceNote(source.package, version, source.licence, source.credit)
        for path in sorted(folder.glob(source.files)):
            if not any(word in path.stem for word in _NO_SPEECH):
                name = f"{source.package}/{path.relative_to(folder).as_posix()}"
                recordings.append(Recording(path, name, source.speaker_id, source.partition))
    return recordings, list(notes.values())


def unpacked(packages: list[str], cache: Path, report: Callable[[str], None]) -> dict[str, Path]:
    """Package -> folder of its unpacked files, `package_version` in `cache`; missing packages are downloaded with apt.

    Args:
        packages: Names of Debian packages.
        cache: Folder for downloads.
        report: Function that receives a line before a download.

    Raises:
        InputError: apt-get is missing, or a package cannot be downloaded.
    """
    missing = [package for package in packages if not _unpacked_folders(package, cache)]
    if missing:
        if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
            raise InputError(
                "the quickstart recordings come from Debian packages, but this machine has no apt-get; "
                "give a folder of your own speech instead: --speech DIR"
            )
        report(f"downloading {len(missing)} Debian packages of recorded speech (about 130 MB, once)")
        _download(missing, cache)
    for package in missing:
        archive = max(cache.glob(f"{package}_*.deb"), key=lambda path: path.stat().st_mtime)
        folder = cache / "_".join(archive.stem.split("_")[:2])
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        subprocess.run(["dpkg-deb", "-x", str(archive), str(partial)], check=True, capture_output=True)
        partial.rename(folder)
        archive.unlink()
    return {package: _unpacked_folders(package, cache)[-1] for package in packages}


def _unpacked_folders(package: str, cache: Path) -> list[Path]:
    return sorted(path for path in cache.glob(f"{package}_*") if path.is_dir())


def _download(packages: list[str], cache: Path) -> None:
    """Downloads the packages' archives to `cache`, without changing the system's package lists and caches.

    The system's package lists are used if they contain the packages. Otherwise new lists are downloaded to `cache`.

    Raises:
        InputError: A package cannot be downloaded.
    """
    state = (cache / "apt").resolve()
    for folder in ("lists/partial", "archives/partial"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    private = ["-o", f"Dir::Cache={state}", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User="]
    own_lists = [*private, "-o", f"Dir::State::Lists={state / 'lists'}"]

    def apt(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "LC_ALL": "C"}
        command = ["apt-get", "-q", *arguments]
        return subprocess.run(command, cwd=cache, env=environment, capture_output=True, text=True, check=False)

    result = apt(*private, "download", *packages)
    if result.returncode:
        apt(*own_lists, "update")  # its exit status is ignored: a failed list matters only if it has a package
        result = apt(*own_lists, "download", *packages)
    shutil.rmtree(state, ignore_errors=True)
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["apt-get said nothing"])[-1]
        raise InputError(
            f"apt-get could not download {', '.join(packages)}: {last}; "
            "give a folder of your own speech instead: --speech DIR"
        )


def own_recordings(folder: Path, seed: int, report: Callable[[str], None]) -> tuple[list[Recording], list[SourceNote]]:
    """The user's recordings below a folder, sorted, with their speakers divided among the partitions; and one note.

    The first sub-folder of a file names its speaker. With fewer than three speakers, the files are divided among six
    pseudo-speakers at random.

    Args:
        folder: Folder of recordings.
        seed: Seed of the division.
        report: Function that receives a warning if pseudo-speakers are used.

    Raises:
        InputError: The folder does not exist, or has fewer than three recordings.
    """
    if not folder.is_dir():
        raise InputError(f"--speech {folder}: no such folder")
    below = (path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file())
    paths = sorted(path.relative_to(folder) for path in below)
    if len(paths) < len(PARTITIONS):
        raise InputError(f"--speech {folder}: {len(paths)} recordings (wav, flac, ogg) found; a few dozen are needed")
    rng = np.random.default_rng(seed)
    speaker_of = {path: path.parts[0] for path in paths if len(path.parts) > 1}
    if len(set(speaker_of.values())) < len(PARTITIONS):
        report(f"{folder}: fewer than three speaker folders, so files are divided; partitions may share a speaker")
        order = rng.permutation(len(paths))
        speaker_of = {paths[index]: f"own_{place % _PSEUDO_SPEAKERS + 1}" for place, index in enumerate(order)}
    partition_of = _divided(sorted(set(speaker_of.values())), rng)
    recordings = [
        Recording(folder / path, path.as_posix(), _token(name), partition_of[name])
        for path, name in sorted(speaker_of.items())
    ]
    return recordings, [SourceNote(str(folder), "-", "the owner's", "-")]


def _divided(speakers: list[str], rng: np.random.Generator) -> dict[str, str]:
    """Speaker -> partition: a fifth in dev, three tenths in eval, the rest in train; dev and eval have at least one."""
    shuffled = [speakers[index] for index in rng.permutation(len(speakers))]
    n_dev, n_eval = (max(1, round(share * len(speakers))) for share in _OWN_SHARE.values())
    names = ["dev"] * n_dev + ["eval"] * n_eval
    return {speaker: names[place] if place < len(names) else "train" for place, speaker in enumerate(shuffled)}


def _token(name: str) -> str:
    """A speaker's folder name as one word of a protocol line."""
    return "_".join(name.split())
