// Speech over the WebSocket protocol (docs/protocol.md): one connection for the page, a session for
// each client. Audio, marks and the end of an utterance are handed to whoever asked for it. Knows
// nothing about the page or about playing.
import { apiKey, info } from "/static/api.js";
import { samplesOf } from "/static/pcm.js";

const PROTOCOL = "qwen3-tts-live.v1";
const LOST = "The connection to the server was lost. Press Play to try again.";

export class Connection {
  #socket = null; // a promise of it, while there is one
  #numbers = 0; // sessions, utterances and requests: all from one count
  #sessions = new Map(); // client id -> number
  #heard = new Map(); // utterance -> {audio(samples), mark(mark), done(reason), failed(error)}
  #asked = new Map(); // request -> {resolve, reject}

  // Queues an utterance; `listener` hears of it. Text is sent through what this returns.
  async utter({ client, voice, language, maxLead }, listener) {
    const socket = await this.#dial();
    if (!this.#sessions.has(client)) {
      const session = ++this.#numbers;
      this.#sessions.set(client, session);
      // Where it is refused, so is the utterance, which says why.
      send(socket, { type: "open", request: ++this.#numbers, session, id: client });
    }
    const utterance = ++this.#numbers;
    this.#heard.set(utterance, listener);
    const options = { language, max_lead: maxLead, ...(voice && { voice }) };
    send(socket, { type: "utter", session: this.#sessions.get(client), utterance, options });
    return {
      text: (text) => send(socket, { type: "text", utterance, text }),
      end: () => send(socket, { type: "end", utterance }),
      cancel: () => send(socket, { type: "cancel", utterance }),
      taken: (samples) => send(socket, { type: "taken", utterance, samples }),
    };
  }

  // Resolves with {stopped, flushed, generated} when the server has stopped: nothing follows.
  async interrupt(client) {
    return (await this.#ask(client, "interrupt")) ?? { stopped: [], flushed: [], generated: 0 };
  }

  async close(client) {
    const closed = this.#ask(client, "close");
    this.#sessions.delete(client);
    await closed;
  }

  async #ask(client, type) {
    const session = this.#sessions.get(client);
    if (session === undefined || !this.#socket) return null;
    const socket = await this.#socket;
    const request = ++this.#numbers;
    const answer = new Promise((resolve, reject) => this.#asked.set(request, { resolve, reject }));
    send(socket, { type, request, session });
    return answer;
  }

  #dial() {
    this.#socket ??= this.#connect().catch((error) => {
      this.#socket = null;
      throw error;
    });
    return this.#socket;
  }

  async #connect() {
    await info(true); // a refused upgrade says nothing to a page; this does, and asks for a key
    const url = new URL("/tts/ws", location.href.replace(/^http/, "ws"));
    // A page cannot set headers of a WebSocket: the key goes along as a second protocol.
    const key = apiKey();
    const socket = new WebSocket(url, key ? [PROTOCOL, `api-key.${key}`] : [PROTOCOL]);
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => this.#receive(data));
    socket.addEventListener("close", () => this.#lost());
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve);
      socket.addEventListener("close", () => reject(new Error("The server does not open a WebSocket at /tts/ws.")));
    });
    return socket;
  }

  #lost() {
    const waiting = [...this.#heard.values(), ...this.#asked.values()];
    this.#socket = null;
    this.#sessions.clear();
    this.#heard.clear();
    this.#asked.clear();
    for (const { failed, reject } of waiting) (failed ?? reject)(new Error(LOST));
  }

  #receive(data) {
    if (typeof data !== "string") {
      this.#heard.get(new DataView(data).getUint32(0, true))?.audio(samplesOf(data, 8));
      return;
    }
    const message = JSON.parse(data);
    const { type, utterance, request } = message;
    const listener = this.#heard.get(utterance);
    if (type === "mark") listener?.mark(message);
    if (type === "done") listener?.done(message.reason);
    if (type === "error") listener?.failed(new Error(message.message));
    if (type === "done" || type === "error") this.#heard.delete(utterance);
    const asked = this.#asked.get(request);
    if (!asked) return;
    this.#asked.delete(request);
    if (type === "error") asked.reject(new Error(message.message));
    else asked.resolve(message);
  }
}

function send(socket, message) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}
