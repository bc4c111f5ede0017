// Plays queued samples one after another; counts what the listener would hear as a gap.
// In: {samples: Float32Array} | {flush: true} | {expecting: boolean} | {record: boolean}
// Out: {played, buffered, underruns, started?, recorded?} about ten times a second and on changes.

// After running dry, wait for this much before going on: without it, a stream that is a little
// too slow stutters at every chunk.
const REFILL = 2400; // 100 ms

class PlayerProcessor extends AudioWorkletProcessor {
  constructor() {
    super();
    this.queue = [];
    this.position = 0; // in the first queued chunk
    this.buffered = 0;
    this.played = 0;
    this.underruns = 0;
    this.expecting = false; // more is on its way
    this.running = false;
    this.dry = false; // ran out in the middle of a stream
    this.record = false;
    this.lastReport = 0;
    this.port.onmessage = ({ data }) => this.receive(data);
  }

  receive(message) {
    if (message.samples) {
      this.queue.push(message.samples);
      this.buffered += message.samples.length;
    } else if (message.flush) {
      this.queue = [];
      this.position = this.buffered = 0;
      this.expecting = this.running = this.dry = false;
      this.report({ flushed: true });
    } else if ("expecting" in message) {
      this.expecting = message.expecting;
    } else {
      this.record = message.record;
    }
  }

  process(_inputs, [[output]]) {
    // The first chunk of a stream plays at once; only a refill waits.
    if (!this.running && this.buffered && (!this.dry || !this.expecting || this.buffered >= REFILL)) {
      this.running = true;
      this.report({ started: true });
    }
    if (this.running) this.play(output);
    if (currentTime - this.lastReport > 0.1) this.report({});
    return true;
  }

  play(output) {
    let written = 0;
    while (written < output.length && this.queue.length) {
      const chunk = this.queue[0];
      const count = Math.min(output.length - written, chunk.length - this.position);
      output.set(chunk.subarray(this.position, this.position + count), written);
      written += count;
      this.position += count;
      if (this.position === chunk.length) {
        this.queue.shift();
        this.position = 0;
      }
    }
    this.played += written;
    this.buffered -= written;
    if (this.record && written) this.report({ recorded: output.slice(0, written) });
    if (written === output.length) return;
    this.running = false;
    this.dry = this.expecting;
    if (this.expecting) this.underruns += 1;
    this.report({});
  }

  report(extra) {
    this.lastReport = currentTime;
    this.port.postMessage({ played: this.played, buffered: this.buffered, underruns: this.underruns, ...extra });
  }
}

registerProcessor("player", PlayerProcessor);
