"""The quickstart corpus: recorded speech and spoofed speech made from it, in the layout of ASVspoof 2019 LA.

`build` builds the corpus. `sources` lists the recordings and `plan` decides which clips are made from them. The engines
in `core.vocoders` and `text_to_speech` make spoofed speech, and `core.vocoders.signal_chain` processes both classes in
the same way. `render` writes the clips in several processes, and `summary` the protocols and the README. A new attack
is one function and one line in `attacks.ATTACKS`.
"""

from core.demo.build import build_demo_corpus
from core.demo.summary import Summary

__all__ = ["Summary", "build_demo_corpus"]
