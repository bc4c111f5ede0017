// Plays 24 kHz PCM as it arrives. Knows nothing about HTTP or the page.

export const SAMPLE_RATE = 24000;

// Bytes of 16-bit little-endian PCM in, Float32 samples out. A read may end in the middle of a
// sample: its first byte is kept for the next one, or everything after it would be noise.
export class PcmDecoder {
  #odd = null;

  push(bytes) {
    if (this.#odd !== null) {
      const joined = new Uint8Array(bytes.length + 1);
      joined[0] = this.#odd;
      joined.set(bytes, 1);
      bytes = joined;
    }
    this.#odd = bytes.length % 2 ? bytes[bytes.length - 1] : null;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const samples = new Float32Array(bytes.length >> 1);
    for (let i = 0; i < samples.length; i++) samples[i] = view.getInt16(2 * i, true) / 32768;
    return samples;
  }
}

// An AudioWorklet where the browser has one; it does only on https:// and on localhost.
export async function openPlayer(onChange) {
  const context = new AudioContext({ sampleRate: SAMPLE_RATE });
  if (context.audioWorklet && context.sampleRate === SAMPLE_RATE) {
    await context.audioWorklet.addModule("/static/worklet.js");
    return new WorkletPlayer(context, onChange);
  }
  return new BufferPlayer(context, onChange);
}

class WorkletPlayer {
  kind = "worklet";
  state = { played: 0, buffered: 0, underruns: 0 };
  recorded = [];

  constructor(context, onChange) {
    this.context = context;
    this.node = new AudioWorkletNode(context, "player", { numberOfInputs: 0, outputChannelCount: [1] });
    this.node.connect(context.destination);
    this.node.port.onmessage = ({ data }) => {
      const { recorded, ...state } = data;
      if (recorded) this.recorded.push(recorded);
      this.state = state;
      onChange(state);
    };
  }

  push(samples) {
    this.state.buffered += samples.length; // until the next report
    this.node.port.postMessage({ samples }, [samples.buffer]);
  }

  expect(more) {
    this.node.port.postMessage({ expecting: more });
  }

  flush() {
    this.node.port.postMessage({ flush: true });
  }

  record(on) {
    this.node.port.postMessage({ record: on });
  }
}

// Each chunk becomes a source node that starts where the last one ends. Exact while chunks come
// in time; a late one is counted as an underrun and starts after a short refill.
class BufferPlayer {
  kind = "buffers";
  state = { played: 0, buffered: 0, underruns: 0 };
  #sources = new Set();
  #end = 0;
  #expecting = false;

  constructor(context, onChange) {
    this.context = context;
    this.onChange = onChange;
    setInterval(() => this.#report({}), 100);
  }

  push(samples) {
    const now = this.context.currentTime;
    const first = !this.#sources.size;
    if (this.#end < now) {
      if (this.#expecting && this.#end > 0) this.state.underruns += 1;
      this.#end = now + (this.#end > 0 && this.#expecting ? 0.1 : 0.02);
    }
    const buffer = this.context.createBuffer(1, samples.length, SAMPLE_RATE);
    buffer.copyToChannel(samples, 0);
    const source = new AudioBufferSourceNode(this.context, { buffer });
    source.connect(this.context.destination);
    source.onended = () => {
      this.#sources.delete(source);
      this.state.played += samples.length;
      this.#report({});
    };
    source.start(this.#end);
    this.#sources.add(source);
    this.#end += samples.length / SAMPLE_RATE;
    if (first) this.#report({ started: true });
  }

  expect(more) {
    if (more && !this.#expecting) this.#end = 0;
    this.#expecting = more;
  }

  flush() {
    for (const source of this.#sources) {
      source.onended = null;
      source.stop();
    }
    this.#sources.clear();
    this.#end = 0;
    this.#expecting = false;
    this.#report({ flushed: true });
  }

  #report(extra) {
    this.state.buffered = Math.max(0, (this.#end - this.context.currentTime) * SAMPLE_RATE);
    this.onChange({ ...this.state, ...extra });
  }
}
