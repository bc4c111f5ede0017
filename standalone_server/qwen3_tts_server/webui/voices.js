// The dialog of voices: which there are, adding one from a file or a microphone, removing one.
import { addVoice, removeVoice, voices } from "/static/api.js";
import { element, fromTemplate, parts, seconds } from "/static/dom.js";
import { canRecord, Recorder } from "/static/recorder.js";

export class Voices {
  #recorder = null; // while it records
  #recording = null; // a WAV file, once it has

  // `changed(name)` is called when the voices have changed; `name` is the added one, if one was.
  constructor(dialog, changed) {
    Object.assign(this, { dialog, changed });
    const at = (this.parts = parts(dialog));
    at.close.addEventListener("click", () => dialog.close());
    at.record.addEventListener("click", () => this.#record().catch((error) => this.#say(refusal(error), true)));
    at.file.addEventListener("change", () => this.#forget());
    at.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add();
    });
    dialog.addEventListener("close", () => this.#leave());
    if (canRecord()) return;
    at.record.hidden = true;
    at.recorded.textContent = "Recording here needs https:// or localhost.";
  }

  async open() {
    this.#say("");
    this.dialog.showModal();
    await this.#load();
  }

  async #load() {
    try {
      const { voices: known, can_add: canAdd } = await voices();
      this.parts.list.replaceChildren(...known.map((voice) => this.#row(voice)));
      this.parts.list.hidden = known.length === 0;
      this.parts.form.hidden = !canAdd;
      this.parts.fixed.hidden = canAdd;
    } catch (error) {
      this.#say(error.message, true);
    }
  }

  #row({ name, default: isDefault, removable }) {
    const row = fromTemplate("voice");
    const at = parts(row);
    at.name.textContent = name;
    at.kind.textContent = [isDefault && "default", removable && "added"].filter(Boolean).join(" · ");
    at.remove.hidden = !removable;
    at.remove.setAttribute("aria-label", `Remove ${name}`);
    at.remove.addEventListener("click", () => this.#remove(name));
    return row;
  }

  async #remove(name) {
    if (!confirm(`Remove the voice ${name}? It cannot be brought back.`)) return;
    await this.#change(() => removeVoice(name), `${name} is gone.`);
  }

  async #add() {
    const { name, file, text, form, add } = this.parts;
    const recording = this.#recording ?? file.files[0];
    if (!recording) return this.#say("Choose a recording, or make one.", true);
    const added = name.value;
    add.disabled = true;
    this.#say("Listening to it…");
    const done = await this.#change(() => addVoice(added, recording, text.value.trim()), `${added} is ready to speak.`, added);
    add.disabled = false;
    if (!done) return;
    form.reset();
    this.#forget();
  }

  async #change(act, message, added) {
    try {
      await act();
    } catch (error) {
      this.#say(error.message, true);
      return false;
    }
    await this.#load();
    await this.changed(added);
    this.#say(message);
    return true;
  }

  // ---- the microphone

  async #record() {
    if (this.#recorder) return this.#stop();
    const { level, recorded, file } = this.parts;
    file.value = "";
    this.#forget();
    const recorder = new Recorder((peak, length) => {
      level.value = Math.max(peak, 0.9 * level.value);
      recorded.textContent = seconds(length);
    }, () => this.#stop());
    await recorder.start();
    this.#recorder = recorder;
    this.#showRecording(true);
  }

  async #stop() {
    const recorder = this.#recorder;
    if (!recorder) return;
    this.#recorder = null;
    this.#showRecording(false);
    this.#recording = await recorder.stop();
    this.parts.recorded.textContent += " recorded";
  }

  #showRecording(on) {
    this.parts.level.hidden = !on;
    this.parts.recordLabel.textContent = on ? "Stop recording" : "Record instead";
    this.parts.record.setAttribute("aria-pressed", on);
  }

  #forget() {
    this.#recording = null;
    if (canRecord()) this.parts.recorded.textContent = "";
  }

  async #leave() {
    await this.#stop(); // the microphone is never left on
    this.#forget();
  }

  #say(text, bad = false) {
    this.parts.status.textContent = text;
    this.parts.status.classList.toggle("bad", bad);
  }
}

function refusal(error) {
  return error.name === "NotAllowedError" ? "The browser was told not to use the microphone." : error.message;
}
