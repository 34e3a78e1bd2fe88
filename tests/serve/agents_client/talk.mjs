// The stock realtime client of @openai/agents, against the address in argv: types, hears the answer, interrupts, speaks.
// Prints one line of JSON: what the session told it.

import { RealtimeAgent, RealtimeSession, OpenAIRealtimeWebSocket } from "@openai/agents/realtime";

const url = process.argv[2];
const agent = new RealtimeAgent({ name: "tester", instructions: "Answer briefly." });
const transport = new OpenAIRealtimeWebSocket({ url, apiKey: "none" });
const session = new RealtimeSession(agent, { transport, model: "any", config: { audio: { input: { turnDetection: { type: "semantic_vad", eagerness: "high" } } } } });

const seen = { audioBytes: 0, audioDone: 0, errors: [], interrupted: 0, turns: [] };
session.on("audio", ({ data }) => { seen.audioBytes += data.byteLength; });
session.on("audio_interrupted", () => { seen.interrupted += 1; });
session.on("error", ({ error }) => seen.errors.push(error?.error?.error?.message ?? error?.error?.message ?? String(error?.error ?? error)));
transport.on("audio_done", () => { seen.audioDone += 1; });
transport.on("audio_transcript_delta", ({ delta }) => { seen.transcript = (seen.transcript ?? "") + delta; });
transport.on("conversation.item.truncated", (event) => { seen.truncatedMs = event.audio_end_ms; });
transport.on("turn_done", ({ response }) => seen.turns.push(response.usage.totalTokens));

const until = async (isTrue, what) => {
  const end = Date.now() + 90000;
  while (!isTrue()) {
    if (Date.now() > end) throw new Error(`waited in vain for ${what}: ${JSON.stringify(seen)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

await session.connect({ apiKey: "none" });

session.sendMessage("good morning");
await until(() => seen.audioDone === 1, "the first answer");
seen.first = seen.transcript;

seen.transcript = "";
session.sendMessage("one two three four five six seven eight nine ten");
const before = seen.audioBytes;
await until(() => seen.audioBytes > before + 8 * 3840, "some of the second answer");
session.interrupt();
await until(() => seen.truncatedMs !== undefined, "the truncation");

seen.transcript = "";
const turnsBefore = seen.turns.length;
const chunk = (gain) => {
  const pcm = new Int16Array(1920);
  for (let idx = 0; idx < pcm.length; idx += 1) pcm[idx] = gain * 9000 * Math.sin((2 * Math.PI * 300 * idx) / 24000);
  return pcm.buffer;
};
for (let idx = 0; idx < 60 && seen.turns.length === turnsBefore; idx += 1) {
  session.sendAudio(chunk(idx < 16 ? 1 : 0));
  await new Promise((resolve) => setTimeout(resolve, 70));
}
await until(() => seen.turns.length > turnsBefore, "the spoken turn");
seen.third = seen.transcript;
await until(() => session.history.some((item) => item.role === "user" && item.content.some((part) => part.transcript)), "the transcript in the history");
seen.history = session.history.map((item) => ({ role: item.role, status: item.status, text: item.content.map((part) => part.text ?? part.transcript).join("") }));
session.close();
console.log(JSON.stringify(seen));
process.exit(0);
