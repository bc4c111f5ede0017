// What the form asks for, as a command that does the same.
import { apiKey } from "/static/api.js";

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export function asCurl({ text, language, voice, client }) {
  const body = { text, language, ...(voice && { voice }), client_id: client };
  const lines = [
    `curl -N ${quoted(`${location.origin}/tts/stream`)}`,
    `-H 'Content-Type: application/json'`,
    `-d ${quoted(JSON.stringify(body))}`,
  ];
  if (apiKey()) lines.splice(1, 0, `-H "Authorization: Bearer $API_KEY"`); // never the key itself
  return `${lines.join(" \\\n  ")} \\\n  | ffplay -nodisp -autoexit -f s16le -ar 24000 -ch_layout mono -i -`;
}
