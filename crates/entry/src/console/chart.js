// A rate over the last minutes, as a line, as numbers and in words. What was not watched is left blank.

const SPAN = 5 * 60_000;
const WIDTH = 300;
const HEIGHT = 60;
const SVG = "http://www.w3.org/2000/svg";

/** A silence that is longer than this was not watched: the page was not seen, or the server not there. */
const BREAK = 10_000;

/** Beginnings of round numbers. */
const ROUND = [1, 2, 5, 10];

/** The least round number that is no less. */
function roundUp(value) {
  const unit = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return unit * ROUND.find((step) => step * unit >= value);
}

class Chart {
  #name;
  #kind;
  #values = [];
  #count = null;
  #now = make("span", {}, "–");
  #most = make("span");
  #line = document.createElementNS(SVG, "path");
  #area = document.createElementNS(SVG, "path");
  #svg = document.createElementNS(SVG, "svg");

  constructor(place, name, kind) {
    this.#name = name;
    this.#kind = kind;
    this.#svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.#svg.setAttribute("preserveAspectRatio", "none");
    this.#svg.setAttribute("role", "img");
    this.#svg.setAttribute("aria-label", `${name}: nothing is known yet`);
    this.#area.setAttribute("class", "area");
    this.#svg.append(this.#area, this.#line);
    const unit = make("span", { class: "unit" }, " a second");
    const axis = make("p", { class: "axis", "aria-hidden": "true" }, make("span", {}, "5 min ago"), make("span", {}, "now"));
    const plot = make("div", { class: "plot" }, this.#most, this.#svg);
    this.#most.className = "most";
    this.#most.setAttribute("aria-hidden", "true");
    place.classList.add("chart", kind);
    place.append(make("h3", {}, name), make("p", { class: "big" }, this.#now, unit), plot, axis);
  }

  /** So many there were in all, of this log, at this time. */
  push(count, log, at) {
    const last = this.#count;
    this.#count = { count, log, at };
    if (last === null || last.log !== log || count < last.count || at <= last.at) return;
    this.#values.push({ at, from: last.at, rate: ((count - last.count) * 1000) / (at - last.at) });
    while (at - this.#values[0].at > SPAN) this.#values.shift();
    this.#draw(at);
  }

  #draw(now) {
    const rates = this.#values.map((value) => value.rate);
    const most = Math.max(...rates);
    const top = roundUp(most);
    const x = (at) => (WIDTH * (1 - (now - at) / SPAN)).toFixed(1);
    const y = (value) => (HEIGHT - 1 - (value / top) * (HEIGHT - 4)).toFixed(1);
    let [line, area, begun] = ["", "", null];
    const end = (at) => begun !== null && (area += `L${x(at)} ${HEIGHT}L${x(begun)} ${HEIGHT}Z`);
    let before = null;
    for (const { at, from, rate: value } of this.#values) {
      if (before === null || at - before > BREAK) {
        if (before !== null) end(before);
        begun = Math.max(from, at - BREAK, now - SPAN);
        line += `M${x(begun)} ${y(value)}`;
        area += `M${x(begun)} ${y(value)}`;
      }
      line += `L${x(at)} ${y(value)}`;
      area += `L${x(at)} ${y(value)}`;
      before = at;
    }
    end(before);
    this.#line.setAttribute("d", line);
    this.#area.setAttribute("d", area);
    const last = rates.at(-1);
    say(this.#now, rate(last));
    say(this.#most, whole.format(top));
    const words = `${this.#name}: ${rate(last)} a second now, between ${rate(Math.min(...rates))} and ${rate(most)} in the last ${lasted(now - this.#values[0].from)}`;
    this.#svg.setAttribute("aria-label", words);
  }
}

