// Plays without an AudioWorklet, which browsers hide on plain HTTP outside localhost: each chunk
// becomes a source node that starts where the last one ends. Exact while chunks come in time; a late
// one is counted as a gap, and what follows it waits for a refill. Reports what worklet.js does.

const START = 0.02; // seconds from a chunk's arrival to its sound: scheduling needs some
const REFILL = 0.1; // after running dry the first time; doubles, see worklet.js
const MAX_REFILL = 0.8;
const FADE = 0.005;

export class BufferPlayer {
  #sources = new Set();
  #held = []; // chunks that wait for the refill
  #end = 0; // context time at which what is scheduled ends
  #done = 0; // samples played or dropped, without the scheduled ones
  #expecting = false;
  #dry = false;
  #refill = REFILL / 2;
  #underruns = 0;

  constructor(context, output, report) {
    this.context = context;
    this.output = output;
    this.report = report;
    this.#open();
    this.timer = setInterval(() => this.#tick(), 50);
  }

  push(samples) {
    if (!samples.length) return;
    this.#notice();
    this.#held.push(samples);
    this.#release();
    this.#say();
  }

  expect(more) {
    this.#notice();
    this.#expecting = more;
    if (more) return;
    this.#refill = REFILL / 2;
    this.#release();
  }

  flush(id) {
    const now = this.context.currentTime;
    const heard = this.#sources.size ? Math.min(this.#end, now + FADE) : now;
    this.gain.gain.setValueAtTime(1, now);
    this.gain.gain.linearRampToValueAtTime(0, now + FADE);
    for (const source of this.#sources) {
      source.onended = null;
      source.stop(now + FADE);
      this.#done += source.buffer.length;
    }
    this.#sources.clear();
    for (const chunk of this.#held) this.#done += chunk.length;
    this.#held = [];
    this.#end = 0;
    this.#expecting = this.#dry = false;
    this.#refill = REFILL / 2;
    this.#open();
    this.#say({ flushed: [id], heard });
  }

  record() {} // nothing here sees what is rendered

  close() {
    clearInterval(this.timer);
    this.gain.disconnect();
  }

  #open() {
    this.gain = new GainNode(this.context);
    this.gain.connect(this.output);
  }

  // Whether the listener has run out of sound in the middle of an utterance since the last look.
  #notice() {
    if (this.#dry || !this.#expecting || !this.#end || this.#end > this.context.currentTime) return;
    this.#dry = true;
    this.#underruns += 1;
    this.#refill = Math.min(2 * this.#refill, MAX_REFILL);
  }

  // Schedules what is held, unless it waits for more.
  #release() {
    const length = this.#held.reduce((sum, chunk) => sum + chunk.length, 0);
    if (this.#dry && this.#expecting && length < this.#refill * this.context.sampleRate) return;
    this.#dry = false;
    for (const chunk of this.#held.splice(0)) this.#schedule(chunk);
  }

  #schedule(samples) {
    const { context } = this;
    const buffer = context.createBuffer(1, samples.length, context.sampleRate);
    buffer.copyToChannel(samples, 0);
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(this.gain);
    source.onended = () => {
      this.#sources.delete(source);
      this.#done += samples.length;
      this.#say();
    };
    if (this.#end < context.currentTime) this.#end = context.currentTime + START;
    source.start(this.#end);
    this.#sources.add(source);
    this.#end += samples.length / context.sampleRate;
  }

  #tick() {
    this.#notice();
    if (this.#sources.size || this.#dry) this.#say();
  }

  #say(extra = {}) {
    const { currentTime, sampleRate } = this.context;
    let scheduled = 0;
    for (const source of this.#sources) scheduled += source.buffer.length;
    const waits = this.#held.reduce((sum, chunk) => sum + chunk.length, 0);
    const ahead = Math.min(scheduled, Math.max(0, Math.round((this.#end - currentTime) * sampleRate)));
    this.report({
      position: this.#done + scheduled - ahead,
      buffered: ahead + waits,
      underruns: this.#underruns,
      running: ahead > 0 && ahead <= scheduled,
      at: currentTime,
      ...extra,
    });
  }
}
