// The softphone's sound: microphone, earpiece, the ringing that a caller hears, and a voice for what the carrier only has as text.
"use strict";

class PhoneSound {
  // worklet: URL of worklet.js. heard(frame, peak): 20 ms of the microphone. played(news): levels and underruns of the earpiece.
  constructor(worklet, heard, played) {
    this.worklet = worklet;
    this.heard = heard;
    this.played = played;
    this.context = null;
    this.stream = null;
    this.ringing = null;
  }

  // Begin to play; from a click, as browsers want it. Throws what the browser says if there is no audio at all.
  async open() {
    this.context = new AudioContext({ latencyHint: "interactive" });
    await this.context.resume();
    await this.context.audioWorklet.addModule(this.worklet);
    this.earpiece = new AudioWorkletNode(this.context, "earpiece", { numberOfInputs: 0, outputChannelCount: [1] });
    this.earpiece.port.onmessage = ({ data }) => this.played(data);
    this.earpiece.connect(this.context.destination);
  }

  // Begin to listen. clean: let the browser take echo and noise away. Throws an Error whose message a person understands.
  async listen(clean) {
    if (!navigator.mediaDevices) {
      throw new Error("This browser gives a microphone only to https pages and to localhost.");
    }
    const audio = { channelCount: 1, echoCancellation: clean, noiseSuppression: clean, autoGainControl: clean };
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio });
    } catch (wrong) {
      const why = { NotAllowedError: "the browser was not allowed to use it", NotFoundError: "there is none" }[wrong.name];
      throw new Error(`No microphone: ${why || wrong.message}.`);
    }
    this.microphone = new AudioWorkletNode(this.context, "microphone", { numberOfOutputs: 0 });
    this.microphone.port.onmessage = ({ data }) => this.heard(data.frame, data.peak);
    this.context.createMediaStreamSource(this.stream).connect(this.microphone);
  }

  play(buffer) {
    const frame = new Uint8Array(buffer);
    this.earpiece.port.postMessage({ frame }, [frame.buffer]);
  }

  live(live) {
    this.earpiece.port.postMessage({ live });
  }

  mute(muted) {
    if (this.microphone) this.microphone.port.postMessage({ muted });
  }

  // North American ringing: 440 and 480 Hz, two seconds on, four off.
  ring(on) {
    if (!on === !this.ringing || !this.context) return;
    if (!on) {
      for (const tone of this.ringing) tone.stop();
      this.ringing = null;
      return;
    }
    const gain = new GainNode(this.context, { gain: 0 });
    gain.connect(this.context.destination);
    const now = this.context.currentTime;
    for (let at = 0; at < 120; at += 6) {
      gain.gain.setTargetAtTime(0.06, now + at, 0.01);
      gain.gain.setTargetAtTime(0, now + at + 2, 0.01);
    }
    this.ringing = [440, 480].map((frequency) => {
      const tone = new OscillatorNode(this.context, { frequency });
      tone.connect(gain);
      tone.start();
      return tone;
    });
  }

  // Read a text out, if this machine has a voice of its own: others would send it to somebody.
  read(text) {
    const synthesis = window.speechSynthesis;
    const voice = synthesis && synthesis.getVoices().find((one) => one.localService && one.lang.startsWith("en"));
    if (!voice) return;
    const words = new SpeechSynthesisUtterance(text);
    words.voice = voice;
    synthesis.speak(words);
  }

  async close() {
    this.ring(false);
    if (window.speechSynthesis) window.speechSynthesis.cancel();
    if (this.stream) for (const track of this.stream.getTracks()) track.stop();
    if (this.context && this.context.state !== "closed") await this.context.close();
  }
}
