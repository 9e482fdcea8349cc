// The timeline of a run: what is shown, and how one moves in it.

const SPAN_MIN = 200;
const ZOOM = 1.6;
const REACH = 10;
/** How long a page that is being scrolled goes on scrolling over the timeline, in milliseconds. */
const SCROLL_GOES_ON = 350;
const KINDS = ["event", "ack", "refusal", "newMessage", "connect", "disconnect", "transport", "other", "HTTP"];
const HTTP = KINDS.indexOf("HTTP");

/** Frames as objects, with absolute times. */
function readFrames(timeline) {
  let at = 0;
  return timeline.frames.map(([since, connection, received, kind, text, subject], number) => {
    at += since;
    const { device, gateway } = timeline.connections[connection];
    const [words, packet] = timeline.texts[text];
    return { number, at, connection, device, gateway, received: received === 1, kind, text, words, packet, subject };
  });
}

class Timeline {
  /** `body` is a run; `step` is called with a line when a step was clicked. */
  constructor(body, step) {
    this.body = body;
    this.data = body.timeline;
    this.step = step;
    this.frames = readFrames(this.data);
    this.end = Math.max(this.data.end, 1000);
    this.view = { from: 0, to: this.end };
    this.devices = new Set();
    this.kinds = new Set();
    this.text = "";
    this.calls = this.data.calls.map((call, number) => ({ ...call, number }));
    this.chosen = null;
    this.chosenCall = null;
    this.scrolled = 0;
    this.build();
    this.filter();
    // Not in the observer's own turn: what is drawn may change the size.
    this.watch = new ResizeObserver(() => this.redraw());
    this.watch.observe(this.lanesBox);
  }

  /** Nothing is called any more. */
  close() {
    this.watch.disconnect();
    cancelAnimationFrame(this.request);
    this.tip.remove();
    document.removeEventListener("wheel", this.pageWheel, { capture: true });
  }

  build() {
    const zoomed = (factor) => () => this.zoom(factor, (this.view.from + this.view.to) / 2);
    const count = this.count = el("span", { role: "status" });
    const search = el("input", {
      type: "search", placeholder: "Filter frames by text", "aria-label": "Filter frames by text", class: "frame-search", autocomplete: "off", spellcheck: "false",
      oninput: () => { this.text = search.value.trim().toLowerCase(); this.filter(); },
    });
    const button = (text, label, onclick) => el("button", { type: "button", class: `plain ${label.split(" ")[0].toLowerCase()}`, "aria-label": label, title: label, onclick }, text);
    const tools = el("div", { class: "tools" }, search, count, el("span", { class: "grow" }),
      this.shownSpan = el("span", { class: "dim" }),
      button("−", "Out (key −)", zoomed(ZOOM)), button("+", "In (key +)", zoomed(1 / ZOOM)), button("All", "All of it (key 0)", () => this.show(0, this.end)));
    const changed = () => this.filter();
    const used = new Set(this.frames.map((frame) => frame.kind));
    if (this.calls.length > 0) used.add(HTTP);
    const chips = el("div", { class: "chips", role: "group", "aria-label": "Filter by device and by kind of frame" },
      ...this.data.devices.map((name, device) => toggle(name, "device", this.devices, device, changed)),
      el("span", { class: "gap" }),
      ...KINDS.map((name, kind) => (used.has(kind) ? toggle(name, `kind k${kind}`, this.kinds, kind, changed) : null)));
    this.strip = draw("svg", { class: "strip", preserveAspectRatio: "none", "aria-hidden": "true" });
    this.svg = draw("svg", {
      tabindex: 0, role: "application",
      "aria-label": "Timeline. Left and right arrows go from frame to frame, up and down to the next lane's frames, plus and minus zoom, 0 shows everything, Shift with an arrow moves.",
    });
    this.lanesBox = el("div", { class: "lanes" }, this.svg);
    this.detail = el("div", { class: "detail", "aria-live": "polite" });
    this.tip = el("div", { class: "tip", hidden: true });
    document.body.append(this.tip);
    const left = this.data.left_out;
    const note = left && el("p", { class: "note" },
      `To keep this page small ${plural(left[2], "frame")} between ${shown(left[0] / 1e6)} and ${shown(left[1] / 1e6)} ${left[2] === 1 ? "is" : "are"} left out (dotted below). The bundle of a failure has all of them.`);
    this.node = el("div", { class: "timeline" }, tools, chips, note || null, this.strip, this.lanesBox, this.detail);
    this.listen();
    this.showDetail();
  }

  listen() {
    const { svg, strip } = this;
    this.pageWheel = (event) => { if (!this.lanesBox.contains(event.target)) this.scrolled = event.timeStamp; };
    document.addEventListener("wheel", this.pageWheel, { capture: true, passive: true });
    svg.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    svg.addEventListener("pointerdown", (event) => this.onDown(event));
    svg.addEventListener("pointermove", (event) => this.onMove(event));
    svg.addEventListener("pointerup", (event) => this.onUp(event));
    svg.addEventListener("pointercancel", () => { this.drag = null; });
    svg.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    svg.addEventListener("keydown", (event) => this.onKey(event));
    const move = (event) => {
      if (event.type === "pointermove" && !strip.hasPointerCapture(event.pointerId)) return;
      if (event.type === "pointerdown") strip.setPointerCapture(event.pointerId);
      const box = strip.getBoundingClientRect();
      const at = ((event.clientX - box.left - GUTTER) / (box.width - GUTTER)) * this.end;
      const half = (this.view.to - this.view.from) / 2;
      this.show(at - half, at + half);
    };
    strip.addEventListener("pointerdown", move);
    strip.addEventListener("pointermove", move);
  }

  /** Frames and lanes that are not filtered out. */
  filter() {
    const { timeline } = this.body;
    const texts = timeline.texts.map((pair) => !this.text || pair.some((text) => text.toLowerCase().includes(this.text)));
    const subjects = timeline.subjects.map((name) => this.text && name.toLowerCase().includes(this.text));
    const isOf = (set, value) => set.size === 0 || set.has(value);
    const frames = this.frames.filter((frame) =>
      isOf(this.devices, frame.device) && isOf(this.kinds, frame.kind) && (texts[frame.text] || subjects[frame.subject - 1]));
    const devices = [...timeline.devices.keys()].filter((device) => isOf(this.devices, device));
    const near = new Set(timeline.connections.filter((it) => isOf(this.devices, it.device)).map((it) => it.gateway));
    const calls = this.calls.filter((call) => isOf(this.kinds, HTTP) && (!this.text || `${callWords(call)} ${call.reply}`.toLowerCase().includes(this.text)));
    // Whose devices are shown.
    const callers = [...timeline.callers.keys()].filter((caller) =>
      this.devices.size === 0 || devices.some((device) => timeline.devices[device].startsWith(`${timeline.callers[caller]}.`)));
    for (const call of calls) if (callers.includes(call.caller) && call.gateway !== null) near.add(call.gateway);
    const gateways = [...timeline.gateways.keys()].filter((gateway) => near.has(gateway));
    const { lanes, height } = placeLanes(timeline, devices, gateways, callers);
    this.scene = {
      timeline, frames, calls, lanes, height, steps: this.body.steps, verdicts: verdictMarks(this.body),
      deviceLane: new Map(lanes.filter((lane) => lane.kind === "device").map((lane) => [lane.device, lane])),
      gatewayLane: new Map(lanes.filter((lane) => lane.kind === "gateway").map((lane) => [lane.gateway, lane])),
    };
    const all = this.frames.length;
    this.count.textContent = frames.length === all ? plural(all, "frame") : `${frames.length.toLocaleString("en")} of ${plural(all, "frame")}`;
    this.redraw();
  }

  redraw() {
    cancelAnimationFrame(this.request);
    this.request = requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    const width = this.lanesBox.clientWidth;
    if (width === 0) return;
    this.scene.width = width;
    this.scene.chosenCall = this.chosenCall;
    const drawn = drawScene(this.scene, this.view);
    this.x = drawn.x;
    const chosen = this.chosen ? this.chosenMarks() : [];
    this.svg.setAttribute("height", this.scene.height);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${this.scene.height}`);
    this.svg.replaceChildren(...drawn.nodes, draw("g", { "clip-path": "url(#plot)" }, ...chosen));
    this.shownSpan.textContent = `${shown((this.view.to - this.view.from) / 1e6)} shown`;
    this.drawStrip(width);
  }

  /** The whole run, how much was said when, and what of it is shown. */
  drawStrip(width) {
    const room = width - GUTTER;
    const bins = new Uint32Array(Math.max(1, Math.floor(room / 3)));
    for (const frame of this.scene.frames) bins[Math.min(bins.length - 1, Math.floor((frame.at / this.end) * bins.length))] += 1;
    const most = Math.max(1, ...bins);
    const size = room / bins.length;
    const bars = [...bins].map((count, bin) => {
      const height = count && Math.max(2, Math.round((Math.sqrt(count) / Math.sqrt(most)) * 26));
      return height ? `M${GUTTER + bin * size} 32v${-height}h${size - .6}v${height}z` : "";
    });
    const x = (at) => GUTTER + (at / this.end) * room;
    this.strip.setAttribute("viewBox", `0 0 ${width} 34`);
    this.strip.replaceChildren(
      draw("text", { class: "tick", x: 12, y: 21 }, "Whole run"),
      draw("path", { class: "density", d: bars.join("") }),
      ...this.scene.verdicts.map(({ at }) => draw("line", { class: "mark", x1: x(at), x2: x(at), y1: 0, y2: 34 })),
      draw("rect", { class: "window", x: x(this.view.from), y: 1, width: Math.max(3, x(this.view.to) - x(this.view.from) - 1), height: 32, rx: 3 }));
  }

  /** The chosen frame, and those of the same message. */
  chosenMarks() {
    const marks = [];
    const { deviceLane, gatewayLane } = this.scene;
    for (const frame of this.related(this.chosen)) {
      const [device, gateway] = [deviceLane.get(frame.device), gatewayLane.get(frame.gateway)];
      const x = this.x(frame.at);
      if (!device || x < GUTTER - 20 || x > this.scene.width + 20) continue;
      const y = device.y + device.height / 2;
      if (gateway) marks.push(draw("path", { class: `chosen-link k${frame.kind}`, d: `M${x} ${gateway.y + gateway.height / 2}V${y}` }));
      marks.push(draw("path", { class: `mark k${frame.kind}`, d: triangle(x, y, frame.received), "data-frame": frame.number }));
      marks.push(draw("circle", { class: frame === this.chosen ? "chosen" : "related", cx: x, cy: y, r: 11 }));
    }
    return marks;
  }

  related(frame) {
    return frame.subject ? this.frames.filter((other) => other.subject === frame.subject) : [frame];
  }

  /** Shows this part, within the run. */
  show(from, to) {
    const size = Math.min(Math.max(to - from, SPAN_MIN), this.end);
    const middle = (from + to) / 2;
    const begin = Math.min(Math.max(middle - size / 2, 0), this.end - size);
    this.view = { from: begin, to: begin + size };
    this.redraw();
  }

  /** `factor` below 1 shows less; `around` stays where it is. */
  zoom(factor, around) {
    const { from, to } = this.view;
    const size = Math.min(Math.max((to - from) * factor, SPAN_MIN), this.end);
    const begin = around - ((around - from) / (to - from)) * size;
    this.show(begin, begin + size);
  }

  /** Brings a moment into sight, with a little before and after. */
  reveal(from, to = from) {
    const around = Math.max((to - from) * .4, this.end * .03, 20_000);
    this.show(from - around, to + around);
    this.node.scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  }

  chooseCall(call) {
    this.choose(null);
    this.chosenCall = call;
    this.showDetail();
  }

  choose(frame) {
    this.chosen = frame;
    this.chosenCall = null;
    if (frame && (frame.at < this.view.from || frame.at > this.view.to)) {
      const half = (this.view.to - this.view.from) / 2;
      this.show(frame.at - half, frame.at + half);
    }
    this.showDetail();
    this.redraw();
  }

  showDetail() {
    this.detail.replaceChildren(...(this.chosenCall ? callDetail(this, this.chosenCall) : frameDetail(this, this.chosen)));
  }
}

/** Failures and findings, as lines over all lanes. */
function verdictMarks(body) {
  const failures = body.failures.map((it) => ({ at: it.at * 1e6, text: `line ${it.line} failed`, tip: `expected ${it.expected}; seen ${it.seen}` }));
  const findings = body.findings.map((it) => ({ at: it.at * 1e6, text: it.invariant, tip: it.text }));
  return [...failures, ...findings].sort((a, b) => a.at - b.at);
}
