// Nodes are made of text only: nothing that a scenario said is ever read as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element; attributes that begin with `on` are listeners, children are nodes or texts. */
function el(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** The same, for drawings. */
function draw(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** The data of a block, read when it is wanted. */
function data(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

/** A length of time, from seconds: `1.20 s`, or `35 ms` below a second. */
function shown(seconds) {
  if (seconds >= 1) return `${seconds.toFixed(2)} s`;
  return `${Math.floor(seconds * 1000)} ms`;
}

/** A moment, from microseconds: as exactly as it is known. */
function exact(micros) {
  return `${(micros / 1e6).toFixed(6)} s`;
}

/** From one moment to another, with a sign. */
function apart(micros) {
  const sign = micros < 0 ? "−" : "+";
  const size = Math.abs(micros);
  return size < 1e6 ? `${sign}${(size / 1e3).toFixed(2)} ms` : `${sign}${(size / 1e6).toFixed(3)} s`;
}

function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/** What the signs of verdicts and outcomes look like where colours do not show. */
const SIGNS = { pass: "✓", fail: "✗", unknown: "?", skipped: "–", broken: "!", done: "✓", failed: "✗" };

/** A button that is pressed or not: nothing pressed in a group means everything. */
function toggle(text, className, set, value, changed) {
  const button = el("button", {
    type: "button", class: `toggle ${className}`, "aria-pressed": String(set.has(value)),
    onclick() {
      if (!set.delete(value)) set.add(value);
      button.setAttribute("aria-pressed", String(set.has(value)));
      changed();
    },
  }, text);
  return button;
}

/** The index of the first item that is not below `limit`. */
function lowerBound(items, limit, key) {
  let low = 0, high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (key(items[middle]) < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}
