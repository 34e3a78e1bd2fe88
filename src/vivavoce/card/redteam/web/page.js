// The page: a talk with the model on the left, the finding that holds it on the right.
import { Recorder, toBase64 } from "/web/recorder.js";

const $ = id => document.getElementById(id);
const turns = [];
let recorder = null;

function tell(id, text, isWrong = false) {
  $(id).textContent = text;
  $(id).classList.toggle("wrong", isWrong);
}

function addTurn(role, text, play) {
  const item = document.createElement("li"), who = document.createElement("span");
  item.className = role;
  who.className = "who";
  who.textContent = role === "user" ? "you" : "model";
  item.append(who, document.createTextNode(text || "[sound]"));
  if (play) {
    const audio = document.createElement("audio");
    audio.controls = true;
    audio.src = play;
    item.append(audio);
  }
  $("talk").append(item);
  $("talk").scrollTop = $("talk").scrollHeight;
}

async function post(path, body) {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(typeof data.detail === "string" ? data.detail : `the server answered ${answer.status}`);
  return data;
}

async function send(sound = "", play = "") {
  const text = $("text").value.trim();
  if (!text && !sound) { tell("say", "Write or record something first.", true); return; }
  setBusy(true);
  tell("say", "Waiting for the model …");
  try {
    const data = await post("/ask", { turns, text, sound, wants_audio: $("audio").checked });
    turns.push({ role: "user", text, sound: data.user_sound }, { role: "assistant", text: data.text, sound: data.sound });
    addTurn("user", text, play);
    addTurn("assistant", data.text, data.play);
    $("text").value = "";
    tell("say", "");
    tell("kept", `The finding holds the talk as it stands: ${turns.length} turns.`);
  } catch (error) {
    tell("say", error.message, true);
  } finally {
    setBusy(false);
    $("text").focus();
  }
}

function setBusy(isBusy) {
  for (const id of ["send", "record", "clear"]) $(id).disabled = isBusy;
  $("keep").disabled = isBusy || !turns.length;
}

async function record() {
  if (recorder) {
    const done = recorder;
    recorder = null;
    setRecording(false);
    const sound = toBase64(await done.stop());
    await send(sound, `data:audio/wav;base64,${sound}`);
    return;
  }
  // nothing else may be begun while the browser asks for the microphone
  setBusy(true);
  try {
    recorder = await Recorder.start(showSeconds, record);
    setRecording(true);
    tell("say", "Recording …");
  } catch {
    setBusy(false);
    tell("say", "The microphone was refused or is missing; you can still write.", true);
  }
}

// On the button and not in the status line, which a screen reader would read out every second.
function showSeconds(seconds) {
  if (recorder) $("record").textContent = `Stop and send (${seconds} s)`;
}

function setRecording(isOn) {
  $("record").textContent = isOn ? "Stop and send" : "Record";
  $("record").classList.toggle("on", isOn);
  $("record").setAttribute("aria-pressed", String(isOn));
  // what is written goes with the sound: while it is recorded, only this button sends
  setBusy(isOn);
  $("record").disabled = false;
  if (isOn) $("record").focus();
}

async function keep() {
  $("keep").disabled = true;
  const tags = Object.fromEntries(["category", "phase", "severity", "by"].map(id => [id, $(id).value]));
  try {
    const kept = await post("/findings", { ...tags, violates: $("violates").checked, note: $("words").value, turns });
    $("count").textContent = kept.count;
    $("words").value = "";
    $("violates").checked = false;
    tell("kept", `Kept as ${kept.finding_id}.`);
  } catch (error) {
    tell("kept", error.message, true);
  } finally {
    $("keep").disabled = $("send").disabled || !turns.length;
  }
}

$("ask").addEventListener("submit", event => { event.preventDefault(); send(); });
$("text").addEventListener("keydown", event => { if (event.key === "Enter" && event.ctrlKey && !$("send").disabled) send(); });
$("record").addEventListener("click", record);
$("note").addEventListener("submit", event => { event.preventDefault(); keep(); });
$("clear").addEventListener("click", () => {
  turns.length = 0;
  $("talk").textContent = "";
  setBusy(false);
  tell("say", "A new talk.");
  tell("kept", "The finding holds the talk as it stands. Talk first.");
  $("text").focus();
});
