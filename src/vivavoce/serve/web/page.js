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
const LEAST_HELD_S = 0.1; // chosen: less than this is a slip of the finger, not a question
const LEVEL_MS = 90; // drawn about ten times a second: a slow machine has sound to send
const OFF = "Microphone is off. Press Talk to open it.";
let microphone = null;
let isOpening = false;
let isHeld = false;
let heldS = 0;
let hearingId = null;
let wasAway = false;
let levelShownAt = 0;
let retryTimer;
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

/** Nothing is being said: ready, and listening where sound is sent. */
function showReady() {
  if (hearingId) setState("hearing", "Hearing you");
  else setState("listening", microphone && (!isPush() || isHeld) ? "Listening" : "Ready");
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
  clearTimeout(retryTimer);
  setState("connecting", "Connecting…");
  const key = $("key").value.trim();
  try {
    await realtime.open(key);
  } catch (error) {
    setState("error", "Not connected");
    await explainRefusal(key);
    return;
  }
  retryMs = 500;
  configure();
}

/** A browser does not say why a socket was refused; the models' address does. */
async function explainRefusal(key) {
  const answer = await fetch("/v1/models", { headers: key ? { Authorization: `Bearer ${key}` } : {} }).catch(() => null);
  if (answer?.status !== 401 || realtime.isOpen) return;
  clearTimeout(retryTimer);
  setState("error", "A key is needed");
  setMicrophone("The server asks for a key. Write it under Connection and timing, then press Reconnect.");
  $("connection").open = true;
}

/** The session is gone, and with it all that was going on. */
function leave() {
  wasAway = true;
  responseId = hearingId = null;
  $("stop").hidden = true;
  log.finishAll();
}

realtime.addEventListener("closed", ({ detail }) => {
  const reasons = { 1001: "The server is shutting down.", 1013: "All places to talk are taken; trying again.", 1008: "The connection was too slow." };
  leave();
  setState("error", "Not connected");
  setMicrophone(microphone ? "The microphone is open, but the server is away; nothing is sent." : "Microphone is off, and the server is away.");
  if (reasons[detail.code]) log.notice(reasons[detail.code]);
  retryMs = Math.min(retryMs * 2, 10000);
  clearTimeout(retryTimer);
  retryTimer = setTimeout(connect, retryMs);
});

// ---- what the server says

const handlers = {
  "session.created": ({ session }) => {
    $("model").textContent = session.model ?? "transcription";
    if (!wasAway) return;
    wasAway = false;
    setMicrophone(microphone ? "The microphone is open. Just talk." : OFF);
    if (!log.isEmpty) log.notice("Connected again. The model remembers nothing of what was said before.");
  },
  "session.updated": () => { if (!responseId) showReady(); },
  "input_audio_buffer.speech_started": ({ item_id }) => {
    hearingId = item_id;
    log.entry(item_id, "user");
    setState("hearing", "Hearing you");
    interrupt();
  },
  "input_audio_buffer.committed": ({ item_id }) => { hearingId = null; log.entry(item_id, "user"); },
  "input_audio_buffer.cleared": () => { if (hearingId) log.remove(hearingId); hearingId = null; },
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
  "response.output_text.delta": ({ item_id, delta }) => { recordWait(item_id); log.addText(item_id, "assistant", delta); },
  "response.output_audio.done": ({ item_id }) => player.finish(item_id),
  "response.content_part.done": ({ item_id, part }) => {
    if (part.type === "image") log.addPicture(item_id, "assistant", part.image_url, { isDrawn: true, label: `A picture the model drew, asked: ${log.lastRequest}` });
  },
  "response.done": ({ response }) => {
    responseId = null;
    $("stop").hidden = true;
    showReady();
    for (const item of response.output) log.finish(item.id);
    const reason = response.status_details?.reason;
    const spoken = response.output.find((item) => item.content[0]?.type !== "output_image");
    if (spoken && reason === "turn_detected") log.setNote(spoken.id, "assistant", "interrupted");
    if (spoken && reason === "client_cancelled") log.setNote(spoken.id, "assistant", "stopped");
    if (reason === "content_filter") log.notice("The answer was cut by a guard of this server.");
    if (response.status === "failed") log.notice(`The answer failed: ${response.status_details?.error?.message ?? "no reason given"}`);
  },
  error: ({ error }) => {
    // both sides acted at once, and nothing is lost by it
    if (["response_cancel_not_active", "input_audio_buffer_commit_empty", "conversation_already_has_active_response"].includes(error.code)) return;
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
  const power = new Int16Array(buffer).reduce((sum, value) => sum + (value / 32768) ** 2, 0) / (buffer.byteLength / 2);
  if (10 * Math.log10(power + 1e-9) >= VOICED_DB) recordWait(itemId);
}

/** The first of an answer that can be heard or read has come. */
function recordWait(itemId) {
  if (timed.has(itemId) || lastVoicedAt === null) return;
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
  if (isOpening) return false;
  const opened = new Microphone();
  isOpening = true;
  setMicrophone("Opening the microphone…");
  try {
    await opened.open();
  } catch (error) {
    setMicrophone(explainMicrophone(error));
    return false;
  } finally {
    isOpening = false;
  }
  // what a microphone that was closed had still on its way changes nothing
  const on = (name, act) => opened.addEventListener(name, (event) => { if (opened === microphone) act(event); });
  on("chunk", ({ detail }) => onChunk(detail));
  on("mute", () => setMicrophone("The system has muted the microphone."));
  on("unmute", () => setMicrophone("The microphone is open."));
  on("ended", () => closeMicrophone("The microphone was unplugged. Press Talk to open another."));
  microphone = opened;
  heardAnything = false;
  silentSince = performance.now();
  return true;
}

/** Close it. Whoever was in the middle of a question has asked it now. */
function closeMicrophone(words = OFF) {
  const wasHearing = hearingId !== null;
  microphone?.close();
  microphone = null;
  isHeld = false;
  showTalkButton();
  showLevel(-60);
  setMicrophone(words);
  if (wasHearing) askNow();
  else if (!responseId && realtime.isOpen) showReady();
}

function askNow() {
  lastVoicedAt ??= performance.now();
  realtime.send("input_audio_buffer.commit");
  realtime.send("response.create");
}

function showTalkButton() {
  const isOn = isPush() ? isHeld : microphone !== null;
  $("talk").dataset.on = isOn;
  $("talk").textContent = isPush() ? (isHeld ? "Release to send" : "Hold to talk") : isOn ? "Close the microphone" : "Talk";
}

function showLevel(levelDb) {
  levelShownAt = performance.now();
  const level = Math.max(-60, Math.min(0, levelDb));
  $("meter").setAttribute("aria-valuenow", Math.round(level));
  $("meter").setAttribute("aria-valuetext", level > VOICED_DB ? "voice" : level > -60 ? "quiet" : "silent");
  $("meter").firstElementChild.style.width = `${((level + 60) / 60) * 100}%`;
}

function onChunk({ pcm, levelDb }) {
  if (performance.now() - levelShownAt > LEVEL_MS) showLevel(levelDb);
  if (isPush() && !isHeld) return;
  if (!realtime.isOpen || realtime.unsent > 1_000_000) return;
  realtime.send("input_audio_buffer.append", { audio: toBase64(pcm) });
  sentS += 0.02;
  heldS += 0.02;
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

function press() {
  player.unlock(); // within the gesture, and not waited for: the button may be released meanwhile
  if (isPush()) hold();
  else if (microphone) closeMicrophone();
  else listen();
}

async function listen() {
  if (await openMicrophone()) {
    setMicrophone(isPush() ? "The microphone is ready. Hold Talk and speak."
      : microphone.isMuted ? "The system has muted the microphone." : "The microphone is open. Just talk.");
    if (!responseId && realtime.isOpen) showReady();
  }
  showTalkButton();
}

async function hold() {
  if (isHeld) return;
  isHeld = true;
  showTalkButton();
  if (!microphone && !(await openMicrophone())) { isHeld = false; showTalkButton(); return; }
  if (!isHeld) { setMicrophone("The microphone is ready. Hold Talk and speak."); return; }
  heldS = 0;
  if (responseId) realtime.send("response.cancel");
  interrupt();
  showReady();
  setMicrophone("Listening; release to send.");
}

function release() {
  if (!isPush() || !isHeld) return;
  isHeld = false;
  showTalkButton();
  if (!microphone) return;
  if (!responseId && realtime.isOpen) showReady();
  if (heldS < LEAST_HELD_S) {
    realtime.send("input_audio_buffer.clear");
    setMicrophone("Nothing was sent. Hold Talk, or the space bar, while you speak.");
    return;
  }
  askNow();
  setMicrophone("Sent. Hold Talk, or the space bar, to speak again.");
}

$("talk").addEventListener("click", () => { if (!isPush()) press(); });
$("talk").addEventListener("pointerdown", () => { if (isPush()) press(); });
for (const name of ["pointerup", "pointercancel", "pointerleave"]) $("talk").addEventListener(name, release);
window.addEventListener("blur", release);
/** Whether the space bar has its own meaning where the focus is. */
const isTyping = (target) => target.closest("textarea, input:not([type=radio]), select, summary, button:not(#talk)");
document.addEventListener("keydown", (event) => {
  if (event.code === "Escape") stopAnswer();
  if (event.code !== "Space" || !isPush() || event.repeat || isTyping(event.target)) return;
  event.preventDefault();
  press();
});
document.addEventListener("keyup", (event) => { if (event.code === "Space" && isPush() && isHeld) { event.preventDefault(); release(); } });

for (const radio of document.querySelectorAll("input[name=mode]")) {
  radio.addEventListener("change", () => {
    if (hearingId) log.remove(hearingId);
    hearingId = null;
    realtime.send("input_audio_buffer.clear");
    configure();
    if (microphone) closeMicrophone();
    showTalkButton();
  });
}
$("eagerness").addEventListener("change", configure);
$("spoken").addEventListener("change", configure);
$("reconnect").addEventListener("click", () => { leave(); connect(); });

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
  showAttached({ url, isFilm, name: file.name });
  $("text").focus();
}

function showAttached(next) {
  attached = next;
  $("attached").textContent = next ? `${next.isFilm ? "Film" : "Picture"} ready: ${next.name}` : "";
  $("detach").hidden = !next;
}
$("detach").addEventListener("click", () => { showAttached(null); $("text").focus(); });
$("file").addEventListener("change", () => { attach($("file").files[0]); $("file").value = ""; });
$("text").addEventListener("paste", (event) => { const [file] = event.clipboardData.files; if (file) { event.preventDefault(); attach(file); } });
let dragDepth = 0;
document.addEventListener("dragenter", (event) => { event.preventDefault(); dragDepth += 1; $("drop").hidden = false; });
document.addEventListener("dragleave", () => { dragDepth -= 1; if (dragDepth <= 0) $("drop").hidden = true; });
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => { event.preventDefault(); dragDepth = 0; $("drop").hidden = true; attach(event.dataTransfer.files[0]); });

$("text").addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); $("composer").requestSubmit(); } });
$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text && !attached) return;
  if (!realtime.isOpen) { log.notice("Not connected; the message was not sent."); return; }
  player.unlock();
  // not randomUUID, which pages on plain http have only on 127.0.0.1
  const id = `typed_${Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
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
  showAttached(null);
  $("text").value = "";
});

showTalkButton();
connect();
