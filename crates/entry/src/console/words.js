// Numbers, times and elements, as they are shown. What is shown already is left alone: who reads or selects it is not disturbed.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const share = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1 });

const rate = (value) => (value < 99.5 ? value.toFixed(1) : whole.format(value));

function lasted(milliseconds) {
  const seconds = Math.max(0, milliseconds / 1000);
  for (const [unit, length] of [["d", 86_400], ["h", 3600], ["min", 60]]) {
    if (seconds >= 2 * length) return `${Math.floor(seconds / length)} ${unit}`;
  }
  return `${Math.floor(seconds)} s`;
}

function bytes(count) {
  for (const [unit, size] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]]) {
    if (count >= size) return `${(count / size).toFixed(1)} ${unit}`;
  }
  return `${count} B`;
}

/** `in_flight` as people write it. */
const spaced = (word) => word.replaceAll("_", " ");

/** An element with what is in it: texts and other elements. */
function make(name, attributes = {}, ...inside) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...inside);
  return made;
}

function say(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

/**
 * The rows of a table: one for each item, by its key, so that a button keeps the focus while its row is told anew. While
 * somebody is at one of them, their order stays, and new ones come behind.
 */
function tell(table, columns, items, keyOf) {
  const [head] = table.tHead.rows;
  if (head?.cells.length !== columns.length) {
    // A column's head is where the column is, and else like any other.
    const placed = (kind) => kind.split(" ").filter((one) => one === "number" || one === "wide").join(" ");
    const cells = columns.map(({ name, kind = "" }) => make("th", { scope: "col", class: placed(kind) }, name));
    table.tHead.replaceChildren(make("tr", {}, ...cells));
    table.tBodies[0].replaceChildren();
  }
  table.hidden = items.length === 0;
  const body = table.tBodies[0];
  const isBusy = body.contains(document.activeElement) || body.matches(":hover");
  const rows = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  const told = items.map((item) => {
    const key = keyOf(item);
    const row = rows.get(key) ?? rowOf(columns, key);
    rows.delete(key);
    columns.forEach(({ show }, i) => show(item, row.cells[i]));
    return row;
  });
  for (const gone of rows.values()) gone.remove();
  const isInOrder = told.every((row, i) => body.rows[i] === row);
  if (!isInOrder && !isBusy) body.replaceChildren(...told);
  else for (const row of told) if (row.parentNode !== body) body.append(row);
}

function rowOf(columns, key) {
  const row = make("tr", { "data-key": key });
  columns.forEach(({ kind = "" }, i) => row.append(i === 0 ? make("th", { scope: "row", class: kind }) : make("td", { class: kind })));
  return row;
}

/** A column of texts. */
const texts = (name, kind, text) => ({ name, kind, show: (item, cell) => say(cell, text(item)) });

/** A column of buttons, which are made once. */
const buttons = (name, text, label, press) => ({
  name: "",
  kind: "button",
  show(item, cell) {
    const button = cell.firstChild ?? cell.appendChild(make("button", { type: "button", class: name }, text));
    button.setAttribute("aria-label", label(item));
    button.onclick = () => press(item);
  },
});

/** A bar of parts, each with its share of all. */
function fill(bar, parts) {
  const all = parts.reduce((sum, { count }) => sum + count, 0);
  parts.forEach(({ kind, count }, i) => {
    const part = bar.children[i] ?? bar.appendChild(make("span", { class: kind }));
    part.style.flexGrow = all === 0 ? 0 : count / all;
    part.hidden = count === 0;
  });
}

