// The softphone's ends on the audio thread: a microphone that makes 20 ms frames of 8 kHz mu-law out of any sample rate, and an
// earpiece that plays such frames at any sample rate out of a short buffer.
"use strict";

const RATE = 8000;
const FRAME = 160; // samples, and bytes: 20 ms
const BIAS = 132;
const CLIP = 32635;
const CROSSINGS = 24; // zero crossings of the filter on either side, at 8 kHz: 3 ms of delay
const CUTOFF = 3600; // Hz; from 3900 Hz on nothing is left that would come back as another tone
const PHASES = 256; // positions between two samples that the filter is made for
const KAISER = 6.2; // about -63 dB in the stop band
const START_MS = 50; // what is kept back before playing begins: browsers deliver no smoother than that
const MOST_MS = 240; // more than that is late, and would stay late
const NEWS_MS = 100;

function muLaw(sample) {
  let value = Math.max(-CLIP, Math.min(CLIP, Math.round(sample * 32768)));
  const sign = value < 0 ? 0x80 : 0;
  value = Math.abs(value) + BIAS;
  let exponent = 7;
  for (let mask = 0x4000; exponent > 0 && !(value & mask); mask >>= 1) exponent -= 1;
  return ~(sign | (exponent << 4) | ((value >> (exponent + 3)) & 0x0f)) & 0xff;
}

const LINEAR = Float32Array.from({ length: 256 }, (_, byte) => {
  const code = ~byte & 0xff;
  const value = ((((code & 0x0f) << 3) + BIAS) << ((code & 0x70) >> 4)) - BIAS;
  return (code & 0x80 ? -value : value) / 32768;
});

function bessel(x) {
  let sum = 1;
  for (let term = 1, k = 1; k < 30; k += 1) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

// A windowed sinc, by how far a sample lies from the moment that is asked for. width: samples on either side; cutoff: of the
// sample rate. One row of 2 * width taps for each phase.
function kernel(width, cutoff) {
  const rows = [];
  for (let phase = 0; phase <= PHASES; phase += 1) {
    const row = new Float32Array(2 * width);
    let sum = 0;
    for (let tap = 0; tap < row.length; tap += 1) {
      const at = tap - width + 1 - phase / PHASES;
      const x = 2 * cutoff * at;
      const sinc = x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
      const edge = Math.min(1, Math.abs(at) / width);
      row[tap] = sinc * bessel(KAISER * Math.sqrt(1 - edge * edge));
      sum += row[tap];
    }
    rows.push(row.map((value) => value / sum));
  }
  return rows;
}

// Samples in, samples out at another rate: out[n] is the filtered input at n * from / to.
class Resampler {
  constructor(from, to, cutoff) {
    this.step = from / to;
    this.width = Math.ceil(CROSSINGS * Math.max(1, from / RATE));
    this.rows = kernel(this.width, cutoff / from);
    this.input = new Float32Array(0);
    this.at = 0; // of the next output, in samples of `input`
    this.clear();
  }

  clear() {
    this.input = new Float32Array(this.width);
    this.at = this.width - 1;
  }

  add(samples) {
    const kept = Math.max(0, Math.floor(this.at) - this.width + 1);
    const joined = new Float32Array(this.input.length - kept + samples.length);
    joined.set(this.input.subarray(kept));
    joined.set(samples, this.input.length - kept);
    this.input = joined;
    this.at -= kept;
  }

  // The next output, or null until there is more input.
  next() {
    const whole = Math.floor(this.at);
    const first = whole - this.width + 1;
    if (first + 2 * this.width > this.input.length) return null;
    const row = this.rows[Math.round((this.at - whole) * PHASES)];
    let sum = 0;
    for (let tap = 0; tap < row.length; tap += 1) sum += row[tap] * this.input[first + tap];
    this.at += this.step;
    return sum;
  }
}

class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, RATE, Math.min(CUTOFF, sampleRate * 0.45));
    this.frame = new Uint8Array(FRAME);
    this.filled = 0;
    this.peak = 0;
    this.muted = false;
    this.port.onmessage = ({ data }) => {
      this.muted = data.muted;
    };
  }

  process([input]) {
    if (!input || !input.length) return true;
    let mono = input[0];
    if (input.length > 1) {
      mono = mono.slice();
      for (let n = 0; n < mono.length; n += 1) {
        for (let channel = 1; channel < input.length; channel += 1) mono[n] += input[channel][n];
        mono[n] /= input.length;
      }
    }
    this.resampler.add(mono);
    for (let sample = this.resampler.next(); sample !== null; sample = this.resampler.next()) {
      if (this.muted) sample = 0;
      this.peak = Math.max(this.peak, Math.abs(sample));
      this.frame[this.filled] = muLaw(sample);
      this.filled += 1;
      if (this.filled === FRAME) {
        this.port.postMessage({ frame: this.frame, peak: this.peak }, [this.frame.buffer]);
        this.frame = new Uint8Array(FRAME);
        this.filled = 0;
        this.peak = 0;
      }
    }
    return true;
  }
}

class Earpiece extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(RATE, sampleRate, CUTOFF);
    this.waiting = 0; // samples at 8 kHz that are not in the resampler yet
    this.frames = [];
    this.live = false; // a stream carries audio: silence is then a hole
    this.playing = false;
    this.underruns = 0;
    this.late = 0;
    this.peak = 0;
    this.loudest = 0;
    this.sinceNews = 0;
    this.port.onmessage = ({ data }) => this.hear(data);
  }

  hear(data) {
    if (data.live !== undefined) {
      this.live = data.live;
      return;
    }
    this.frames.push(data.frame);
    this.waiting += data.frame.length;
    while (this.waiting > (MOST_MS * RATE) / 1000 + FRAME) {
      this.waiting -= this.frames.shift().length;
      this.late += 1;
    }
  }

  process(inputs, [output]) {
    const out = output[0];
    if (!this.playing && this.waiting >= (START_MS * RATE) / 1000) this.playing = true;
    for (let n = 0; n < out.length && this.playing; n += 1) {
      let sample = this.resampler.next();
      while (sample === null && this.frames.length) {
        const frame = this.frames.shift();
        this.waiting -= frame.length;
        this.resampler.add(Float32Array.from(frame, (byte) => LINEAR[byte]));
        sample = this.resampler.next();
      }
      if (sample === null) {
        this.playing = false;
        this.underruns += this.live ? 1 : 0;
        break;
      }
      out[n] = sample;
      this.peak = Math.max(this.peak, Math.abs(sample));
    }
    for (let channel = 1; channel < output.length; channel += 1) output[channel].set(out);
    this.sinceNews += out.length;
    if (this.sinceNews >= (NEWS_MS * sampleRate) / 1000) {
      this.loudest = Math.max(this.loudest, this.peak);
      const { peak, underruns, late, loudest } = this;
      this.port.postMessage({ peak, underruns, late, loudest, waitingMs: (this.waiting * 1000) / RATE });
      this.sinceNews = 0;
      this.peak = 0;
    }
    return true;
  }
}

registerProcessor("microphone", Microphone);
registerProcessor("earpiece", Earpiece);
