// Runs on the audio thread: plays queued samples one after another, counts what the listener would
// hear as a gap, and falls silent when told to. A second processor hands out what a microphone hears.
//
// In:  {samples: Float32Array} | {flush: id} | {expecting: boolean} | {record: boolean}
// Out: {position, buffered, underruns, running, at, recorded?, flushed?, heard?} about ten times a
//      second and on every change. `position` counts samples that were played or dropped, so it
//      meets what was pushed; `at` is the context's time.

// After running dry, wait for this much before going on, and for twice as much each time it happens
// again: without that, a stream that is a little too slow stutters at every chunk.
const REFILL = 0.1; // seconds, the first time
const MAX_REFILL = 0.8;
const FADE = 0.005; // seconds: a cut in the middle of a wave is a click

class PlayerProcessor extends AudioWorkletProcessor {
  constructor() {
    super();
    this.queue = [];
    this.offset = 0; // in the first queued chunk
    this.position = 0;
    this.buffered = 0;
    this.underruns = 0;
    this.expecting = false; // more of this utterance is on its way
    this.running = false;
    this.dry = false; // ran out in the middle of an utterance
    this.refill = REFILL / 2;
    this.record = false;
    this.heard = 0; // when the last sample that was not silence was played
    this.flushing = []; // ids of flushes that were not answered
    this.lastReport = 0;
    this.port.onmessage = ({ data }) => this.receive(data);
  }

  receive(message) {
    if (message.samples) {
      this.queue.push(message.samples);
      this.buffered += message.samples.length;
    } else if ("flush" in message) {
      this.flush(message.flush);
    } else if ("expecting" in message) {
      this.expecting = message.expecting;
      if (!this.expecting) this.refill = REFILL / 2;
    } else {
      this.record = message.record;
    }
  }

  // All but a short fade is dropped; the answer follows when that has been played.
  flush(id) {
    const tail = this.running ? this.take(new Float32Array(Math.round(FADE * sampleRate))) : new Float32Array(0);
    this.position += this.buffered;
    for (let i = 0; i < tail.length; i++) tail[i] *= 1 - (i + 1) / tail.length;
    this.position -= tail.length;
    this.queue = tail.length ? [tail] : [];
    this.buffered = tail.length;
    this.offset = 0;
    this.expecting = this.dry = false;
    this.refill = REFILL / 2;
    this.flushing.push(id);
    if (!tail.length) this.flushed();
  }

  flushed() {
    this.report({ flushed: this.flushing.splice(0), heard: this.heard });
  }

  process(_inputs, [[output]]) {
    // The first chunk of an utterance plays at once; only a refill waits.
    if (!this.running && this.buffered && (!this.dry || !this.expecting || this.buffered >= this.refill * sampleRate)) {
      this.running = true;
      this.report({});
    }
    if (this.running) this.play(output);
    if (currentTime - this.lastReport > 0.1) this.report({});
    return true;
  }

  // Moves samples from the queue to `output`, as many as there are; returns those.
  take(output) {
    let written = 0;
    while (written < output.length && this.queue.length) {
      const chunk = this.queue[0];
      const count = Math.min(output.length - written, chunk.length - this.offset);
      output.set(chunk.subarray(this.offset, this.offset + count), written);
      written += count;
      this.offset += count;
      if (this.offset === chunk.length) {
        this.queue.shift();
        this.offset = 0;
      }
    }
    this.position += written;
    this.buffered -= written;
    return output.subarray(0, written);
  }

  play(output) {
    const played = this.take(output);
    const last = played.findLastIndex((sample) => sample !== 0);
    if (last >= 0) this.heard = currentTime + (last + 1) / sampleRate;
    if (this.record && played.length) this.report({ recorded: played.slice() });
    if (this.flushing.length && !this.buffered) this.flushed();
    if (played.length === output.length) return;
    this.running = false;
    this.dry = this.expecting;
    if (this.dry) {
      this.underruns += 1;
      this.refill = Math.min(2 * this.refill, MAX_REFILL);
    }
    this.report({});
  }

  report(extra) {
    this.lastReport = currentTime;
    const { position, buffered, underruns, running } = this;
    this.port.postMessage({ position, buffered, underruns, running, at: currentTime, ...extra });
  }
}

class CaptureProcessor extends AudioWorkletProcessor {
  process([[input]]) {
    if (input) this.port.postMessage(input.slice());
    return true;
  }
}

registerProcessor("player", PlayerProcessor);
registerProcessor("capture", CaptureProcessor);
