// The labeller's page: suggestions, the flaw being written, the list, handing in.

import { MarkedText } from "./marks.js";
import { MarkedPicture, MarkedSound } from "./media.js";
import { Saver } from "./saver.js";

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const blank = () => ({ uid: crypto.randomUUID(), text: "", category: null, category_text: "", severity: null, passage_spans: [], answer_spans: [], shown: null, refinement: "" });
const isBlank = (flaw) => !flaw.text.trim() && !flaw.passage_spans.length && !flaw.answer_spans.length;
const body = { flaws: [], deleted: [], editor: null, verdicts: {}, rating: null, has_no_flaws: false };
let editor = blank();
let focused = null; // place of the suggestion that is looked at

function make(tag, values = {}, ...children) {
  const node = Object.assign(document.createElement(tag), values);
  node.append(...children);
  return node;
}

function button(text, act, hidden = "") {
  const node = make("button", { type: "button", className: "quiet", textContent: text });
  if (hidden) node.append(make("span", { className: "hidden", textContent: ` ${hidden}` }));
  node.addEventListener("click", act);
  return node;
}

// ---- reading: passage and answer
const media = {};
for (const name of ["answer", "passage"]) {
  const Kind = { text: MarkedText, image: MarkedPicture }[data[name].modality] ?? MarkedSound;
  media[name] = new Kind($(name), Kind === MarkedText ? data[name].text : data[name], (span) => addMark(name, span));
}

function quote(name, span) {
  if (span.kind === "region") return `${span.width} × ${span.height} pixels at ${span.x}, ${span.y}`;
  if (span.kind === "time") return `${span.begin_s} s to ${span.end_s} s`;
  const words = media[name].slice(span.begin, span.end).replace(/\s+/g, " ");
  return words.length > 70 ? `${words.slice(0, 45)} … ${words.slice(-20)}` : words;
}

function addMark(name, span) {
  const list = editor[`${name}_spans`];
  if (!list.some((one) => JSON.stringify(one) === JSON.stringify(span))) list.push(span);
  changed();
}

function renderMarks() {
  for (const name of ["answer", "passage"]) {
    const of = (flaw, as) => flaw[`${name}_spans`].map((span) => ({ ...span, name: as }));
    const shown = focused === null ? [] : of(data.shown[focused], "shown");
    media[name].render([...body.flaws.flatMap((flaw) => of(flaw, "other")), ...shown, ...of(editor, "current")]);
  }
}

// ---- suggestions
function renderShown() {
  if (!$("shown")) return;
  const usedNow = new Set([...body.flaws, editor].map((flaw) => flaw.shown));
  for (const [place, one] of data.shown.entries()) {
    const card = $("shown").children[place] ?? $("shown").appendChild(makeCard(place, one));
    const isUsed = usedNow.has(place), isRejected = body.verdicts[place] === "rejected" && !isUsed;
    card.classList.toggle("rejected", isRejected);
    card.classList.toggle("active", isUsed);
    const [use, reject] = card.querySelectorAll("button");
    use.disabled = isUsed;
    reject.disabled = isUsed;
    reject.setAttribute("aria-pressed", String(isRejected));
    card.querySelector(".meta").textContent = isUsed ? "In your list or being written" : isRejected ? "You said: not a flaw" : "";
  }
}

function makeCard(place, one) {
  const name = `suggestion ${place + 1}`;
  const words = one.text ?? [...one.answer_spans.map((span) => `Answer: “${quote("answer", span)}”`), ...one.passage_spans.map((span) => `Text: “${quote("passage", span)}”`)].join("\n");
  const card = make("li", {}, ...words.split("\n").map((line) => make("p", { className: "words", textContent: line })));
  const row = make("div", { className: "row" }, button(one.text === null ? "Start a flaw here" : "Use this", () => adopt(place), name), button("Not a flaw", () => reject(place), name));
  row.append(make("span", { className: "meta" }));
  card.append(row);
  const look = () => {
    focused = place;
    renderMarks();
    for (const medium of ["answer", "passage"]) if (one[`${medium}_spans`].length) media[medium].reveal(one[`${medium}_spans`][0].begin ?? 0);
  };
  const leave = () => ((focused = null), renderMarks());
  for (const kind of ["mouseenter", "focusin"]) card.addEventListener(kind, look);
  for (const kind of ["mouseleave", "focusout"]) card.addEventListener(kind, leave);
  return card;
}

function adopt(place) {
  if (!isBlank(editor)) return complain("First add the flaw that you are writing to your list, or clear it.");
  const one = data.shown[place];
  editor = { ...blank(), text: one.text ?? "", passage_spans: [...one.passage_spans], answer_spans: [...one.answer_spans], shown: place };
  delete body.verdicts[place];
  fillEditor();
  changed();
  $("flaw-text").focus();
}

function reject(place) {
  if (body.verdicts[place] === "rejected") delete body.verdicts[place];
  else body.verdicts[place] = "rejected";
  changed();
}

// ---- the flaw being written
function makeChoices(id, values, onChoose) {
  for (const [value, label] of values) {
    const input = make("input", { type: "radio", name: id, value });
    input.addEventListener("change", () => onChoose(value));
    $(id).append(make("label", {}, input, ` ${label}`));
  }
}

function choose(id, value) {
  for (const input of $(id).querySelectorAll("input")) input.checked = input.value === String(value);
}

makeChoices("categories", data.categories.map((name) => [name, name]), (value) => ((editor.category = value), changed()));
makeChoices("severities", Object.entries(data.severities).map(([level, word]) => [Number(level), `${level} ${word}`]), (value) => ((editor.severity = value), changed()));
makeChoices("rating", [1, 2, 3, 4, 5, 6, 7].map((value) => [value, value]), (value) => ((body.rating = value), changed()));
$("flaw-text").addEventListener("input", () => ((editor.text = $("flaw-text").value), changed()));
$("category-text").addEventListener("input", () => ((editor.category_text = $("category-text").value), changed()));
$("refinement")?.addEventListener("input", () => ((editor.refinement = $("refinement").value), changed()));
$("clear").addEventListener("click", () => clearEditor());
$("editor").addEventListener("submit", (event) => (event.preventDefault(), addFlaw()));
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.ctrlKey) (event.preventDefault(), addFlaw());
});

function fillEditor() {
  $("flaw-text").value = editor.text;
  $("category-text").value = editor.category_text;
  if ($("refinement")) $("refinement").value = editor.refinement;
  choose("categories", editor.category);
  choose("severities", editor.severity);
  complain("");
}

function renderEditor() {
  $("other-line").hidden = editor.category !== "other";
  const chips = ["answer", "passage"].flatMap((name) =>
    editor[`${name}_spans`].map((span, idx) => {
      const words = quote(name, span);
      const chip = make("span", { className: "chip", textContent: `${name === "answer" ? "answer" : "text"}: ${words}` });
      chip.append(button("×", () => (editor[`${name}_spans`].splice(idx, 1), changed()), `remove the mark ${words}`));
      return chip;
    }),
  );
  $("marks").replaceChildren(...chips);
}

function complain(words) {
  $("editor-problem").textContent = words;
  $("editor-problem").hidden = !words;
}

function clearEditor() {
  body.deleted.push(editor.uid);
  editor = blank();
  fillEditor();
  changed();
  $("flaw-text").focus();
}

function addFlaw() {
  const missing = [
    [!editor.text.trim(), "say what is wrong", $("flaw-text")],
    [!editor.category, "choose a category", $("categories").querySelector("input")],
    [!editor.severity, "choose how serious it is", $("severities").querySelector("input")],
    [data.ask_refinement && !editor.refinement.trim(), "write how the answer should read", $("refinement")],
  ].filter(([isMissing]) => isMissing);
  if (missing.length) {
    complain(`Please ${missing.map(([, words]) => words).join(", ")}.`);
    missing[0][2].focus();
    return;
  }
  body.flaws.push(editor);
  body.has_no_flaws = false;
  editor = blank();
  fillEditor();
  changed();
  $("flaw-text").focus();
}

// ---- the list
function renderFlaws() {
  $("num-flaws").textContent = body.flaws.length;
  $("no-flaws").checked = body.has_no_flaws;
  $("none-line").hidden = body.flaws.length > 0;
  $("flaws").replaceChildren(
    ...body.flaws.map((flaw, idx) => {
      const places = flaw.answer_spans.length + flaw.passage_spans.length;
      const meta = `${flaw.category ?? "no category"} · ${flaw.severity ? data.severities[flaw.severity] : "no severity"} · ${places} ${places === 1 ? "mark" : "marks"}`;
      const row = make("div", { className: "row" }, make("span", { className: "meta", textContent: meta }), button("Edit", () => editFlaw(idx), `flaw ${idx + 1}`), button("Remove", () => removeFlaw(idx), `flaw ${idx + 1}`));
      return make("li", { id: `flaw-${flaw.uid}`, tabIndex: -1 }, make("p", { textContent: flaw.text || "(no words yet)" }), row);
    }),
  );
}

function editFlaw(idx) {
  if (!isBlank(editor)) return complain("First add the flaw that you are writing to your list, or clear it."), $("flaw-text").focus();
  [editor] = body.flaws.splice(idx, 1);
  fillEditor();
  changed();
  $("flaw-text").focus();
}

function removeFlaw(idx) {
  body.deleted.push(body.flaws.splice(idx, 1)[0].uid);
  changed();
  $("h-flaws").scrollIntoView({ block: "nearest" });
}

$("no-flaws").addEventListener("change", () => ((body.has_no_flaws = $("no-flaws").checked), changed()));

// ---- saving and handing in
const saver = new Saver(data, { read: () => ({ ...body, editor: isBlank(editor) ? null : editor }), adopt: take, show });

function take(next) {
  const { editor: kept, ...rest } = next;
  Object.assign(body, rest);
  editor = kept ?? blank();
  fillEditor();
  choose("rating", body.rating);
  render();
}

function render() {
  renderShown();
  renderEditor();
  renderFlaws();
  renderMarks();
}

function changed() {
  complain("");
  render();
  saver.changed();
}

function show(state, words) {
  $("saved").textContent = { signed_out: "Signed out", other_tab: "Open in another tab", finished: "Finished" }[state] ?? words;
  const isTrouble = !["pending", "saved"].includes(state);
  $("trouble").hidden = !isTrouble;
  if (!isTrouble) return;
  $("trouble").replaceChildren(`${words} `);
  if (state === "signed_out") $("trouble").append("What you typed since is kept in this browser and comes back when you return.");
  if (state === "other_tab" || state === "csrf") $("trouble").append(button(state === "csrf" ? "Reload" : "Take over here", () => location.reload()));
  if (state === "finished" || state === "not_found" || state === "closed") $("trouble").append(make("a", { className: "button", href: "/", textContent: "Go to your start page" }));
  if (saver.isDead) for (const node of document.querySelectorAll(".writing button, .writing input, .writing textarea")) node.disabled = true;
  scrollTo({ top: 0 });
}

async function handIn() {
  $("submit").disabled = true;
  await saver.flush();
  if (!saver.isDirty && !saver.isDead) {
    const answer = await saver.post("submit", { base_version: saver.version, body: saver.read() });
    if (answer?.next) return saver.done(), location.replace(answer.next);
    if (answer) {
      saver.version = answer.version ?? saver.version;
      if (answer.body) take(answer.body);
      showProblems(answer.problems);
    }
  }
  $("submit").disabled = saver.isDead;
}

function showProblems(problems) {
  const rows = problems.map(({ uid, message }) => {
    const row = make("li", { textContent: message });
    if (uid && $(`flaw-${uid}`)) row.append(" ", make("a", { href: `#flaw-${uid}`, textContent: "Show" }));
    return row;
  });
  $("problems").replaceChildren(make("p", { textContent: "Not handed in yet:" }), make("ul", {}, ...rows));
  $("problems").hidden = false;
  $("problems").focus();
}

$("submit").addEventListener("click", handIn);
$("decline").addEventListener("click", async () => {
  await saver.flush();
  const answer = await saver.post("decline", { reason: $("reason").value });
  if (answer?.next) (saver.done(), location.replace(answer.next));
});
addEventListener("pageshow", (event) => event.persisted && location.reload()); // back button: ask the server what is true now

const backup = saver.backup();
take(backup?.body ?? { ...body, ...data.body });
if (backup) {
  saver.version = backup.version;
  saver.changed();
}
document.documentElement.dataset.ready = "yes";
