// The page: header, clients, history, dialogs, keys of the keyboard. Each of them has a file of its own.
import { info, onMissingKey } from "/static/api.js";
import { parts } from "/static/dom.js";
import { History } from "/static/history.js";
import { Lane } from "/static/lane.js";
import { openAudio } from "/static/player.js";
import { Connection } from "/static/socket.js";
import { startTheme } from "/static/theme.js";
import { Voices } from "/static/voices.js";

const MAX_CLIENTS = 4; // side by side; more do not fit on a screen
const REFRESH = 2000; // ms between looks at the server's load
const TEXTS = [
  "Hello! I speak while I am still being written. Press Interrupt at any moment, and I stop at once. Press Play again, and I go on with the next thing.",
  "I am another client, with a queue of my own. We can speak at the same time, and an interrupt of one never touches the other.",
];
const $ = (id) => document.getElementById(id);

export const lanes = []; // exported for whoever wants to look inside, tests included
let audio = null;
let server = null; // what /info said last

function audioOnce() {
  audio ??= openAudio();
  return audio;
}

// ---------------------------------------------------------------- clients
let numbers = 0;
const connection = new Connection();
const history = new History($("history"), audioOnce);

function addLane() {
  const number = ++numbers;
  const text = TEXTS[number - 1] ?? TEXTS.at(-1);
  const lane = new Lane({ number, text, connection, openAudio: audioOnce, history, close: removeLane });
  lanes.push(lane);
  $("lanes").append(lane.root);
  if (server) fill(lane);
  showCount();
  lane.parts.text.focus();
  return lane;
}

async function removeLane(lane) {
  lanes.splice(lanes.indexOf(lane), 1);
  showCount();
  lanes.at(-1).parts.text.focus();
  await lane.remove();
}

function showCount() {
  document.body.dataset.clients = lanes.length;
  for (const lane of lanes) lane.parts.close.hidden = lanes.length === 1;
  $("add-client").disabled = lanes.length >= MAX_CLIENTS;
}

// ---------------------------------------------------------------- the server
function fill(lane) {
  options(lane.parts.language, server.languages);
  options(lane.parts.voice, server.voices, "Default");
  lane.showRequest();
}

// Keeps what is chosen where it still exists.
function options(select, names, none) {
  const chosen = select.value;
  const made = names.map((name) => new Option(name, name));
  if (none) made.unshift(new Option(none, ""));
  select.replaceChildren(...made);
  select.value = none || names.includes(chosen) ? chosen : names[0];
  if (select.selectedIndex < 0) select.selectedIndex = 0;
}

async function refresh(ask = false) {
  try {
    const before = server;
    server = await info(ask);
    $("model").textContent = server.model === "preview" ? "embedded voice" : server.model;
    const busy = server.active + server.queued > 0;
    $("load").textContent = busy ? `${server.active} being made · ${server.queued} waiting` : "";
    $("engine").className = "ok";
    const same = JSON.stringify([before?.voices, before?.languages]) === JSON.stringify([server.voices, server.languages]);
    if (!same) lanes.forEach(fill);
  } catch (error) {
    $("engine").className = "bad";
    const unknown = error.status ? error.message : "The server does not answer.";
    $("model").textContent = error.status === 401 ? "needs an API key" : unknown;
  }
}

async function watch(ask) {
  if (!document.hidden) await refresh(ask);
  setTimeout(watch, REFRESH);
}

// ---------------------------------------------------------------- the user
let last = null; // the client that had the focus
$("lanes").addEventListener("focusin", ({ target }) => {
  last = lanes.find(({ root }) => root.contains(target));
});

const voices = new Voices($("voices"), async (added) => {
  await refresh();
  if (added) (lanes.includes(last) ? last : lanes[0]).use(added);
});
$("open-voices").addEventListener("click", () => voices.open());

const keyDialog = $("key");
const keyParts = parts(keyDialog);
let asking = null;

// One question at a time, whoever asks.
onMissingKey((problem) => {
  asking ??= new Promise((resolve) => {
    keyParts.problem.textContent = problem;
    keyDialog.showModal();
    keyDialog.addEventListener("close", () => resolve(keyDialog.returnValue === "use" && keyParts.key.value), { once: true });
  }).finally(() => {
    asking = null;
    keyParts.key.value = "";
  });
  return asking;
});

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  const lane = lanes.find(({ root }) => root.contains(document.activeElement));
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    (lane ?? lanes[0]).play();
  } else if (event.key === "Escape") {
    // The client in which the focus is; from anywhere else, whoever speaks.
    for (const one of lane ? [lane] : lanes.filter(({ queue }) => queue.turns.length)) one.interrupt();
  }
});

$("add-client").addEventListener("click", addLane);
$("clear-history").addEventListener("click", () => history.clear());
addLane();
startTheme($("theme"), () => lanes.forEach(({ wave }) => wave.draw()));
watch(true);
