"""One host against two that extract a corpus together: wall time, and whether the stores are the same to the byte.

    sudo .venv/bin/python benchmarks/spread.py

Hosts are namespaces of this machine and extract with one process each, so that two idle cores are needed; the head only
waits. Each time includes the start of the processes that extract.
"""

import argparse
import re
import sys
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.hosts import BIN, hosts  # noqa: E402
from tests.search.conftest import SPACE  # noqa: E402
from tests.speech import make_corpus  # noqa: E402


def measured(n_hosts: int, n_per_class: int, duration_s: float) -> tuple[float, dict[str, str]]:
    """Seconds of the extraction, and the digest of every file of its stores."""
    with hosts(n_hosts) as made:
        made.up()
        corpus = make_corpus(made.shared / "LA", n_per_class=n_per_class, duration_s=duration_s)
        space = made.shared / "space.yaml"
        text = SPACE.replace("CORPUS", str(corpus)).replace("STORAGE", str(made.shared / "storage"))
        space.write_text(text.replace("{name: lfcc, deltas: false}", "cqcc"))
        command = f"RAY_AUTH_MODE=token OMP_NUM_THREADS=1 {BIN}/spooftune extract {space} --address auto"
        printed = made.head.run(command).stdout
        seconds = [float(found) for found in re.findall(r"utterances extracted in ([0-9.]+) s", printed)]
        assert len(seconds) == 2, printed
        stores = made.shared / "storage" / "stores"
        files = {str(each.relative_to(stores)): sha256(each.read_bytes()).hexdigest() for each in _files(stores)}
    return sum(seconds), files


def _files(stores: Path) -> list[Path]:
    return sorted([*stores.rglob("*.arrow"), *stores.rglob("manifest.json")])


def main() -> None:
    """Prints the times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=800, help="of a class and partition")
    parser.add_argument("--seconds", type=float, default=4.0, help="of a clip")
    options = parser.parse_args()
    one, alone = measured(1, options.clips, options.seconds)
    two, together = measured(2, options.clips, options.seconds)
    print(f"one host {one:.1f} s, two hosts {two:.1f} s, ratio {two / one:.2f}; {len(alone)} files")
    print("the same to the byte" if alone == together else "THE STORES DIFFER")


if __name__ == "__main__":
    main()
