// Changes the sample rate of a stream, piece by piece, for the browsers that do not open a context
// at the rate they are asked for. The pieces join to what the whole would have become.

const HALF = 16; // input samples on either side of an output sample: flat to 10 kHz at 24 kHz

export class Resampler {
  constructor(from, to) {
    this.step = from / to; // input samples an output sample
    this.cutoff = Math.min(1, to / from); // of the input's band: nothing above the output's
    this.reset();
  }

  reset() {
    this.history = new Float32Array(HALF); // silence before the first sample
    this.position = HALF; // of the next output sample, in `history` and what comes
  }

  push(samples) {
    const input = new Float32Array(this.history.length + samples.length);
    input.set(this.history);
    input.set(samples, this.history.length);
    const count = Math.max(0, Math.ceil((input.length - HALF - this.position) / this.step));
    const output = new Float32Array(count);
    for (let i = 0; i < count; i++) output[i] = this.#at(input, this.position + i * this.step);
    this.position += count * this.step;
    const keep = Math.max(0, Math.floor(this.position) - HALF);
    this.history = input.slice(keep);
    this.position -= keep;
    return output;
  }

  // What is still inside, at the end of a stream.
  end() {
    const tail = this.push(new Float32Array(HALF));
    this.reset();
    return tail;
  }

  #at(input, position) {
    const nearest = Math.floor(position);
    let sum = 0;
    for (let i = nearest - HALF + 1; i <= nearest + HALF; i++) {
      const x = position - i;
      if (i < 0 || i >= input.length || Math.abs(x) >= HALF) continue;
      sum += input[i] * this.cutoff * sinc(x * this.cutoff) * window(x / HALF);
    }
    return sum;
  }
}

const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
const window = (x) => 0.42 + 0.5 * Math.cos(Math.PI * x) + 0.08 * Math.cos(2 * Math.PI * x); // Blackman
