"""The quickstart corpus: real recordings, spoofed copies of them, in the layout of ASVspoof 2019 LA.

`sources` finds the recordings, `plan` says what becomes of each, `core.vocoders` and `text_to_speech` make spoofed
speech, `core.vocoders.signal_chain` is the one treatment that both classes get, `render` runs it all in processes,
`build` is the way in.
A new attack is one function and one line in `attacks.ATTACKS`.
"""

from core.demo.build import build_demo_corpus
from core.demo.summary import Summary

__all__ = ["Summary", "build_demo_corpus"]
