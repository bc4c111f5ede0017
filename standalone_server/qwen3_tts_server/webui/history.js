// What was said, newest first: hear it again, keep it as a file. In memory only.
import { fromTemplate, parts, seconds } from "/static/dom.js";
import { SAMPLE_RATE, wavFile } from "/static/pcm.js";

const KEEP = 50; // utterances: a minute of speech is 6 MB

export class History {
  #playing = null; // {source, button}

  constructor(root, openAudio) {
    Object.assign(this, { root, openAudio });
    this.list = root.querySelector("ul");
  }

  add(turn) {
    const entry = fromTemplate("entry");
    const at = parts(entry);
    const how = turn.state === "interrupted" ? "interrupted" : turn.voice || "";
    at.text.textContent = turn.text;
    at.meta.textContent = [turn.when.toLocaleTimeString(), seconds(turn.seconds), how].filter(Boolean).join(" · ");
    at.replay.setAttribute("aria-label", `Replay: ${turn.text.slice(0, 60)}`);
    at.replay.addEventListener("click", () => this.#toggle(turn, at.replay));
    at.save.setAttribute("aria-label", `Download: ${turn.text.slice(0, 60)}`);
    at.save.href = URL.createObjectURL(wavFile(turn.chunks));
    at.save.download = `${slug(turn.text)}.wav`;
    this.list.prepend(entry);
    while (this.list.children.length > KEEP) this.#drop(this.list.lastElementChild);
    this.root.hidden = false;
  }

  clear() {
    this.#stop();
    for (const entry of [...this.list.children]) this.#drop(entry);
    this.root.hidden = true;
  }

  #drop(entry) {
    URL.revokeObjectURL(parts(entry).save.href);
    entry.remove();
  }

  async #toggle(turn, button) {
    const again = this.#playing?.button === button;
    this.#stop();
    if (again) return;
    const { context } = await this.openAudio();
    await context.resume();
    const buffer = context.createBuffer(1, Math.round(turn.seconds * SAMPLE_RATE), SAMPLE_RATE);
    let offset = 0;
    for (const chunk of turn.chunks) {
      buffer.copyToChannel(chunk, 0, offset);
      offset += chunk.length;
    }
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(context.destination);
    source.onended = () => this.#stop();
    source.start();
    this.#playing = { source, button };
    icon(button, "stop");
  }

  #stop() {
    if (!this.#playing) return;
    const { source, button } = this.#playing;
    this.#playing = null;
    source.onended = null;
    source.stop();
    icon(button, "play");
  }
}

const icon = (button, name) => button.querySelector("use").setAttribute("href", `#i-${name}`);

function slug(text) {
  const words = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? ["speech"];
  return words.slice(0, 6).join("-");
}
