// One client: its text, its player, its queue and its numbers. Several of them share the page.
import { Caption } from "/static/caption.js";
import { asCurl } from "/static/curl.js";
import { copy, fromTemplate, parts } from "/static/dom.js";
import { interrupt, speak } from "/static/http.js";
import { heardAt } from "/static/player.js";
import { Queue } from "/static/queue.js";
import { Said } from "/static/said.js";
import { Tiles } from "/static/tiles.js";
import { Turn } from "/static/turn.js";
import { Waveform } from "/static/waveform.js";

// Seconds of audio to hold. What is read beyond the need cannot be interrupted on the server any
// more; below about half a second a busy page makes gaps.
const LEAD = 2;
const pause = (wait) => new Promise((resolve) => setTimeout(resolve, wait));
const isMac = /Mac|iPhone|iPad/.test(navigator.userAgent);

export class Lane {
  player = null; // from the first Play on: browsers open audio only then
  interrupts = []; // {ack, silence} in ms, of every interrupt
  #latest = null;
  #receiving = Promise.resolve(); // ends when the last turn asked for has all its audio
  #underruns = 0;
  #wasOpen = false;

  // `openAudio` returns a promise of the page's audio; `history.add(turn)` keeps what was said.
  constructor({ number, text, openAudio, history, close }) {
    Object.assign(this, { openAudio, history });
    this.root = fromTemplate("lane");
    const at = (this.parts = parts(this.root));
    const title = `Client ${number}`;
    at.title.textContent = title;
    this.root.setAttribute("aria-label", title);
    at.text.id = `text-${number}`;
    at.textLabel.htmlFor = at.text.id;
    at.whole.name = at.live.name = `mode-${number}`;
    at.text.value = text;
    at.client.value = newClientId();
    at.close.setAttribute("aria-label", `Remove ${title}`);
    if (isMac) at.playKey.textContent = "⌘ ⏎";

    this.queue = new Queue(at.queue, at.empty, (turn) => this.#cancel(turn));
    this.tiles = new Tiles(at.tiles);
    this.wave = new Waveform(at.wave);
    this.caption = new Caption(at);
    this.said = new Said(at, (message) => this.say(message, true));
    this.#listen(close);
  }

  #listen(close) {
    const at = this.parts;
    at.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.play();
    });
    at.interrupt.addEventListener("click", () => this.interrupt());
    at.close.addEventListener("click", () => close(this));
    at.copy.addEventListener("click", async () => {
      await copy(at.curl.textContent);
      this.say("Copied.");
    });
    for (const control of [at.text, at.language, at.voice, at.client]) {
      control.addEventListener("input", () => this.showRequest());
    }
    for (const control of [at.whole, at.live, at.rate]) {
      control.addEventListener("input", () => {
        at.rateLabel.hidden = !at.live.checked;
        at.rateShown.textContent = `${at.rate.value} words/s`;
      });
    }
    this.showRequest();
  }

  get client() {
    return this.parts.client.value;
  }

  // What the form asks for.
  get asked() {
    const { text, language, voice, live, rate } = this.parts;
    return {
      client: this.client,
      text: text.value,
      language: language.value,
      voice: voice.value,
      live: live.checked ? Number(rate.value) : 0,
    };
  }

  showRequest() {
    this.parts.curl.textContent = asCurl(this.asked);
    this.said.show(this.asked);
  }

  say(text, bad = false) {
    this.parts.status.textContent = text;
    this.parts.status.classList.toggle("bad", bad);
  }

  async open() {
    const audio = await this.openAudio();
    this.player ??= audio.player((player) => this.#onPlayer(player));
    await audio.context.resume();
    return this.player;
  }

  async play() {
    if (!this.parts.form.reportValidity()) return;
    const turn = new Turn(this.asked);
    this.#latest = turn;
    this.queue.add(turn);
    this.#refresh();
    const before = this.#receiving;
    this.#receiving = this.#receive(turn, before);
    await this.#receiving;
  }

  async #receive(turn, before) {
    try {
      await this.open();
      for await (const event of speak(turn, turn.abort.signal)) {
        // Each request has a connection of its own: this one's audio may overtake the last one's.
        if (event.type === "audio") await before;
        await this.#on(turn, event);
      }
      if (!turn.over) this.#received(turn);
    } catch (error) {
      if (!turn.over) this.#failed(turn, error);
    }
    this.#refresh();
  }

  async #on(turn, event) {
    if (turn.over) return; // interrupted: what still comes is dropped
    if (event.type === "queued") turn.queued(event.ahead);
    if (event.type === "mark") turn.marks.push(event);
    if (event.type === "audio") {
      turn.received(event.samples, this.player.pushed);
      this.player.expect(true);
      this.player.push(event.samples);
      this.wave.listen(this.player.analyser);
    }
    this.#refresh();
    while (!turn.over && this.player.buffered > LEAD) await pause(50);
  }

  #received(turn) {
    turn.complete = true;
    this.player.expect(false);
    if (turn.startsAt !== null) return this.#onPlayer(this.player);
    turn.end("done");
    this.say("Nothing to say in that text.");
  }

  #failed(turn, error) {
    turn.end("failed");
    this.player?.expect(false);
    this.say(error.message, true);
  }

  async interrupt() {
    const pressed = performance.now();
    for (const turn of this.queue.open) turn.end("interrupted");
    // Silence first: what is in the speaker's queue is ours to drop.
    const silent = this.player?.flush().then((at) => Math.max(0, at - pressed));
    this.wave.mark("danger");
    this.#refresh();
    try {
      const report = await interrupt(this.client);
      const ack = performance.now() - pressed;
      const silence = await silent;
      this.interrupts.push({ ack, silence });
      this.tiles.interrupted({ ack, silence });
      this.say(outcome(report));
    } catch (error) {
      this.say(error.message, true);
    }
  }

  #cancel(turn) {
    const heard = turn.startsAt !== null;
    turn.end("interrupted");
    if (heard) this.player.flush();
    turn.abort.abort();
    this.#refresh();
    this.say("Cancelled.");
  }

  #onPlayer(player) {
    const heard = player.running ? heardAt(player.context, player.at) : performance.now();
    for (const turn of this.queue.turns) turn.played(player.position, heard);
    if (player.underruns > this.#underruns) this.wave.mark("warn");
    this.#underruns = player.underruns;
    this.tiles.player(player);
    this.#refresh();
  }

  #refresh() {
    for (const turn of this.queue.show()) if (turn.seconds) this.history.add(turn);
    if (this.#latest) this.tiles.turn(this.#latest);
    this.caption.show(this.queue.speaking ?? this.#latest, this.player?.position ?? 0);
    const first = this.queue.turns[0];
    this.root.classList.toggle("busy", Boolean(first));
    const said = this.#latest?.state === "done" && this.#latest.seconds > 0;
    const line = first ? LINES[first.state] : said ? "Done." : null;
    if (line && line !== this.line) this.say(line);
    this.line = line;
  }

  async remove() {
    if (this.queue.turns.length) await this.interrupt();
    this.player?.close();
    this.root.remove();
  }
}

const LINES = {
  waiting: "Waiting for audio…",
  queued: "Queued behind other requests of this client id…",
  coming: "Starting…",
  speaking: "Speaking.",
};

function outcome({ status, stopped, flushed, generated_ms: generated }) {
  if (status === "idle") return "Silent. The server had already sent everything.";
  return `Interrupted: ${stopped} stopped, ${flushed} flushed, ${(generated / 1000).toFixed(1)} s had been made.`;
}

// An id that others cannot guess: whoever knows it can interrupt.
function newClientId() {
  const bytes = crypto.getRandomValues(new Uint8Array(6));
  return `web-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
