// The page: one form, one player, and what the numbers say.
import { openPlayer, PcmDecoder, SAMPLE_RATE } from "/static/player.js";

const $ = (id) => document.getElementById(id);
// Seconds of audio to hold. What is read beyond the need cannot be interrupted on the server any
// more; below about half a second a busy page makes gaps.
const LEAD = 2;
const ms = (value) => `${Math.round(value)} ms`;

export let player = null; // exported for whoever wants to look inside, tests included
let epoch = 0; // an interrupt starts a new one; what older requests still receive is dropped
let open = 0; // requests of this epoch that are not over
let firstAudioOf = null; // when the request was sent whose first audio is awaited

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function say(text, bad = false) {
  $("status").textContent = text;
  $("status").classList.toggle("bad", bad);
}

function onPlayerChange(state) {
  $("buffered").textContent = `${(state.buffered / SAMPLE_RATE).toFixed(1)} s`;
  $("underruns").textContent = state.underruns;
  if (state.started && firstAudioOf !== null) {
    $("ttfa").textContent = ms(performance.now() - firstAudioOf);
    firstAudioOf = null;
  }
  if (open === 0 && state.buffered <= 0 && $("status").dataset.playing) {
    delete $("status").dataset.playing;
    say("Done.");
  }
}

async function problemOf(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `the server answered ${response.status}`;
  }
}

async function play(event) {
  event.preventDefault();
  player ??= await openPlayer(onPlayerChange);
  await player.context.resume();
  const mine = epoch;
  const sent = performance.now();
  open += 1;
  say(open > 1 ? "Queued." : "Waiting for audio…");
  try {
    const response = await fetch("/tts/stream", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Client-Id": $("client").value },
      body: JSON.stringify({ text: $("text").value, language: $("language").value, client_id: $("client").value }),
    });
    if (!response.ok) throw new Error(await problemOf(response));
    await receive(response.body.getReader(), mine, sent);
  } catch (error) {
    if (mine === epoch) say(error.message, true);
  } finally {
    if (mine === epoch) {
      open -= 1;
      if (open === 0) player.expect(false);
    }
  }
}

async function receive(reader, mine, sent) {
  const decoder = new PcmDecoder();
  let samples = 0;
  let first = 0;
  for (;;) {
    while (mine === epoch && player.state.buffered > LEAD * SAMPLE_RATE) await pause(50);
    const { done, value } = await reader.read();
    if (mine !== epoch) return;
    if (done) break;
    const chunk = decoder.push(value);
    if (!samples) {
      first = performance.now();
      firstAudioOf = sent;
      $("ttfb").textContent = ms(first - sent);
      $("status").dataset.playing = "yes";
      say("Playing.");
    }
    samples += chunk.length;
    player.expect(true);
    player.push(chunk);
    $("rtf").textContent = ((performance.now() - first) / 1000 / (samples / SAMPLE_RATE)).toFixed(3);
  }
  if (!samples) say("Nothing to say in that text.");
}

async function interrupt() {
  const pressed = performance.now();
  epoch += 1;
  open = 0;
  delete $("status").dataset.playing;
  player?.flush(); // silence first: what is in the speaker's queue is ours to drop
  try {
    const client = encodeURIComponent($("client").value);
    const response = await fetch(`/tts/interrupt?client_id=${client}`, {
      method: "POST",
      headers: { "X-Client-Id": $("client").value },
    });
    if (!response.ok) throw new Error(await problemOf(response));
    const report = await response.json();
    $("interrupted").textContent = ms(performance.now() - pressed);
    const { stopped, flushed, generated_ms: generated } = report;
    say(
      report.status === "idle"
        ? "Silent. The server had already sent everything."
        : `Interrupted: ${stopped} stopped, ${flushed} flushed, ${(generated / 1000).toFixed(1)} s had been made.`,
    );
  } catch (error) {
    say(error.message, true);
  }
}

// What the text becomes before it is spoken, a line a segment; the written form is the tooltip.
let asked = 0;
async function showSaid() {
  if (!$("said").open) return;
  const mine = ++asked;
  await pause(250); // people type in bursts
  if (mine !== asked) return;
  const items = [];
  if ($("text").value.trim()) {
    const response = await fetch("/tts/text", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ text: $("text").value, language: $("language").value }),
    });
    if (!response.ok) throw new Error(await problemOf(response));
    for (const { raw, spoken, language } of (await response.json()).segments) {
      const item = Object.assign(document.createElement("li"), { textContent: spoken || "(nothing)", title: raw });
      item.classList.toggle("silent", !spoken);
      item.dataset.language = language;
      items.push(item);
    }
  }
  if (mine === asked) $("said").querySelector("ol").replaceChildren(...items);
}
const showSaidOrSay = () => showSaid().catch((error) => say(error.message, true));

async function describeEngine() {
  const info = await (await fetch("/info")).json();
  $("engine").textContent = info.model === "preview" ? "embedded voice (no model)" : info.model;
  $("language").replaceChildren(...info.languages.map((name) => new Option(name, name)));
}

// An id that others cannot guess: whoever knows it can interrupt.
$("client").value = `web-${Array.from(crypto.getRandomValues(new Uint8Array(4)), (b) => b.toString(16).padStart(2, "0")).join("")}`;
$("form").addEventListener("submit", play);
$("interrupt").addEventListener("click", interrupt);
$("said").addEventListener("toggle", showSaidOrSay);
$("text").addEventListener("input", showSaidOrSay);
$("language").addEventListener("change", showSaidOrSay);
describeEngine().catch(() => say("The server does not answer.", true));
