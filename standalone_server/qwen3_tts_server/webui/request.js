// An operation of the document as something to paste: a curl command, or a line of JavaScript.

export const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

// What plays the bare samples of /tts/stream.
export const PLAYER = "ffplay -nodisp -autoexit -f s16le -ar 24000 -ch_layout mono -i -";

// Never the key itself.
export const KEY_HEADER = `-H "Authorization: Bearer $API_KEY"`;

// What can be asked, one for each example: [{ summary, command }].
export function requests(path, method, operation, needsKey) {
  const url = location.origin + filled(path, operation);
  if (operation.responses["101"]) {
    return [{ summary: "In a browser", command: webSocket(url, operation, needsKey) }];
  }
  return examples(operation).map(({ summary, body }) => {
    const verb = method !== "get" && (method !== "post" || !body.length) ? [`-X ${method.toUpperCase()}`] : [];
    const lines = [["curl", ...streaming(operation), ...verb, quoted(url)].join(" ")];
    if (needsKey) lines.push(KEY_HEADER);
    return { summary, command: [...lines, ...body, ...output(operation, body)].join(" \\\n  ") };
  });
}

function filled(path, { parameters = [] }) {
  const values = Object.fromEntries(parameters.map(({ name, example }) => [name, example]));
  return path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(values[name]));
}

function examples({ requestBody }) {
  const { "application/json": json, "multipart/form-data": form } = requestBody?.content ?? {};
  if (form) {
    const field = ([name, value]) => `-F ${quoted(`${name}=${isFile(form.schema, name) ? "@" : ""}${value}`)}`;
    return [{ body: Object.entries(form.example).map(field) }];
  }
  if (!json) return [{ body: [] }];
  return Object.values(json.examples).map(({ summary, value }) => ({
    summary,
    body: ["-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(value))}`],
  }));
}

const isFile = (schema, name) => "contentMediaType" in schema.properties[name];

const answered = ({ responses }) => Object.keys(responses["200"]?.content ?? {});
const streaming = (operation) => (answered(operation).includes("audio/l16;rate=24000") ? ["-N"] : []);

function output(operation, body) {
  const types = answered(operation);
  if (streaming(operation).length) return [`| ${PLAYER}`];
  if (!types.some((type) => type.startsWith("audio/")) || body.join().includes('"sse"')) return [];
  return ["-o speech.mp3"];
}

function webSocket(url, { parameters = [] }, needsKey) {
  const protocol = parameters.find(({ name }) => name === "Sec-WebSocket-Protocol")?.schema.const;
  const offered = [...(protocol ? [JSON.stringify(protocol)] : []), ...(needsKey ? ["`api-key.${key}`"] : [])];
  const last = offered.length ? `, [${offered.join(", ")}]` : "";
  return `new WebSocket(${JSON.stringify(url.replace(/^http/, "ws"))}${last})`;
}
