// One client: its text, its player, its queue and its numbers. Several of them share the page.
import { Caption } from "/static/caption.js";
import { asCurl } from "/static/curl.js";
import { copy, fromTemplate, parts } from "/static/dom.js";
import { drip } from "/static/drip.js";
import { SAMPLE_RATE } from "/static/pcm.js";
import { heardAt } from "/static/player.js";
import { Queue } from "/static/queue.js";
import { Said } from "/static/said.js";
import { Tiles } from "/static/tiles.js";
import { Turn } from "/static/turn.js";
import { Waveform } from "/static/waveform.js";

// Seconds of audio that may be ahead of the listener, most of it here. More is made in vain when the
// user interrupts; below about half a second a busy page makes gaps.
const LEAD = 2;
const isMac = /Mac|iPhone|iPad/.test(navigator.userAgent);

export class Lane {
  player = null; // from the first Play on: browsers open audio only then
  interrupts = []; // {ack, silence} in ms, of every interrupt
  #latest = null;
  #underruns = 0;

  // `openAudio` returns a promise of the page's audio; `history.add(turn)` keeps what was said.
  constructor({ number, text, connection, openAudio, history, close }) {
    Object.assign(this, { connection, openAudio, history });
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

  use(voice) {
    this.parts.voice.value = voice;
    this.showRequest();
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
    const turn = new Turn(this.asked, this.queue.open.length);
    this.#latest = turn;
    this.queue.add(turn);
    this.#refresh();
    try {
      await this.open();
      turn.speech = await this.connection.utter({ ...turn, maxLead: LEAD }, this.#listener(turn));
      if (turn.over) return turn.speech.cancel(); // interrupted before the server knew of it
      await this.#write(turn);
    } catch (error) {
      this.#end(turn, "failed", error.message);
    }
  }

  async #write(turn) {
    const push = (piece) => {
      turn.speech.text(piece);
      turn.written += piece;
      this.#refresh();
    };
    if (turn.live) await drip(turn.text, turn.live, push, () => turn.over);
    else push(turn.text);
    if (turn.over) return;
    turn.speech.end();
    turn.typed = true;
    if (turn.startsAt !== null && !turn.complete) this.player.expect(true);
  }

  #listener(turn) {
    const unlessOver = (act) => (value) => turn.over || act(value);
    return {
      mark: unlessOver((mark) => turn.marks.push(mark)),
      audio: unlessOver((samples) => this.#hear(turn, samples)),
      done: unlessOver((reason) => (reason === "completed" ? this.#received(turn) : this.#end(turn, "interrupted"))),
      failed: unlessOver((error) => this.#end(turn, "failed", error.message)),
    };
  }

  #hear(turn, samples) {
    turn.received(samples, this.player.pushed);
    // While its text is still being written, running dry may be the writer's doing.
    this.player.expect(Boolean(turn.typed));
    this.player.push(samples);
    this.wave.listen(this.player.analyser);
    this.#refresh();
  }

  #received(turn) {
    turn.complete = true;
    this.player.expect(false);
    if (turn.samples) this.#onPlayer(this.player);
    else this.#end(turn, "done", "Nothing to say in that text.", false);
  }

  #end(turn, state, message = "", bad = true) {
    if (turn.over) return;
    turn.end(state);
    this.player?.expect(false);
    this.#refresh();
    if (message) this.say(message, bad);
  }

  async interrupt() {
    const pressed = performance.now();
    for (const turn of this.queue.open) turn.end("interrupted");
    // Silence first: what is in the speaker's queue is ours to drop.
    const silent = this.player?.flush().then((at) => Math.max(0, at - pressed));
    this.wave.mark("danger");
    this.#refresh();
    try {
      const report = await this.connection.interrupt(this.client);
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
    const sounds = turn.startsAt !== null;
    turn.speech?.cancel();
    this.#end(turn, "interrupted", "Cancelled.", false);
    if (sounds) this.player.flush();
    this.parts.text.focus(); // the button that was pressed is gone
  }

  #onPlayer(player) {
    const heard = player.running ? heardAt(player.context, player.at) : performance.now();
    for (const turn of this.queue.turns) {
      const before = turn.taken;
      turn.played(player.position, heard);
      if (turn.taken > before) turn.speech.taken(turn.taken);
    }
    if (player.underruns > this.#underruns) this.wave.mark("warn");
    this.#underruns = player.underruns;
    this.tiles.player(player);
    this.#refresh();
  }

  #refresh() {
    for (const turn of this.queue.show()) if (turn.samples) this.history.add(turn);
    const shown = this.queue.speaking ?? this.#latest;
    if (shown) this.tiles.turn(shown);
    this.caption.show(shown);
    const first = this.queue.turns[0];
    this.root.classList.toggle("busy", Boolean(first));
    const said = this.#latest?.state === "done" && this.#latest.samples > 0;
    const line = first ? LINES[first.state] : said ? "Done." : null;
    if (line && line !== this.line) this.say(line);
    this.line = line;
  }

  async remove() {
    if (this.queue.turns.length) await this.interrupt();
    this.player?.close();
    this.root.remove();
    await this.connection.close(this.client);
  }
}

const LINES = {
  waiting: "Waiting for audio…",
  queued: "Queued behind other requests of this client id…",
  coming: "Starting…",
  speaking: "Speaking.",
};

function outcome({ stopped, flushed, generated }) {
  if (!stopped.length && !flushed.length) return "Silent. The server had nothing more to say.";
  const made = (generated / SAMPLE_RATE).toFixed(1);
  return `Interrupted: ${stopped.length} stopped, ${flushed.length} flushed, ${made} s had been made.`;
}

// An id that others cannot guess: whoever knows it can interrupt.
function newClientId() {
  const bytes = crypto.getRandomValues(new Uint8Array(6));
  return `web-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
