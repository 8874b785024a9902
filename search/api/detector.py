"""A detector that scores recordings and arrays."""

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from core.errors import InputError
from search.api.recordings import sources_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from core.bundle import Heard, Scorer


class Score(float):
    """The CM score of a recording, a number: higher = more bona fide.

    Attributes:
        recording: Path of the recording; of an array `array 0`, with its place in the batch.
        llr: Log-likelihood ratio (natural logarithm), positive = bona fide is more likely; None: the bundle has no
            calibration.
        bona_fide: Whether the score reaches the threshold of the bundle.
        duration_s: Duration that was scored, s.
        in_segments: Whether it is made of the scores of segments, as that of a long recording.
        warnings: What is suspect about the recording, and how it differs from the utterances of the training.
    """

    recording: str
    llr: float | None
    bona_fide: bool
    duration_s: float
    in_segments: bool
    warnings: tuple[str, ...]


class Segment(NamedTuple):
    """A segment of a recording.

    Attributes:
        begin_s: Its begin, s.
        end_s: Its end, s.
        score: Its CM score.
        llr: Its log-likelihood ratio; None: the bundle has no calibration.
        bona_fide: Whether the score reaches the threshold of the bundle.
    """

    begin_s: float
    end_s: float
    score: float
    llr: float | None
    bona_fide: bool


class Detector:
    """A detector from a bundle. A recording is a path, or an array with its sample rate.

    An array is a waveform `(time,)`, or channels in either order: of two sides, the longer one is time. It may be of
    NumPy or PyTorch, on any device; its channels are averaged and its sample rate is converted, as of files. A pair
    (array, sample rate), which `soundfile.read` returns, stands for an array as well.

    Attributes:
        path: Folder of the bundle.
        threshold: CM score from which on speech counts as bona fide: that of the equal error rate on dev.
        metrics: Metrics by partition, such as `metrics["dev"]["eer"]`; rates are fractions.
        card: The model card, in Markdown.
    """

    def __init__(self, scorer: "Scorer", path: Path) -> None:
        """A detector of the bundle in a folder; `load` makes one."""
        from core.bundle import CARD
        from core.bundle.unlike import texts_of

        self.path = path
        self.threshold = scorer.bundle.threshold
        self.metrics: Mapping[str, Any] = scorer.bundle.metrics
        self.card = (path / CARD).read_text(encoding="utf-8") if (path / CARD).exists() else ""
        self._scorer = scorer
        self._texts = texts_of(scorer.bundle, scorer.listening)

    def score(self, recording: Any, *, sample_rate: int | None = None) -> Score:
        """The CM score of one recording. What is suspect about it is also a Python warning.

        Args:
            recording: Path, array, or pair (array, sample rate).
            sample_rate: Samples per second of an array.

        Raises:
            InputError: The recording cannot be used; the message says why.
        """
        (score,) = self.score_batch([recording], sample_rate=sample_rate)
        if isinstance(score, InputError):
            raise score
        for text in score.warnings:
            warnings.warn(text, stacklevel=2)
        return score

    def score_batch(self, recordings: Iterable[Any], *, sample_rate: int | None = None) -> list[Score | InputError]:
        """CM scores of recordings, in their order; an error where a recording cannot be used. The others are scored.

        Windows of many recordings pass through the detector together, and threads decode ahead.

        Args:
            recordings: Paths, arrays, or pairs (array, sample rate).
            sample_rate: Samples per second of arrays.

        Raises:
            InputError: An array has no sample rate, or is no waveform. All such arrays are named, and none is scored.
        """
        # The recording that is decoded ahead is not the one that comes next: messages begin with the name.
        messages: list[str] = []
        scores: list[Score | InputError] = []
        for heard in self._scorer.hear(sources_of(recordings, sample_rate), warn=messages.append):
            own = tuple(text for text in messages if text.startswith(f"{heard.path}:"))
            messages = [text for text in messages if text not in own]
            scores.append(heard.result if isinstance(heard.result, InputError) else self._scored(heard, own))
        return scores

    def segments(self, recording: Any, *, sample_rate: int | None = None) -> list[Segment]:
        """Scores over time: those of overlapping segments, in the order of time; arguments as for `score`.

        Raises:
            InputError: The recording cannot be used.
        """
        heard = self._heard(recording, sample_rate)
        rows = zip(heard.begins_s.tolist(), heard.ends_s.tolist(), heard.segment_scores.tolist(), strict=True)
        return [Segment(begin, end, score, self.llr(score), self.is_bona_fide(score)) for begin, end, score in rows]

    def plot(self, recording: Any, *, sample_rate: int | None = None) -> "Figure":
        """A picture of a recording over time: waveform, decisions and scores; arguments as for `score`.

        Raises:
            InputError: The recording cannot be used.
        """
        from search.report.segments import describe_segments, plot_segments

        heard = self._heard(recording, sample_rate, envelope=True)
        rule = self._scorer.listening.rule.plain()
        return plot_segments(heard, describe_segments(heard, threshold=self.threshold, calibration=None, rule=rule))

    def embedding(self, recording: Any, *, sample_rate: int | None = None) -> "NDArray[Any]":
        """The embedding `(embedding_dim,)` that the classifier scores, float32; arguments as for `score`.

        Of a long recording, it is the mean over the segments.

        Raises:
            InputError: The recording cannot be used, or the detector has no embeddings.
        """
        (source,) = sources_of([recording], sample_rate)
        return self._scorer.embedding(source)

    def is_bona_fide(self, score: float) -> bool:
        """Whether a CM score counts as bona fide."""
        return score >= self.threshold

    def llr(self, score: float) -> float | None:
        """The log-likelihood ratio of a CM score, calibrated on dev; None: the bundle has no calibration."""
        calibration = self._scorer.bundle.calibration
        return None if calibration is None else float(calibration.llr(score))

    def threshold_for(self, *, p_spoof: float, cost_miss: float = 1.0, cost_false_alarm: float = 10.0) -> float:
        """The CM score from which on accepting has the lower expected cost. Assign it to `threshold` to decide by it.

        Args:
            p_spoof: Prior probability of spoofed speech, in (0, 1).
            cost_miss: Cost of rejecting bona fide speech.
            cost_false_alarm: Cost of accepting spoofed speech.

        Raises:
            InputError: The bundle has no calibration, or a value is out of range.
        """
        from core.evaluation.detection_cost import DetectionCosts

        calibration = self._scorer.bundle.calibration
        if calibration is None:
            raise InputError(f"{self.path}: has no calibration to log-likelihood ratios; export the trial again")
        try:
            return calibration.threshold(DetectionCosts(p_spoof, cost_miss, cost_false_alarm))
        except ValueError as error:
            raise InputError(str(error)) from error

    def _heard(self, recording: Any, sample_rate: int | None, *, envelope: bool = False) -> "Heard":
        """A recording with the scores of its segments."""
        (heard,) = self._scorer.hear(sources_of([recording], sample_rate), segments=True, envelope=envelope)
        if isinstance(heard.result, InputError):
            raise heard.result
        return heard

    def _scored(self, heard: "Heard", messages: tuple[str, ...]) -> Score:
        from core.bundle.unlike import notes_on

        assert not isinstance(heard.result, InputError)
        score = Score(heard.result)
        score.recording, score.duration_s, score.in_segments = str(heard.path), heard.duration_s, heard.in_segments
        score.llr, score.bona_fide = self.llr(heard.result), self.is_bona_fide(heard.result)
        score.warnings = (*messages, *notes_on(heard, self._texts))
        return score


def load(
    bundle: str | Path,
    *,
    device: str = "cpu",
    weights: str | Path | None = None,
    rule: Literal["quantile", "mean"] = "quantile",
    fraction: float = 0.1,
    longer_than_s: float | None = None,
    window_s: float | None = None,
    step: float = 0.5,
) -> Detector:
    """The detector of a bundle, on a device. Loading runs no code from the bundle.

    The options are those of `spooftune score`.

    Args:
        bundle: Folder of the bundle.
        device: `cpu`, `cuda`, `cuda:1`, ...
        weights: File or folder of the pretrained weights of the front end; None: where they were at the export.
        rule: How the scores of the segments of a long recording become one.
        fraction: With the rule `quantile`: the score that this fraction of the segments do not exceed.
        longer_than_s: Longer recordings are scored in segments; None: than the longest utterance of the search.
        window_s: Duration of a segment, s; None: that of the windows of the training.
        step: Distance between segments, as a fraction of a segment.

    Raises:
        InputError: The folder is not a bundle, the weights are missing or differ, the device is not here, or an option
            is out of range.
    """
    from core import bundle as bundles
    from core.table import Block

    try:
        listening = bundles.Listening(
            Block(rule, {"fraction": fraction} if rule == "quantile" else {}), longer_than_s, window_s, step
        )
    except InputError:
        raise
    except ValueError as error:
        raise InputError(str(error)) from error
    folder, weights_at = Path(bundle), Path(weights) if weights is not None else None
    loaded = bundles.load(folder, weights_at)
    scorer = bundles.Scorer(loaded, listening=listening, device=device, weights_at=weights_at)
    return Detector(scorer, folder)
