"""Text-to-speech engines for the sentences below: SVOX Pico, and espeak-ng and flite if they are installed."""

import io
import json
import os
import subprocess
import sys

import numpy as np
import soundfile

from core.audio import SAMPLE_RATE
from core.vocoders.material import Material, median_f0
from core.vocoders.signal_chain import Waveform, resampled

SENTENCES = {
    "en": (
        "The kettle is on.",
        "Where did you put it?",
        "Nobody saw the fox.",
        "We leave at half past six.",
        "My brother keeps bees on the roof.",
        "Please close the window before it rains.",
        "The last bus to the harbour was full again.",
        "She painted the door green and forgot the handle.",
        "A small dog slept under the table until noon.",
        "If the bridge is closed, take the road along the river.",
        "He counted the spoons twice and still found one too many.",
        "Our neighbour plays the trumpet every evening, and he does not play it well.",
        "Thirty years ago this square was a field, and children flew their kites here.",
        "When the lights went out, the whole theatre laughed and the actors went on in the dark.",
        "I would rather walk for an hour in the snow than wait ten minutes in that office.",
    ),
    "fr": (
        "Il pleut encore.",
        "Le chat dort au soleil.",
        "Où sont passées mes clés ?",
        "Nous dînons tard ce soir.",
        "Ma tante habite près de la gare.",
        "Le boulanger a fermé plus tôt que prévu.",
        "Il faut arroser les tomates avant midi.",
        "Les enfants ont construit une cabane au fond du jardin.",
        "Je cherche un livre que j'ai lu il y a très longtemps.",
        "Quand la neige fondra, la route du col sera enfin ouverte.",
        "Elle a gardé toutes ses lettres dans une vieille boîte à chaussures.",
        "Si tu passes au marché demain, prends des poires et un morceau de fromage.",
    ),
    "de": (
        "Das Wasser kocht.",
        "Wer hat geklingelt?",
        "Der Garten ist voller Schnee.",
        "Morgen fahren wir an den See.",
        "Mein Onkel repariert alte Uhren.",
        "Die Suppe schmeckt heute besonders gut.",
        "Er hat seinen Schirm wieder im Zug vergessen.",
        "Auf dem Dach sitzt seit Tagen derselbe Vogel.",
        "Wenn es dunkel wird, stellen wir eine Kerze ins Fenster.",
        "Die Nachbarin hat uns drei Gläser Marmelade vor die Tür gestellt.",
        "Seit die Mühle steht, kommt jeden Sonntag jemand und fragt nach dem Weg.",
    ),
    "it": (
        "Il treno parte adesso.",
        "Chi ha spento la luce?",
        "La finestra guarda sul cortile.",
        "Domani andiamo a cercare funghi.",
        "Il nonno racconta sempre la stessa storia.",
        "Abbiamo perso la strada vicino al vecchio mulino.",
        "La barca bianca è rimasta nel porto tutto l'inverno.",
        "Se trovi il mio cappello, lascialo sulla sedia della cucina.",
        "Dopo cena suonavano la fisarmonica e tutti ballavano sotto il portico.",
        "Quando ero piccolo credevo che le nuvole nascessero dal camino del fornaio.",
    ),
    "es": (
        "Ya es muy tarde.",
        "El perro no quiere salir.",
        "Mañana pintamos la cocina.",
        "Mi prima vive en una isla pequeña.",
        "Compré dos naranjas y un ramo de flores.",
        "La puerta del patio se abre con dificultad.",
        "Nadie recuerda quién plantó aquel árbol tan grande.",
        "En verano dormíamos en la terraza y contábamos las estrellas.",
        "El cartero dejó un paquete enorme, pero no tenía ningún nombre escrito.",
        "Cuando vuelvas del mercado, pasa por la panadería y trae una barra de pan.",
    ),
}
_CHARACTERS_A_SECOND = 17.0  # speaking rate of the voices below at speed 1

# Language -> Pico's voices and their median F0 in Hz.
PICO_VOICES = {
    "en": (("en-GB", 174.0), ("en-US", 168.0)),
    "fr": (("fr-FR", 189.0),),
    "de": (("de-DE", 166.0),),
    "it": (("it-IT", 176.0),),
    "es": (("es-ES", 197.0),),
}
_PICO = """
import json, sys
from py_nanotts import NanoTTS
sys.stdout.buffer.write(NanoTTS().speak(**json.load(sys.stdin)))
"""


def sentence(duration_s: float, rng: np.random.Generator, languages: tuple[str, ...]) -> tuple[str, str, float]:
    """A random sentence of about the given duration, its language, and its speed (0.8 to 1.25, 1 = normal).

    Args:
        duration_s: Duration, s.
        rng: Random generator.
        languages: Keys of SENTENCES to choose from.
    """
    sentences = [(text, language) for language in languages for text in SENTENCES[language]]
    n_characters = duration_s * _CHARACTERS_A_SECOND
    closest = sorted(sentences, key=lambda candidate: abs(np.log(len(candidate[0]) / n_characters)))[:10]
    text, language = closest[rng.integers(len(closest))]
    return text, language, float(np.clip(len(text) / n_characters, 0.8, 1.25))


def pico(material: Material, rng: np.random.Generator) -> Waveform:
    """A sentence in one of SVOX Pico's six voices, with its pitch shifted towards that of the claimed speaker.

    Pico reads uninitialised memory, so that two calls would differ. Every sentence therefore has its own process, whose
    allocator fills all blocks with the same byte (glibc's MALLOC_PERTURB_). The same sentence then gives the same
    samples.
    """
    text, language, speed = sentence(len(material.target) / SAMPLE_RATE, rng, tuple(PICO_VOICES))
    voice, f0 = PICO_VOICES[language][rng.integers(len(PICO_VOICES[language]))]
    pitch = float(np.clip(median_f0(material.target) / f0, 0.65, 1.5))
    request = {"text": text, "voice": voice, "speed": speed, "pitch": pitch, "volume": 0.4}
    environment = {**os.environ, "MALLOC_PERTURB_": "255"}
    command = [sys.executable, "-I", "-c", _PICO]
    output = subprocess.run(
        command, input=json.dumps(request).encode(), env=environment, capture_output=True, check=True
    )
    return np.frombuffer(output.stdout, np.int16) / 32768.0


def espeak_ng(material: Material, rng: np.random.Generator) -> Waveform:
    """A sentence from the formant synthesizer espeak-ng."""
    text, language, speed = sentence(len(material.target) / SAMPLE_RATE, rng, tuple(SENTENCES))
    pitch = str(rng.integers(25, 75))
    return _spoken(["espeak-ng", "--stdout", "-v", language, "-s", str(round(165 * speed)), "-p", pitch, text])


def flite(material: Material, rng: np.random.Generator) -> Waveform:
    """An English sentence from flite's statistical voice `slt`."""
    text, _, speed = sentence(len(material.target) / SAMPLE_RATE, rng, ("en",))
    return _spoken(
        ["flite", "-voice", "slt", "--setf", f"duration_stretch={1 / speed:.3f}", "-t", text, "-o", "/dev/stdout"]
    )


def _spoken(command: list[str]) -> Waveform:
    """Waveform `(time,)`, 16 kHz, of a program that writes a WAV file to its standard output."""
    output = subprocess.run(command, capture_output=True, check=True).stdout
    waveform, rate = soundfile.read(io.BytesIO(output))
    return resampled(waveform, rate, SAMPLE_RATE)
