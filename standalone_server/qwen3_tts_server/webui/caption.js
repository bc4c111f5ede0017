// Reads along: the utterance that is spoken, with what was heard of it set apart.

export class Caption {
  constructor({ heard, unheard }) {
    Object.assign(this, { heard, unheard });
  }

  show(turn) {
    if (!turn) return;
    const begun = turn.marks.filter((mark) => mark.start < turn.taken);
    let heard = begun.reduce((sum, mark) => sum + mark.text.length, 0);
    if (turn.state === "done") heard = turn.written.length;
    const shown = `${heard}/${turn.written}`;
    if (shown === this.shown) return;
    this.shown = shown;
    this.heard.textContent = turn.written.slice(0, heard);
    this.unheard.textContent = turn.written.slice(heard);
    const box = this.heard.parentElement;
    const line = parseFloat(getComputedStyle(box).lineHeight);
    box.scrollTop = line * (Math.round(this.heard.offsetHeight / line) - 1); // the spoken line first
  }
}
