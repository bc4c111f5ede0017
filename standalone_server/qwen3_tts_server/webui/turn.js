// One utterance: what was asked, what came back, and when. Knows neither the network nor the page.
import { SAMPLE_RATE } from "/static/pcm.js";

const AUDIBLE = 0.002; // of full scale; models begin with some milliseconds of near silence
// A server that is this far ahead of the listener may be holding back on purpose: what it takes
// from then on says nothing about how fast it is.
const AHEAD = 1.5; // seconds

export class Turn {
  // waiting: asked; queued: others of this client come first; coming: audio arrives; speaking: it is
  // heard; done, interrupted, failed: over
  state = "waiting";
  ahead = 0; // utterances in front of it when it was accepted
  chunks = [];
  marks = [];
  seconds = 0; // of audio received
  complete = false; // all of it was received
  startsAt = null; // position of its first sample in the player
  firstByte = null; // ms after it was asked
  firstAudio = null; // ms after it was asked: the first sample that can be heard
  rtf = null;
  #silence = null; // seconds before that sample
  #rtfSettled = false;

  constructor({ client, text, voice, language, live }) {
    Object.assign(this, { client, text, voice, language, live });
    this.asked = performance.now();
    this.when = new Date();
    this.abort = new AbortController();
  }

  get over() {
    return ["done", "interrupted", "failed"].includes(this.state);
  }

  end(state) {
    if (!this.over) this.state = state;
  }

  queued(ahead) {
    this.ahead = ahead;
    this.state = ahead ? "queued" : "waiting";
  }

  // Audio that the player puts at `position` (s).
  received(samples, position) {
    const now = performance.now();
    if (this.startsAt === null) {
      this.startsAt = position;
      this.firstByte = now - this.asked;
      this.state = "coming";
    }
    if (this.#silence === null) {
      const index = samples.findIndex((sample) => Math.abs(sample) > AUDIBLE);
      if (index >= 0) this.#silence = this.seconds + index / SAMPLE_RATE;
    }
    this.chunks.push(samples);
    this.seconds += samples.length / SAMPLE_RATE;
    this.#measure(now);
  }

  // Wall time over audio time. A queued turn's clock starts with its first audio.
  #measure(now) {
    if (this.#rtfSettled) return;
    const wall = (now - this.asked - (this.ahead ? this.firstByte : 0)) / 1000;
    this.rtf = wall / this.seconds;
    const listening = (now - this.asked - this.firstByte) / 1000;
    this.#rtfSettled = this.seconds - listening > AHEAD;
  }

  // The player is at `position` (s), which is heard at `heard` (ms, as performance.now()).
  played(position, heard) {
    if (this.over || this.startsAt === null || position < this.startsAt) return;
    if (this.state === "coming") this.state = "speaking";
    if (this.firstAudio === null && this.#silence !== null) {
      this.firstAudio = Math.max(0, heard + (this.startsAt + this.#silence - position) * 1000 - this.asked);
    }
    if (this.complete && position >= this.startsAt + this.seconds - 0.002) this.state = "done";
  }
}
