// What is selected, as it stands in the form: topics, and conditions or a filter in JSON.

/** The operators of a condition, with their names here. */
const OPERATORS = {
  eq: "is",
  ne: "is not",
  in: "is one of",
  nin: "is none of",
  gt: ">",
  gte: "≥",
  lt: "<",
  lte: "≤",
  prefix: "begins with",
  suffix: "ends with",
  contains: "contains",
  exists: "exists: true or false",
};

/** What is wrong with what was typed in, and where. */
class Wrong extends Error {
  constructor(place, message) {
    super(message);
    this.place = place;
  }
}

/** `{topics, where}` or `{topics, filter}`, and `snapshot` or `after`: the options of the client. Throws `Wrong`. */
function selected() {
  const topics = element("topics-wanted").value.split(",").map((topic) => topic.trim());
  const chosen = { topics: topics.filter((topic) => topic !== "") };
  if (chosen.topics.length === 0) chosen.topics = [">"];
  const begin = element("begin").value;
  if (begin === "snapshot") chosen.snapshot = true;
  if (begin === "earliest") chosen.after = "earliest";
  if (isInJson()) {
    const filter = filterIn(element("filter"));
    return filter === undefined ? chosen : { ...chosen, filter };
  }
  const where = conditions();
  return Object.keys(where).length === 0 ? chosen : { ...chosen, where };
}

const isInJson = () => document.querySelector("[name=way]:checked").value === "json";

function filterIn(place) {
  const text = place.value.trim();
  if (text === "") return undefined;
  let filter;
  try {
    filter = JSON.parse(text);
  } catch (error) {
    throw new Wrong(place, `The filter is not JSON: ${error.message}`);
  }
  if (filter === null || typeof filter !== "object" || Array.isArray(filter)) throw new Wrong(place, "A filter is a JSON object, such as {\"side\": \"buy\"}");
  return filter;
}

/** Each as the client and the URL have it: `field.operator`, and its value or values. */
function conditions() {
  const where = {};
  for (const row of element("conditions").children) {
    const [field, operator, value] = row.querySelectorAll("input, select");
    const name = field.value.trim();
    if (name === "") {
      if (value.value.trim() !== "") throw new Wrong(field, "A condition needs the field that it is about");
      continue;
    }
    const key = `${name}.${operator.value}`;
    if (key in where) throw new Wrong(field, `“${name} ${OPERATORS[operator.value]}” stands twice`);
    where[key] = operator.value.endsWith("in") ? value.value.split(",").map((one) => one.trim()) : value.value;
  }
  return where;
}

/** The conditions as a filter in JSON. What looks like a number or a truth is taken for one. */
function filterOf(where) {
  const filter = {};
  const typed = (text) => (/^(true|false|null|-?(0|[1-9]\d*)(\.\d+)?)$/.test(text) ? JSON.parse(text) : text);
  for (const [key, value] of Object.entries(where)) {
    const [, field, operator] = /^(.*)\.([a-z]+)$/.exec(key);
    filter[field] ??= {};
    filter[field][operator] = Array.isArray(value) ? value.map(typed) : typed(value);
  }
  return filter;
}

function addCondition() {
  const n = element("conditions").children.length + 1;
  const operators = Object.entries(OPERATORS).map(([value, name]) => make("option", { value }, name));
  const remove = make("button", { type: "button", class: "small", "aria-label": `Remove condition ${n}` }, "×");
  const typed = { spellcheck: "false", autocapitalize: "off", autocomplete: "off" };
  const row = make(
    "li",
    {},
    make("input", { ...typed, placeholder: "field", "aria-label": `Field of condition ${n}` }),
    make("select", { "aria-label": `Operator of condition ${n}` }, ...operators),
    make("input", { ...typed, placeholder: "value", "aria-label": `Value of condition ${n}` }),
    remove,
  );
  remove.addEventListener("click", () => {
    row.remove();
    element("add").focus();
    element("select").dispatchEvent(new Event("input"));
  });
  element("conditions").append(row);
  return row;
}

element("add").addEventListener("click", () => addCondition().firstChild.focus());
for (const way of document.querySelectorAll("[name=way]")) {
  way.addEventListener("change", () => {
    element("rows").hidden = isInJson();
    element("json").hidden = !isInJson();
    if (!isInJson() || element("filter").value.trim() !== "") return;
    const filter = filterOf(conditions());
    if (Object.keys(filter).length > 0) element("filter").value = JSON.stringify(filter, null, 1);
  });
}
addCondition();

