// Speech over the documented HTTP API: one POST an utterance, its body is the audio.
import { call } from "/static/api.js";
import { PcmDecoder } from "/static/pcm.js";

// Yields {type: "queued", ahead}, {type: "audio", samples}; ends when the speech has. Reading slowly
// holds the server back. Leaving the loop closes the connection, which cancels the speech.
export async function* speak({ text, language, voice, client }, signal) {
  const json = { text, language, client_id: client };
  if (voice) json.voice = voice;
  const response = await call("/tts/stream", { method: "POST", json, headers: { "X-Client-Id": client }, signal });
  yield { type: "queued", ahead: Number(response.headers.get("X-Queue-Position")) };
  const decoder = new PcmDecoder();
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const samples = decoder.push(value);
      if (samples.length) yield { type: "audio", samples };
    }
  } finally {
    await reader.cancel();
  }
}

// {status, stopped, flushed, generated_ms, delivered_ms}
export async function interrupt(client) {
  const path = `/tts/interrupt?client_id=${encodeURIComponent(client)}`;
  return (await call(path, { method: "POST", headers: { "X-Client-Id": client } })).json();
}
