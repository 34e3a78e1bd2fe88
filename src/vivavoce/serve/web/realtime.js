// The realtime protocol on a WebSocket: JSON events in and out. Knows nothing of the page.

export function toBase64(buffer) {
  let text = "";
  for (const byte of new Uint8Array(buffer)) text += String.fromCharCode(byte);
  return btoa(text);
}

export function fromBase64(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
}

export class Realtime extends EventTarget {
  #socket;

  get isOpen() { return this.#socket?.readyState === WebSocket.OPEN; }

  /** Connect; resolves when the session is there. */
  open(key) {
    this.close();
    const url = new URL("/v1/realtime?model=vivavoce", location.href.replace(/^http/, "ws"));
    const protocols = ["realtime", ...(key ? [`openai-insecure-api-key.${key}`] : [])];
    const socket = (this.#socket = new WebSocket(url, protocols));
    socket.onmessage = ({ data }) => this.dispatchEvent(new CustomEvent("event", { detail: JSON.parse(data) }));
    socket.onclose = (closed) => { if (socket === this.#socket) this.dispatchEvent(new CustomEvent("closed", { detail: closed })); };
    return new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.addEventListener("close", () => reject(new Error("the server refused the connection")));
    });
  }

  send(type, fields = {}) { if (this.isOpen) this.#socket.send(JSON.stringify({ type, ...fields })); }

  /** How much still waits to be sent, in bytes. */
  get unsent() { return this.#socket?.bufferedAmount ?? 0; }

  close() { const socket = this.#socket; this.#socket = undefined; socket?.close(); }
}
