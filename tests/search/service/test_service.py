"""The HTTP service: scores of the command line, limits, and requests that mean harm."""

import io
import threading
import time

import numpy as np
import pytest
import soundfile
from fastapi.testclient import TestClient

from core import bundle
from core.errors import InputError
from core.evaluation.calibration import Calibration
from search.service.answers import Answers, TooSlow
from search.service.app import service
from search.service.limits import Access, Limits, access_of
from tests.bundles import export

TOKEN = "0123456789abcdef"
HERE = "http://127.0.0.1:8000"
LOCAL = access_of("127.0.0.1", None)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return export(tmp_path_factory.mktemp("bundle") / "b", calibration=Calibration(2.0, 1.0))


@pytest.fixture(scope="module")
def scorer(exported):
    return bundle.Scorer(bundle.load(exported))


def client_of(scorer, access=LOCAL, **limits):
    answers = Answers(scorer, threshold=scorer.bundle.threshold, limits=Limits(**limits))
    app = service(answers, card="# Card", limits=Limits(**limits), access=access)
    return TestClient(app, base_url=HERE, raise_server_exceptions=False)


@pytest.fixture(scope="module")
def client(scorer):
    return client_of(scorer)


def audio(seconds=0.6, rate=16000, channels=1, form="WAV"):
    file = io.BytesIO()
    samples = np.random.default_rng(0).normal(size=(int(rate * seconds), channels)) * 0.1
    soundfile.write(file, samples, rate, format=form)
    return file.getvalue()


def error_of(response, status):
    """The sentence of an error, which is the whole answer."""
    assert (response.status_code, list(response.json())) == (status, ["error"])
    assert "\n" not in response.json()["error"]
    assert "/tmp" not in response.json()["error"]
    return response.json()["error"]


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_a_form_and_a_body_have_the_score_of_the_file(client, scorer, tmp_path, form):
    data = audio(0.7, 44100, 2, form)
    path = tmp_path / "a.x"
    path.write_bytes(data)
    ((_, expected),) = bundle.score(scorer.bundle, [path])
    of_form = client.post("/score", files={"file": ("../é a.wav", data)})
    of_body = client.post("/score", content=data, headers={"Content-Type": "audio/wav"})
    assert of_form.status_code == of_body.status_code == 200
    answer = of_form.json()
    assert answer["recording"] == "é a.wav"
    assert (answer["score"], answer["llr"]) == (expected, pytest.approx(2 * expected + 1))
    assert answer["decision"] == ("bonafide" if expected >= scorer.bundle.threshold else "spoof")
    assert answer["warnings"] == ["é a.wav (0.7 s): scored as in the search, whose windows leave parts of it out"]
    assert not answer["in_segments"]
    assert "segments" not in answer
    assert of_body.json()["score"] == expected


def test_a_long_recording_is_heard_whole_and_has_scores_over_time(client):
    answer = client.post("/score?segments=true", files={"file": ("long.wav", audio(110))}).json()
    assert answer["in_segments"]
    assert answer["duration_s"] == pytest.approx(110)
    assert answer["warnings"][0].startswith("long.wav (110.0 s): longer than the longest utterance")
    assert (answer["segments"][0]["begin_s"], answer["segments"][-1]["end_s"]) == (0, 110)
    assert answer["score"] == pytest.approx(np.quantile([part["score"] for part in answer["segments"]], 0.1))
    assert (answer["stretches"][0]["begin_s"], answer["stretches"][-1]["end_s"]) == (0, 110)


@pytest.mark.parametrize(
    ("request_of", "status", "words"),
    [
        ({"content": b""}, 400, "the recording is empty"),
        ({"files": {"file": ("a.wav", b"")}}, 400, "the recording is empty"),
        ({"data": {"file": "words"}, "files": {}}, 422, "cannot be decoded"),
        ({"content": b"words"}, 422, "recording: cannot be decoded"),
        ({"files": {"file": ("a.wav", b"RIFF" + b"\0" * 60)}}, 422, "a.wav: cannot be decoded"),
        ({"content": audio()[:40]}, 422, "recording: "),
        ({"content": audio(0.05)}, 422, "is too short"),
        ({"content": audio(0.6, 500)}, 422, "its sample rate is 500 Hz"),
        ({"content": audio(3)}, 422, "lasts 3.0 s; at most 2 s are accepted"),
        ({"content": audio(1.5, 8000, 60)}, 422, "too many channels or samples"),
        ({"content": b"\0" * 3_000_000}, 413, "at most 2,000,000 bytes"),
        ({"content": (b"\0" * 500_000 for _ in range(20))}, 413, "at most 2,000,000 bytes"),
        ({"files": {"file": ("a.wav", b"\0" * 3_000_000)}}, 413, "at most 2,000,000 bytes"),
        ({"files": [("file", ("a", b"1")), ("file", ("b", b"2"))]}, 400, "Too many files"),
        ({"content": b"--x\r\n", "headers": {"Content-Type": "multipart/form-data"}}, 400, "boundary"),
        (
            {"content": b"words", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
            400,
            "",
        ),
        ({"content": audio(), "params": {"segments": "perhaps"}}, 400, "query.segments"),
        ({"content": audio(), "headers": {"Host": "evil.example"}}, 400, "not called evil.example"),
        ({"content": audio(), "headers": {"Host": "[::1"}}, 400, "not called"),
    ],
)
def test_requests_that_cannot_be_answered(scorer, monkeypatch, request_of, status, words):
    # Many channels are a small file only if they are compressed: the bound on samples is lowered instead.
    monkeypatch.setattr("search.service.limits.USUAL_CHANNELS", 1)
    client = client_of(scorer, max_bytes=2_000_000, max_seconds=2)
    assert words in error_of(client.post("/score", **request_of), status)


def test_paths_and_methods_that_are_not_there(client):
    error_of(client.get("/nowhere"), 404)
    error_of(client.get("/score"), 405)
    assert client.get("/page/../app.py").status_code == 404


def test_a_fault_of_ours_is_an_error_too(scorer, monkeypatch):
    monkeypatch.setattr(Answers, "of", lambda *_, **__: 1 / 0)
    assert error_of(client_of(scorer).post("/score", content=audio()), 500) == "the service failed; its log says why"


def test_a_token_is_asked_for_before_the_body(scorer):
    client = client_of(scorer, Access(TOKEN))
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
        response = client.post("/score", content=audio(), headers=headers)
        assert "Authorization: Bearer TOKEN" in error_of(response, 401)
        assert response.headers["WWW-Authenticate"] == "Bearer"
        error_of(client.get("/bundle", headers=headers), 401)
    right = {"Authorization": f"Bearer {TOKEN}"}
    # A service with a token may stand behind a name.
    assert client.post("/score", content=audio(), headers={**right, "Host": "scores.example"}).status_code == 200
    assert client.get("/bundle", headers=right).status_code == 200
    assert client.get("/health").json() == {"status": "ok"}


def test_the_places_are_limited_and_become_free_again(scorer, monkeypatch):
    client, begun, released = client_of(scorer, concurrent=1), threading.Event(), threading.Event()
    original = Answers.of

    def waiting(self, *arguments, **options):
        begun.set()
        assert released.wait(30)
        return original(self, *arguments, **options)

    monkeypatch.setattr(Answers, "of", waiting)
    codes = []
    first = threading.Thread(target=lambda: codes.append(client.post("/score", content=audio()).status_code))
    first.start()
    assert begun.wait(30)
    refused = client.post("/score", content=audio())
    assert "1 other requests" in error_of(refused, 503)
    assert refused.headers["Retry-After"] == "1"
    released.set()
    first.join()
    assert codes == [200]
    error_of(client.post("/score", content=b"words"), 422)
    until = time.monotonic() + 30
    while client.post("/score", content=audio()).status_code == 503:  # the place is free once the thread has ended
        assert time.monotonic() < until


def test_what_takes_too_long_is_given_up(scorer, monkeypatch):
    ended = threading.Event()

    def slow(self, path, *, name, segments, given_up):
        assert given_up.wait(30)
        ended.set()

    monkeypatch.setattr(Answers, "of", slow)
    client = client_of(scorer, timeout_s=0.1)
    assert "longer than 0.1 s" in error_of(client.post("/score", content=audio()), 504)
    assert ended.wait(30)


def test_scoring_ends_once_nobody_waits(scorer, tmp_path, monkeypatch):
    monkeypatch.setattr("core.bundle.hearing.PORTION_SAMPLES", 16000)
    (tmp_path / "a.wav").write_bytes(audio(20))
    given_up = threading.Event()
    given_up.set()
    with pytest.raises(TooSlow):
        Answers(scorer, threshold=0.0, limits=Limits()).of(
            tmp_path / "a.wav", name="a", segments=False, given_up=given_up
        )


def test_the_bundle_and_the_page(client, scorer):
    about = client.get("/bundle").json()
    assert (about["card"], about["threshold"]) == ("# Card", scorer.bundle.threshold)
    assert about["calibration"] == {"slope": 2.0, "offset": 1.0}
    assert about["limits"]["max_seconds"] == 600
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) == {"/score", "/health", "/bundle"}
    body = described["paths"]["/score"]["post"]["requestBody"]["content"]
    assert set(body) == {"multipart/form-data", "audio/*"}
    page = client.get("/")
    assert str(page.url) == f"{HERE}/docs"
    for name in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert f"/page/{name}" in page.text
        assert len(client.get(f"/page/{name}").content) > 100_000
    assert "https://" not in page.text  # it works without internet access


def test_other_machines_need_a_token(tmp_path):
    assert access_of("127.0.0.1", None).token is None
    assert access_of("::1", None).hosts >= {"::1", "localhost"}
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert access_of("0.0.0.0", tmp_path / "token") == Access(TOKEN)
    for host in ("0.0.0.0", "::", "10.0.0.1", "example.org"):
        with pytest.raises(InputError, match=f"--host {host}: .* --token-file"):
            access_of(host, None)
    for text, words in (("short", "at least 16"), ("two words of a token", "without blanks"), ("é" * 20, "cannot be")):
        (tmp_path / "token").write_text(text)
        with pytest.raises(InputError, match=words):
            access_of("127.0.0.1", tmp_path / "token")


def test_limits_are_positive():
    with pytest.raises(InputError) as caught:
        Limits(max_bytes=0, timeout_s=float("nan"))
    assert caught.value.problems == ("--max-mb must be above 0", "--timeout must be above 0")
