// The second rater's page: the answer and the text with the marks of the flaw in question.

import { MarkedText } from "./marks.js";
import { MarkedPicture, MarkedSound } from "./media.js";

const data = JSON.parse(document.getElementById("data").textContent);
for (const name of ["answer", "passage"]) {
  const Kind = { text: MarkedText, image: MarkedPicture }[data[name].modality] ?? MarkedSound;
  const medium = new Kind(document.getElementById(name), Kind === MarkedText ? data[name].text : data[name], null);
  const spans = data[`${name}_spans`].map((span) => ({ ...span, name: "current" }));
  medium.render(spans);
  if (spans.length) medium.reveal(spans[0].begin ?? 0);
  const times = spans.filter((span) => span.kind === "time").map((span) => `${span.begin_s} s to ${span.end_s} s`);
  if (times.length) document.getElementById(name).append(`Marked: ${times.join(", ")}`);
}
