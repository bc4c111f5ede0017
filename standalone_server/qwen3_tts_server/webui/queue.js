// The utterances of one client that are not over, in the order in which they play.
import { element } from "/static/dom.js";

const SAYS = { waiting: "Waiting", queued: "Queued", coming: "Starting", speaking: "Speaking" };

export class Queue {
  turns = [];

  // `cancel(turn)` is called when the user takes one out.
  constructor(list, empty, cancel) {
    Object.assign(this, { list, empty, cancel });
  }

  get open() {
    return this.turns.filter((turn) => !turn.over);
  }

  get speaking() {
    return this.turns.find((turn) => turn.state === "speaking" || turn.state === "coming");
  }

  add(turn) {
    this.turns.push(turn);
    this.show();
  }

  // Shows the turns that are not over; forgets and returns the others.
  show() {
    const over = this.turns.filter((turn) => turn.over);
    this.turns = this.open;
    this.list.replaceChildren(...this.turns.map((turn, index) => this.#row(turn, index)));
    this.empty.hidden = this.turns.length > 0;
    return over;
  }

  #row(turn, index) {
    // Rows are kept, so that the focus stays where it is.
    turn.row ??= this.#newRow(turn);
    const state = turn.state === "queued" && index === 1 ? "Next" : SAYS[turn.state];
    turn.row.dataset.state = turn.state;
    turn.row.children[0].textContent = state;
    turn.row.children[1].textContent = turn.live ? turn.written || "…" : turn.text;
    return turn.row;
  }

  #newRow(turn) {
    const remove = element("button", { type: "button", className: "icon", textContent: "×", title: "Cancel this one" });
    remove.setAttribute("aria-label", `Cancel: ${turn.text.slice(0, 60)}`);
    remove.addEventListener("click", () => this.cancel(turn));
    return element("li", {}, element("b"), element("span"), remove);
  }
}
