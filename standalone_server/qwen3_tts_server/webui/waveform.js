// A moving picture of what is heard: one bar each 40 ms, the newest on the right. Rests in silence.
import { reducedMotion } from "/static/dom.js";

const EVERY = 40; // ms a bar
const BAR = 3; // CSS pixels
const GAP = 2;

export class Waveform {
  #bars = []; // {peak, mark}, the newest last
  #analyser = null;
  #data = new Float32Array(1024);
  #frame = 0;
  #since = 0;
  #peak = 0;

  constructor(canvas) {
    this.canvas = canvas;
    this.draws = canvas.getContext("2d");
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  // Show what passes `analyser` until it is silent again.
  listen(analyser) {
    this.#analyser = analyser;
    if (!this.#frame) {
      this.#since = performance.now();
      this.#frame = requestAnimationFrame((now) => this.#step(now));
    }
  }

  // A line at this moment: "danger" for an interrupt, "warn" for an underrun.
  mark(kind) {
    const newest = this.#bars.at(-1);
    if (newest) newest.mark = kind;
    this.draw();
  }

  #step(now) {
    this.#analyser.getFloatTimeDomainData(this.#data);
    for (const sample of this.#data) this.#peak = Math.max(this.#peak, Math.abs(sample));
    const every = reducedMotion.matches ? 6 * EVERY : EVERY;
    if (now - this.#since >= every) {
      this.#bars.push({ peak: this.#peak });
      const fits = Math.ceil(this.canvas.clientWidth / (BAR + GAP)) + 1;
      if (this.#bars.length > fits) this.#bars.splice(0, this.#bars.length - fits);
      this.#since = Math.max(this.#since + every, now - every);
      this.#peak = 0;
      this.draw();
    }
    const silent = this.#bars.length > 25 && this.#bars.slice(-25).every(({ peak }) => peak === 0);
    this.#frame = silent ? 0 : requestAnimationFrame((next) => this.#step(next));
  }

  // Also after a change of theme.
  draw() {
    const { canvas, draws } = this;
    const ratio = devicePixelRatio;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    draws.scale(ratio, ratio);
    const style = getComputedStyle(canvas);
    const color = (name) => style.getPropertyValue(`--${name}`);
    const slots = Math.ceil(width / (BAR + GAP));
    for (let i = 0; i < slots; i++) {
      const bar = this.#bars.at(-1 - i);
      const x = width - (i + 1) * (BAR + GAP);
      const tall = bar ? Math.max(BAR, Math.min(1, bar.peak ** 0.6) * height * 0.92) : BAR;
      draws.globalAlpha = bar?.peak ? 1 - 0.75 * (i / slots) : 0.35;
      draws.fillStyle = color(bar?.peak ? "wave" : "rest");
      draws.beginPath();
      draws.roundRect(x, (height - tall) / 2, BAR, tall, BAR / 2);
      draws.fill();
      if (!bar?.mark) continue;
      draws.globalAlpha = 1;
      draws.fillStyle = color(bar.mark);
      draws.fillRect(x + BAR / 2 - 0.5, 0, 1.5, height);
    }
  }
}
