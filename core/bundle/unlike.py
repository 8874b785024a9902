"""Recordings unlike the utterances on which a detector was measured: what to say of them."""

from core.bundle.files import Bundle
from core.bundle.hearing import Heard
from core.bundle.listening import Listening


def unlike_training(heard: Heard) -> tuple[str, ...]:
    """How a recording differs from the utterances of training: keys of `texts_of`; empty if it does not."""
    kinds = {"long": heard.in_segments, "short": heard.is_short, "gaps": not heard.is_covered}
    return tuple(kind for kind, holds in kinds.items() if holds)


def texts_of(bundle: Bundle, listening: Listening) -> dict[str, str]:
    """What to say of a recording, by the way in which it differs from the utterances of training.

    Args:
        bundle: The bundle.
        listening: How recordings are heard.
    """
    known = bundle.durations
    longest = max((durations.longest for durations in known.values()), default=None)
    options = listening.rule.options
    rule = f"{listening.rule.name}{''.join(f' {value:g}' for value in options.values())}"
    than = f"the longest utterance of the search ({longest:.1f} s)" if longest else "the usual utterance"
    if listening.longer_than_s is not None:
        than = f"{listening.longer_than_s:g} s"
    shortest = f" ({known['train'].shortest:.1f} s)" if "train" in known else ""
    return {
        "long": f"longer than {than}: scored in segments, of which the rule {rule} makes one score",
        "short": f"shorter than all utterances of training{shortest}: the error rates of the bundle do not hold",
        "gaps": "scored as in the search, whose windows leave parts of it out",
    }


def notes_on(heard: Heard, texts: dict[str, str]) -> tuple[str, ...]:
    """Sentences about a recording that differs from the utterances of training, from the texts of `texts_of`."""
    return tuple(f"{heard.path} ({heard.duration_s:.1f} s): {texts[kind]}" for kind in unlike_training(heard))
