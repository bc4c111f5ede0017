// What the form asks for, as a command that does the same.
import { apiKey } from "/static/api.js";
import { KEY_HEADER, PLAYER, quoted } from "/static/request.js";

export function asCurl({ text, language, voice, client }) {
  const body = { text, language, ...(voice && { voice }), client_id: client };
  const lines = [
    `curl -N ${quoted(`${location.origin}/tts/stream`)}`,
    `-H 'Content-Type: application/json'`,
    `-d ${quoted(JSON.stringify(body))}`,
  ];
  if (apiKey()) lines.splice(1, 0, KEY_HEADER);
  return `${lines.join(" \\\n  ")} \\\n  | ${PLAYER}`;
}
