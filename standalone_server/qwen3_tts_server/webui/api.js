// The server's HTTP API. Knows nothing about the page; asks its `askKey` for a key on a 401.

const KEY = "qwen3-tts-api-key";
let askKey = async () => null;

// `ask` returns a promise of the API key, or of null where the user has none.
export function onMissingKey(ask) {
  askKey = ask;
}

// Kept for this tab only.
export const apiKey = () => sessionStorage.getItem(KEY);
export const setApiKey = (key) => sessionStorage.setItem(KEY, key);

export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    Object.assign(this, { status, code });
  }
}

async function errorOf(response) {
  try {
    const { code, message } = (await response.json()).error;
    return new ApiError(response.status, code, message);
  } catch {
    return new ApiError(response.status, "", `The server answered ${response.status} ${response.statusText}.`);
  }
}

// A response with an error status is thrown as an ApiError. With `ask`, a missing key is asked for.
export async function call(path, { json, headers = {}, ask = true, ...init } = {}) {
  if (json !== undefined) {
    init.body = JSON.stringify(json);
    headers = { ...headers, "Content-Type": "application/json" };
  }
  for (;;) {
    const key = apiKey();
    const authorization = key ? { Authorization: `Bearer ${key}` } : {};
    const response = await fetch(path, { ...init, headers: { ...headers, ...authorization } });
    if (response.ok) return response;
    const error = await errorOf(response);
    if (response.status !== 401 || !ask) throw error;
    const other = await askKey(key ? error.message : "");
    if (!other) throw error;
    setApiKey(other);
  }
}

export const info = async (ask) => (await call("/info", { ask })).json();

// [{raw, spoken, language}]: what a text becomes before it is spoken.
export async function spokenForm(text, language, signal) {
  const response = await call("/tts/text", { method: "POST", json: { text, language }, signal });
  return (await response.json()).segments;
}

// {voices: [{name, default, removable}], can_add}
export const voices = async () => (await call("/tts/voices")).json();

export async function addVoice(name, recording, text) {
  const body = new FormData();
  body.append("name", name);
  body.append("file", recording, recording.name ?? "recording.wav");
  if (text) body.append("text", text);
  await call("/tts/voices", { method: "POST", body });
}

export async function removeVoice(name) {
  await call(`/tts/voices/${encodeURIComponent(name)}`, { method: "DELETE" });
}
