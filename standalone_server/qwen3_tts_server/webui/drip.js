// Sends a text as a language model does: a word at a time, at a set rate.

// Calls `push(piece)` until the text is through or `stopped()` says so; the pieces join to the text.
export async function drip(text, wordsPerSecond, push, stopped) {
  const pieces = text.match(/\s*\S+\s*?(?=\s|$)|\s+/g) ?? [];
  const started = performance.now();
  for (const [index, piece] of pieces.entries()) {
    // By the clock and not by the last timer: browsers are late, most of all in hidden tabs.
    const due = started + (1000 * index) / wordsPerSecond - performance.now();
    if (due > 0) await new Promise((resolve) => setTimeout(resolve, due));
    if (stopped()) return;
    push(piece);
  }
}
