// Records a microphone as it is: no codec, no gain, no noise gate, at the rate of the device.
import { wavFile } from "/static/pcm.js";

const LONGEST = 30; // seconds; what is longer makes no better voice

// Browsers open microphones on https:// and on localhost only.
export const canRecord = () => Boolean(isSecureContext && navigator.mediaDevices);

export class Recorder {
  #chunks = [];
  #samples = 0;

  // `onLevel(peak, seconds)` while it records; `onFull()` when it has all that it takes.
  constructor(onLevel, onFull) {
    Object.assign(this, { onLevel, onFull });
  }

  async start() {
    const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    this.stream = await navigator.mediaDevices.getUserMedia({ audio: plain });
    this.context = new AudioContext(); // of its own: the rate must be that of the device
    await this.context.audioWorklet.addModule("/static/worklet.js");
    this.node = new AudioWorkletNode(this.context, "capture", { numberOfOutputs: 0 });
    this.node.port.onmessage = ({ data }) => this.#take(data);
    this.context.createMediaStreamSource(this.stream).connect(this.node);
  }

  #take(samples) {
    this.#chunks.push(samples);
    this.#samples += samples.length;
    const seconds = this.#samples / this.context.sampleRate;
    this.onLevel(samples.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0), seconds);
    if (seconds >= LONGEST) this.onFull();
  }

  // Resolves with the recording as a WAV file; the microphone is off.
  async stop() {
    this.node.port.onmessage = null;
    for (const track of this.stream.getTracks()) track.stop();
    const { sampleRate } = this.context;
    await this.context.close();
    return wavFile(this.#chunks, sampleRate);
  }
}
