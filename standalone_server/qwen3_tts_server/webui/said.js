// What a text becomes before it is spoken, beside what was written: a row a segment.
import { spokenForm } from "/static/api.js";
import { element } from "/static/dom.js";

const REST = 250; // ms without a key: people type in bursts

export class Said {
  #asked = null;
  #abort = null;

  constructor({ said, saidRows }, onError) {
    Object.assign(this, { said, saidRows, onError });
    said.addEventListener("toggle", () => this.#asked && this.show(this.#asked));
  }

  show(asked) {
    this.#asked = asked;
    clearTimeout(this.timer);
    this.#abort?.abort();
    if (this.said.open) this.timer = setTimeout(() => this.#load(asked), REST);
  }

  async #load({ text, language }) {
    const { signal } = (this.#abort = new AbortController());
    try {
      const segments = text.trim() ? await spokenForm(text, language, signal) : [];
      this.saidRows.replaceChildren(...segments.map(row));
    } catch (error) {
      if (!signal.aborted) this.onError(error.message);
    }
  }
}

function row({ raw, spoken, language }) {
  const heard = element("td", { textContent: spoken || "(nothing)", className: spoken ? "" : "muted" });
  heard.lang = language;
  return element("tr", {}, element("td", { textContent: raw.trim() }), heard);
}
