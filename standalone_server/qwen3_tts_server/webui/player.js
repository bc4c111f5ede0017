// Plays 24 kHz audio as it arrives, several streams at once. Knows nothing about HTTP or the page.
import { BufferPlayer } from "/static/buffers.js";
import { SAMPLE_RATE } from "/static/pcm.js";
import { Resampler } from "/static/resample.js";

// The one audio context of the page. Browsers open it only after a click or a key press.
export async function openAudio() {
  const context = openContext();
  const worklet = Boolean(context.audioWorklet); // only on https:// and on localhost
  if (worklet) await context.audioWorklet.addModule("/static/worklet.js");
  return {
    context,
    kind: worklet ? "worklet" : "buffers",
    player: (onChange) => new Player(context, worklet ? WorkletSink : BufferPlayer, onChange),
  };
}

function openContext() {
  try {
    return new AudioContext({ sampleRate: SAMPLE_RATE });
  } catch {
    return new AudioContext(); // at its own rate: the players resample
  }
}

// When something at this time of the context is heard, on the clock of performance.now().
export function heardAt(context, time) {
  const { contextTime, performanceTime } = context.getOutputTimestamp();
  if (performanceTime > 0) return performanceTime + (time - contextTime) * 1000;
  return performance.now() + (time - context.currentTime + (context.outputLatency || 0)) * 1000;
}

// One stream. `position` (s) meets `pushed` (s) when everything was played; both only grow.
class Player {
  pushed = 0;
  position = 0;
  buffered = 0; // seconds that wait
  underruns = 0;
  running = false;
  recorded = []; // what was rendered, while `record` is on: for tests
  #flushes = new Map();
  #flushed = 0;

  constructor(context, Sink, onChange) {
    this.context = context;
    this.analyser = new AnalyserNode(context, { fftSize: 2048 });
    this.analyser.connect(context.destination);
    this.resampler = context.sampleRate === SAMPLE_RATE ? null : new Resampler(SAMPLE_RATE, context.sampleRate);
    this.onChange = onChange;
    this.sink = new Sink(context, this.analyser, (report) => this.#on(report));
  }

  push(samples) {
    this.pushed += samples.length / SAMPLE_RATE;
    this.buffered += samples.length / SAMPLE_RATE; // until the next report
    this.sink.push(this.resampler ? this.resampler.push(samples) : samples.slice());
  }

  // Whether more of this utterance is to come, so that running dry is a gap.
  expect(more) {
    if (!more && this.resampler) this.sink.push(this.resampler.end());
    this.sink.expect(more);
  }

  // Drops what has not been played; resolves with when the last sound of it is heard (ms).
  flush() {
    this.resampler?.reset();
    this.buffered = 0;
    const id = ++this.#flushed;
    const flushed = new Promise((resolve) => this.#flushes.set(id, resolve));
    this.sink.flush(id);
    return flushed;
  }

  record(on) {
    this.sink.record(on);
  }

  close() {
    this.sink.close();
    this.analyser.disconnect();
  }

  #on({ position, buffered, underruns, running, at, recorded, flushed, heard }) {
    if (recorded) this.recorded.push(recorded);
    const rate = this.context.sampleRate;
    Object.assign(this, { position: position / rate, buffered: buffered / rate, underruns, running, at });
    for (const id of flushed ?? []) {
      this.#flushes.get(id)(heardAt(this.context, heard));
      this.#flushes.delete(id);
    }
    this.onChange(this);
  }
}

class WorkletSink {
  constructor(context, output, report) {
    this.node = new AudioWorkletNode(context, "player", { numberOfInputs: 0, outputChannelCount: [1] });
    this.node.connect(output);
    this.node.port.onmessage = ({ data }) => report(data);
  }

  push(samples) {
    if (samples.length) this.node.port.postMessage({ samples }, [samples.buffer]);
  }

  expect(more) {
    this.node.port.postMessage({ expecting: more });
  }

  flush(id) {
    this.node.port.postMessage({ flush: id });
  }

  record(on) {
    this.node.port.postMessage({ record: on });
  }

  close() {
    this.node.disconnect();
    this.node.port.close();
  }
}
