// One utterance: what was asked, what came back, and when. Knows neither the network nor the page.
import { SAMPLE_RATE } from "/static/pcm.js";

const AUDIBLE = 0.002; // of full scale; models begin with some milliseconds of near silence
// A server that is this far ahead of the listener may be holding back on purpose: what it takes
// from then on says nothing about how fast it is.
const AHEAD = 1; // seconds

export class Turn {
  // waiting: asked; queued: others of this client come first; coming: audio arrives; speaking: it is
  // heard; done, interrupted, failed: over
  state;
  speech = null; // the way to tell the server about it
  written = ""; // the text that was sent so far
  chunks = [];
  marks = [];
  samples = 0; // received
  taken = 0; // samples that the player has played, as the server was told
  complete = false; // all of it was received
  startsAt = null; // position of its first sample in the player
  firstByte = null; // ms after it was asked
  firstAudio = null; // ms after it was asked: the first sample that can be heard
  rtf = null;
  #silence = null; // seconds before that sample
  #rtfSettled = false;

  // `ahead`: how many of the client's utterances come first.
  constructor({ client, text, voice, language, live }, ahead) {
    Object.assign(this, { client, text, voice, language, live, ahead });
    this.state = ahead ? "queued" : "waiting";
    this.asked = performance.now();
    this.when = new Date();
  }

  get over() {
    return ["done", "interrupted", "failed"].includes(this.state);
  }

  get seconds() {
    return this.samples / SAMPLE_RATE;
  }

  end(state) {
    if (!this.over) this.state = state;
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
      if (index >= 0) this.#silence = (this.samples + index) / SAMPLE_RATE;
    }
    this.chunks.push(samples);
    this.samples += samples.length;
    this.#measure(now);
  }

  // Wall time over audio time. A queued turn's clock starts with its first audio; what is still being
  // written is as slow as its writer.
  #measure(now) {
    if (this.#rtfSettled || this.live) return;
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
    this.taken = Math.min(this.samples, Math.round((position - this.startsAt) * SAMPLE_RATE));
    if (!this.complete || this.taken < this.samples - 48) return; // resampling rounds
    this.taken = this.samples;
    this.state = "done";
  }
}
