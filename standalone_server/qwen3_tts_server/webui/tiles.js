// The numbers of one client: what they mean, and showing them.
import { element, milliseconds, seconds } from "/static/dom.js";

const TILES = {
  firstByte: ["First byte", "From asking to the first audio byte"],
  firstAudio: ["First audio", "From asking to the first sample that can be heard"],
  rtf: ["RTF", "Real-time factor: time to make speech over its length; below 1 is faster than real time"],
  underruns: ["Underruns", "Times the sound ran out in the middle of an utterance"],
  buffered: ["Buffer", "Audio received and not yet played"],
  ack: ["Interrupt ack", "From pressing Interrupt to the server's answer"],
  silence: ["To silence", "From pressing Interrupt to the last sample that is heard"],
  audio: ["Audio", "Length of the speech received for the latest utterance"],
};

export class Tiles {
  #values = {};

  constructor(list) {
    for (const [name, [label, meaning]] of Object.entries(TILES)) {
      const value = element("dd", { textContent: "–" });
      value.dataset.tile = name;
      list.append(element("div", { title: meaning }, element("dt", { textContent: label }), value));
      this.#values[name] = value;
    }
    this.#show("underruns", "0");
  }

  turn({ firstByte, firstAudio, rtf, seconds: length, ahead, live }) {
    const note = live ? "as written" : ahead ? "with the queue" : "";
    const wait = (value) => (value === null ? ["–"] : [milliseconds(value), note]);
    this.#show("firstByte", ...wait(firstByte));
    this.#show("firstAudio", ...wait(firstAudio));
    this.#show("rtf", rtf === null ? "–" : rtf.toFixed(rtf < 0.1 ? 3 : 2));
    this.#show("audio", length ? seconds(length) : "–");
  }

  player({ buffered, underruns }) {
    this.#show("buffered", seconds(buffered));
    this.#show("underruns", String(underruns));
    this.#values.underruns.classList.toggle("warn", underruns > 0);
  }

  interrupted({ ack, silence }) {
    if (ack !== undefined) this.#show("ack", milliseconds(ack));
    if (silence !== undefined) this.#show("silence", milliseconds(silence));
  }

  #show(name, text, note = "") {
    const value = this.#values[name];
    if (value.dataset.shown === text + note) return;
    value.dataset.shown = text + note;
    value.replaceChildren(text);
    if (note) value.append(element("small", { textContent: note }));
  }
}
