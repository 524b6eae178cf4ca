// What the examples show: lines, the newest first.

/** So many are kept: a page that stays open does not grow. */
const MAX_LINES = 500;

const list = document.querySelector("#log");

export function log(...words) {
  const line = document.createElement("li");
  line.textContent = words.join(" ");
  list.prepend(line);
  if (list.childElementCount > MAX_LINES) list.lastElementChild.remove();
}
