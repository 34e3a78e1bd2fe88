// The page: ties microphone, player, protocol and log together. All visible state has words.

import { explainMicrophone, Microphone } from "./microphone.js";
import { Player } from "./player.js";
import { fromBase64, Realtime, toBase64 } from "./realtime.js";
import { Log } from "./log.js";

const $ = (id) => document.getElementById(id);
const realtime = new Realtime();
const player = new Player();
const log = new Log($("log"), $("empty"));
const VOICED_DB = -45;
const SILENT_S = 4;
let microphone = null;
let isHeld = false;
let attached = null;
let lastVoicedAt = null;
let sentS = 0;
let heardAnything = false;
let silentSince = performance.now();
let responseId = null;
let retryMs = 500;
const waits = [];
const timed = new Set();

const isPush = () => document.querySelector("input[name=mode]:checked").value === "push";

function setState(state, words) {
  document.body.dataset.state = state;
  $("status-text").textContent = words;
}

function setMicrophone(words) { if ($("mic-state").textContent !== words) $("mic-state").textContent = words; }

function configure() {
  const eagerness = $("eagerness").value;
  realtime.send("session.update", {
    session: {
      type: "realtime",
      output_modalities: [$("spoken").checked ? "audio" : "text"],
      audio: {
        input: {
          turn_detection: isPush() ? null : { type: "semantic_vad", eagerness },
          transcription: { model: "vivavoce", delay: "minimal" },
        },
      },
    },
  });
}

async function connect() {
  setState("connecting", "Connecting…");
  try {
    await realtime.open($("key").value.trim());
    retryMs = 500;
  } catch (error) {
    setState("error", "Not connected");
    return;
  }
  configure();
}

realtime.addEventListener("closed", ({ detail }) => {
  const reasons = { 1001: "The server is shutting down.", 1013: "All places to talk are taken; trying again.", 1008: "The connection was too slow." };
  setState("error", "Not connected");
  setMicrophone(microphone ? "The microphone is open, but the server is away; nothing is sent." : "Microphone is off, and the server is away.");
  if (reasons[detail.code]) log.notice(reasons[detail.code]);
  retryMs = Math.min(retryMs * 2, 10000);
  setTimeout(connect, retryMs);
});

// ---- what the server says

const handlers = {
  "session.created": ({ session }) => { $("model").textContent = session.model ?? "transcription"; },
  "session.updated": () => { if (!responseId) setState("listening", microphone ? "Listening" : "Ready"); },
  "input_audio_buffer.speech_started": ({ item_id }) => {
    log.entry(item_id, "user");
    setState("hearing", "Hearing you");
    interrupt();
  },
  "input_audio_buffer.committed": ({ item_id }) => { log.entry(item_id, "user"); },
  "conversation.item.input_audio_transcription.delta": ({ item_id, delta }) => log.addText(item_id, "user", delta),
  "conversation.item.input_audio_transcription.completed": ({ item_id, transcript }) => log.setText(item_id, "user", transcript),
  "response.created": ({ response }) => { responseId = response.id; $("stop").hidden = false; setState("speaking", "Answering"); },
  "response.output_item.added": ({ item }) => { log.entry(item.id, "assistant"); },
  "response.output_audio.delta": ({ item_id, delta }) => {
    const pcm = fromBase64(delta);
    noteWait(item_id, pcm);
    player.play(item_id, pcm);
    showFacts();
  },
  "response.output_audio_transcript.delta": ({ item_id, delta }) => log.addText(item_id, "assistant", delta),
  "response.output_text.delta": ({ item_id, delta }) => log.addText(item_id, "assistant", delta),
  "response.output_audio.done": ({ item_id }) => player.finish(item_id),
  "response.content_part.done": ({ item_id, part }) => {
    if (part.type === "image") log.addPicture(item_id, "assistant", part.image_url, { isDrawn: true, label: `A picture the model drew, asked: ${log.lastRequest}` });
  },
  "response.done": ({ response }) => {
    responseId = null;
    $("stop").hidden = true;
    setState("listening", microphone ? "Listening" : "Ready");
    for (const item of response.output) log.finish(item.id);
    const reason = response.status_details?.reason;
    const spoken = response.output.find((item) => item.content[0]?.type !== "output_image");
    if (spoken && reason === "turn_detected") log.setNote(spoken.id, "assistant", "interrupted");
    if (spoken && reason === "client_cancelled") log.setNote(spoken.id, "assistant", "stopped");
    if (reason === "content_filter") log.notice("The answer was cut by a guard of this server.");
    if (response.status === "failed") log.notice(`The answer failed: ${response.status_details?.error?.message ?? "no reason given"}`);
  },
  error: ({ error }) => {
    if (["response_cancel_not_active", "input_audio_buffer_commit_empty"].includes(error.code)) return;
    log.notice(error.message);
  },
};
realtime.addEventListener("event", ({ detail }) => handlers[detail.type]?.(detail));

/** Stop playing; tell the server how much was heard, so that the model remembers no more than that. */
function interrupt() {
  const cut = player.stop();
  if (cut) realtime.send("conversation.item.truncate", { item_id: cut.itemId, content_index: 0, audio_end_ms: cut.playedMs });
}

function noteWait(itemId, buffer) {
  if (timed.has(itemId) || lastVoicedAt === null) return;
  const power = new Int16Array(buffer).reduce((sum, value) => sum + (value / 32768) ** 2, 0) / (buffer.byteLength / 2);
  if (10 * Math.log10(power + 1e-9) < VOICED_DB) return;
  timed.add(itemId);
  const waitMs = Math.round(performance.now() - lastVoicedAt);
  lastVoicedAt = null;
  waits.push(waitMs);
  log.setNote(itemId, "assistant", `waited ${waitMs} ms`);
  $("last-wait").textContent = `${waitMs} ms`;
  const sorted = [...waits].sort((a, b) => a - b);
  $("median-wait").textContent = `${sorted[sorted.length >> 1]} ms (${waits.length})`;
}

function showFacts() {
  $("gaps").textContent = player.gaps;
  $("traffic").textContent = `${sentS.toFixed(0)} s / ${player.receivedS.toFixed(0)} s`;
}

// ---- the microphone

async function openMicrophone() {
  const opening = new Microphone();
  setMicrophone("Opening the microphone…");
  try {
    await opening.open();
  } catch (error) {
    setMicrophone(explainMicrophone(error));
    return false;
  }
  opening.addEventListener("chunk", ({ detail }) => onChunk(detail));
  opening.addEventListener("mute", () => setMicrophone("The system has muted the microphone."));
  opening.addEventListener("unmute", () => setMicrophone("The microphone is open."));
  opening.addEventListener("ended", () => { closeMicrophone(); setMicrophone("The microphone was unplugged. Press Talk to open another."); });
  microphone = opening;
  heardAnything = false;
  silentSince = performance.now();
  return true;
}

function closeMicrophone() {
  microphone?.close();
  microphone = null;
  isHeld = false;
  showTalkButton();
  showLevel(-60);
  setMicrophone("Microphone is off. Press Talk to open it.");
}

function showTalkButton() {
  const isOn = isPush() ? isHeld : microphone !== null;
  $("talk").dataset.on = isOn;
  $("talk").textContent = isPush() ? (isHeld ? "Release to send" : "Hold to talk") : isOn ? "Close the microphone" : "Talk";
}

function showLevel(levelDb) {
  const level = Math.max(-60, Math.min(0, levelDb));
  $("meter").setAttribute("aria-valuenow", Math.round(level));
  $("meter").setAttribute("aria-valuetext", level > VOICED_DB ? "voice" : level > -60 ? "quiet" : "silent");
  $("meter").firstElementChild.style.width = `${((level + 60) / 60) * 100}%`;
}

function onChunk({ pcm, levelDb }) {
  showLevel(levelDb);
  if (isPush() && !isHeld) return;
  if (!realtime.isOpen || realtime.unsent > 1_000_000) return;
  realtime.send("input_audio_buffer.append", { audio: toBase64(pcm) });
  sentS += 0.02;
  const now = performance.now();
  if (levelDb > VOICED_DB) {
    if (!player.isPlaying) lastVoicedAt = now;
    heardAnything = true;
    silentSince = now;
    setMicrophone(isPush() ? "Hearing you; release to send." : "The microphone is open and hears you.");
  } else if (now - silentSince > SILENT_S * 1000) {
    setMicrophone(heardAnything
      ? "The microphone is open; it is quiet."
      : "The microphone is open but gives no sound. Is it muted, or is another one chosen in the system?");
  }
}

async function press() {
  await player.unlock();
  if (!isPush()) {
    if (microphone) closeMicrophone();
    else if (await openMicrophone()) { setMicrophone("The microphone is open. Just talk."); setState("listening", "Listening"); }
    showTalkButton();
    return;
  }
  if (isHeld) return;
  isHeld = true;
  showTalkButton();
  if (!microphone && !(await openMicrophone())) { isHeld = false; showTalkButton(); return; }
  if (!isHeld) { setMicrophone("The microphone is ready. Hold Talk and speak."); return; }
  if (responseId) realtime.send("response.cancel");
  interrupt();
  setMicrophone("Hearing you; release to send.");
}

function release() {
  if (!isPush() || !isHeld) return;
  isHeld = false;
  showTalkButton();
  if (!microphone) return;
  lastVoicedAt ??= performance.now();
  realtime.send("input_audio_buffer.commit");
  realtime.send("response.create");
  setMicrophone("Sent. Hold Talk, or the space bar, to speak again.");
}

$("talk").addEventListener("click", () => { if (!isPush()) press(); });
$("talk").addEventListener("pointerdown", () => { if (isPush()) press(); });
for (const name of ["pointerup", "pointercancel", "pointerleave"]) $("talk").addEventListener(name, release);
const isTyping = (target) => target.closest("textarea, input:not([type=radio]):not([type=checkbox]), select, summary");
document.addEventListener("keydown", (event) => {
  if (event.code === "Escape") stopAnswer();
  if (event.code !== "Space" || !isPush() || event.repeat || isTyping(event.target)) return;
  event.preventDefault();
  press();
});
document.addEventListener("keyup", (event) => { if (event.code === "Space" && isPush() && !isTyping(event.target)) { event.preventDefault(); release(); } });

for (const radio of document.querySelectorAll("input[name=mode]")) {
  radio.addEventListener("change", () => { realtime.send("input_audio_buffer.clear"); configure(); if (microphone) closeMicrophone(); showTalkButton(); });
}
$("eagerness").addEventListener("change", configure);
$("spoken").addEventListener("change", configure);
$("reconnect").addEventListener("click", connect);

function stopAnswer() {
  if (responseId) realtime.send("response.cancel");
  interrupt();
}
$("stop").addEventListener("click", stopAnswer);

// ---- typing, pictures and films

async function attach(file) {
  if (!file) return;
  const isFilm = file.type.startsWith("video/");
  if (!isFilm && !file.type.startsWith("image/")) { log.notice(`${file.name} is neither a picture nor a film.`); return; }
  if (file.size > 11_000_000) { log.notice(`${file.name} has ${(file.size / 1e6).toFixed(1)} MB; at most 11 MB can be sent at once.`); return; }
  const url = await new Promise((resolve) => { const reader = new FileReader(); reader.onload = () => resolve(reader.result); reader.readAsDataURL(file); });
  attached = { url, isFilm, name: file.name };
  $("attached").textContent = `${isFilm ? "Film" : "Picture"} ready: ${file.name}`;
  $("text").focus();
}
$("file").addEventListener("change", () => { attach($("file").files[0]); $("file").value = ""; });
$("text").addEventListener("paste", (event) => { const [file] = event.clipboardData.files; if (file) { event.preventDefault(); attach(file); } });
let dragDepth = 0;
document.addEventListener("dragenter", (event) => { event.preventDefault(); dragDepth += 1; $("drop").hidden = false; });
document.addEventListener("dragleave", () => { dragDepth -= 1; if (dragDepth <= 0) $("drop").hidden = true; });
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => { event.preventDefault(); dragDepth = 0; $("drop").hidden = true; attach(event.dataTransfer.files[0]); });

$("text").addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); $("composer").requestSubmit(); } });
$("composer").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text && !attached) return;
  if (!realtime.isOpen) { log.notice("Not connected; the message was not sent."); return; }
  await player.unlock();
  const id = `typed_${crypto.randomUUID().replaceAll("-", "")}`.slice(0, 32);
  const content = [];
  if (attached) content.push(attached.isFilm ? { type: "input_video", video_url: attached.url } : { type: "input_image", image_url: attached.url });
  if (text) content.push({ type: "input_text", text });
  if (responseId) realtime.send("response.cancel");
  interrupt();
  realtime.send("conversation.item.create", { item: { id, type: "message", role: "user", content } });
  realtime.send("response.create");
  log.setText(id, "user", text || " ");
  if (attached) log.addPicture(id, "user", attached.url, { isFilm: attached.isFilm, label: attached.name });
  lastVoicedAt = performance.now();
  attached = null;
  $("attached").textContent = "";
  $("text").value = "";
});

showTalkButton();
connect();
