// Reads along: the utterance that is spoken, with what was heard of it set apart.
import { SAMPLE_RATE } from "/static/pcm.js";

export class Caption {
  constructor({ heard, unheard }) {
    Object.assign(this, { heard, unheard });
  }

  // `position` is the player's, in seconds.
  show(turn, position) {
    if (!turn) return;
    const sample = turn.startsAt === null ? -1 : (position - turn.startsAt) * SAMPLE_RATE;
    let heard = turn.marks.filter((mark) => mark.start <= sample).reduce((sum, mark) => sum + mark.text.length, 0);
    if (turn.state === "done") heard = turn.text.length;
    const shown = `${heard}/${turn.text}`;
    if (shown === this.shown) return;
    this.shown = shown;
    this.heard.textContent = turn.text.slice(0, heard);
    this.unheard.textContent = turn.text.slice(heard);
    const box = this.heard.parentElement;
    box.scrollTop = this.heard.offsetHeight - box.clientHeight / 2; // keeps the spoken line in sight
  }
}
