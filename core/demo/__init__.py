"""The quickstart corpus: real recordings, spoofed copies of them, in the layout of ASVspoof 2019 LA.

`sources` fetches the recordings, `chain` is the one treatment that both classes get, `engines` and `text_to_speech` make
the spoofed speech, `build` plans and writes the corpus. A new attack is one function and one line in `engines.ATTACKS`.
"""

from core.demo.build import Summary, build_demo_corpus

__all__ = ["Summary", "build_demo_corpus"]
