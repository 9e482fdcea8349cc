// How one moves in a timeline with wheel, pointer and keys, and what is told of a frame.

const OTHERS_MAX = 60;

Object.assign(Timeline.prototype, {
  at(event) {
    const box = this.svg.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const { from, to } = this.view;
    return { x, y, time: from + ((x - GUTTER) / (box.width - GUTTER)) * (to - from) };
  },

  /** Zooms; sideways or with Shift it moves. Over the names of lanes, or when all is shown already, the page scrolls. */
  onWheel(event) {
    const { x, time } = this.at(event);
    const { from, to } = this.view;
    const isScrolling = event.timeStamp - this.scrolled < SCROLL_GOES_ON;
    const isWhole = to - from >= this.end && event.deltaY > 0 && !event.shiftKey;
    if (!event.ctrlKey && (x < GUTTER || isScrolling || isWhole)) {
      if (isScrolling) this.scrolled = event.timeStamp;
      return;
    }
    event.preventDefault();
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      const by = (sideways / (this.scene.width - GUTTER)) * (to - from);
      this.show(from + by, to + by);
    } else {
      this.zoom(Math.exp(Math.max(-120, Math.min(120, event.deltaY)) * .004), time);
    }
  },

  onDown(event) {
    if (event.button !== 0) return;
    this.svg.setPointerCapture(event.pointerId);
    this.drag = { x: event.clientX, view: this.view, target: event.target, moved: false };
    this.tip.hidden = true;
  },

  onMove(event) {
    if (!this.drag) {
      this.hover(event);
      return;
    }
    const by = event.clientX - this.drag.x;
    if (!this.drag.moved && Math.abs(by) < 4) return;
    this.drag.moved = true;
    this.svg.classList.add("is-panning");
    const { from, to } = this.drag.view;
    const time = (by / (this.scene.width - GUTTER)) * (to - from);
    this.show(from - time, to - time);
  },

  onUp(event) {
    const { drag } = this;
    this.drag = null;
    this.svg.classList.remove("is-panning");
    if (!drag || drag.moved) return;
    const frame = this.nearest(this.at(event));
    if (frame) {
      this.choose(frame);
    } else if (drag.target.dataset.call) {
      this.chooseCall(this.calls[Number(drag.target.dataset.call)]);
    } else if (drag.target.dataset.step) {
      this.step(Number(drag.target.dataset.step));
    } else if (this.chosen || this.chosenCall) {
      this.choose(null);
    }
  },

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { from, to } = this.view;
    const quarter = (to - from) / 4;
    const around = this.chosen?.at ?? (from + to) / 2;
    const isLeft = event.key === "ArrowLeft";
    const keys = {
      "+": () => this.zoom(1 / ZOOM, around), "=": () => this.zoom(1 / ZOOM, around), "-": () => this.zoom(ZOOM, around),
      0: () => this.show(0, this.end), Escape: () => this.choose(null),
      Home: () => this.choose(this.scene.frames[0] ?? null), End: () => this.choose(this.scene.frames.at(-1) ?? null),
      ArrowUp: () => this.go(-1, true), ArrowDown: () => this.go(1, true),
    };
    for (const key of ["ArrowLeft", "ArrowRight"]) {
      const by = isLeft ? -quarter : quarter;
      keys[key] = () => (event.shiftKey ? this.show(from + by, to + by) : this.go(isLeft ? -1 : 1, false));
    }
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  },

  /** To the frame before or after the chosen one; or to the nearest one of another device. */
  go(direction, toOtherLane) {
    const { frames, deviceLane } = this.scene;
    if (frames.length === 0) return;
    if (!this.chosen) {
      this.choose(frames[Math.min(lowerBound(frames, this.view.from, (frame) => frame.at), frames.length - 1)]);
      return;
    }
    if (!toOtherLane) {
      const index = lowerBound(frames, this.chosen.number, (frame) => frame.number);
      const next = direction > 0 && frames[index] === this.chosen ? index + 1 : index + Math.min(direction, 0);
      if (frames[next]) this.choose(frames[next]);
      return;
    }
    const devices = [...deviceLane.keys()];
    const here = devices.indexOf(this.chosen.device);
    for (let lane = here + direction; lane >= 0 && lane < devices.length; lane += direction) {
      const there = frames.filter((frame) => frame.device === devices[lane]);
      if (there.length === 0) continue;
      const distance = (frame) => Math.abs(frame.at - this.chosen.at);
      this.choose(there.reduce((best, frame) => (distance(frame) < distance(best) ? frame : best)));
      return;
    }
  },

  /** The frame at a place of the drawing, if one is near. */
  nearest({ x, y }) {
    if (x < GUTTER) return null;
    const lane = this.scene.lanes.find((lane) => y >= lane.y && y < lane.y + lane.height);
    if (!lane || (lane.kind !== "device" && lane.kind !== "gateway")) return null;
    const begin = lowerBound(this.scene.frames, this.view.from, (frame) => frame.at);
    let [best, distance] = [null, REACH];
    for (let index = begin; index < this.scene.frames.length; index += 1) {
      const frame = this.scene.frames[index];
      if (frame.at > this.view.to) break;
      if (frame.device !== lane.device && frame.gateway !== lane.gateway) continue;
      const apart = Math.abs(this.x(frame.at) - x);
      if (apart < distance) [best, distance] = [frame, apart];
    }
    return best;
  },

  hover(event) {
    const frame = this.nearest(this.at(event));
    const told = event.target.dataset?.tip;
    this.tip.hidden = !frame && !told;
    if (this.tip.hidden) return;
    if (frame) this.tip.replaceChildren(el("strong", {}, frame.words), `${exact(frame.at)}, ${route(this.data, frame)}`);
    else this.tip.replaceChildren(told);
    const { offsetWidth, offsetHeight } = this.tip;
    const isLow = event.clientY + offsetHeight + 24 > innerHeight;
    this.tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - offsetWidth - 8))}px`;
    this.tip.style.top = `${isLow ? event.clientY - offsetHeight - 12 : event.clientY + 16}px`;
  },
});

function route(timeline, frame) {
  const [device, gateway] = [timeline.devices[frame.device], timeline.gateways[frame.gateway]];
  return frame.received ? `${gateway} → ${device}` : `${device} → ${gateway}`;
}

/** A packet with its JSON set out over lines; as it is if there is none. */
function setOut(packet) {
  const begin = packet.search(/[[{]/);
  if (begin < 0) return packet;
  try {
    return `${packet.slice(0, begin)} ${JSON.stringify(JSON.parse(packet.slice(begin)), null, 2)}`;
  } catch {
    return packet;
  }
}

/** What is told of a request, as nodes. */
function callDetail(timeline, call) {
  const { callers, gateways } = timeline.data;
  const asked = call.gateway === null ? "nobody" : gateways[call.gateway];
  const step = timeline.body.steps.findLast((step) => step.from * 1e6 <= call.from);
  const top = el("div", { class: "top" },
    el("span", { class: `kind ${call.is_good ? "k1" : "k2"}` }, "HTTP"),
    el("h4", {}, callWords(call)),
    el("span", {}, `${callers[call.caller]} → ${asked}`),
    el("time", { class: "mono" }, exact(call.from)),
    el("span", { class: "dim" }, `took ${shown((call.to - call.from) / 1e6)}`),
    step ? el("span", { class: "dim" }, `during line ${step.line}`) : null);
  const said = call.reply === "null" ? "no body" : setOut(call.reply).trim();
  return [top, el("div", { class: "parts" }, el("pre", {}, said))];
}

/** What is told of a frame, as nodes. */
function frameDetail(timeline, frame) {
  if (!frame) {
    const how = timeline.frames.length > 0
      ? "Click a frame to read it. The wheel zooms, dragging moves, and with the keyboard the arrows go from frame to frame."
      : "Nothing was said in this run.";
    return [el("p", { class: "empty" }, how)];
  }
  const step = timeline.body.steps.findLast((step) => step.from * 1e6 <= frame.at);
  const go = (direction, label, sign) =>
    el("button", { type: "button", class: "plain", "aria-label": label, title: label, onclick: () => timeline.go(direction, false) }, sign);
  const top = el("div", { class: "top" },
    el("span", { class: `kind k${frame.kind}` }, frame.received ? "received" : "sent"),
    el("h4", {}, frame.words),
    el("span", {}, route(timeline.data, frame)),
    el("time", { class: "mono" }, exact(frame.at)),
    step ? el("span", { class: "dim" }, `during line ${step.line}`) : null,
    el("span", { class: "grow" }), go(-1, "Frame before", "←"), go(1, "Frame after", "→"));
  const parts = el("div", { class: "parts" }, el("pre", {}, setOut(frame.packet)));
  const all = timeline.related(frame);
  if (all.length > 1) {
    const others = all.slice(0, OTHERS_MAX).map((other) =>
      el("li", {}, el("button", { type: "button", "aria-current": other === frame && "true", onclick: () => timeline.choose(other) },
        el("time", {}, apart(other.at - all[0].at)), `${route(timeline.data, other)}  ${other.words}`)));
    const more = all.length > OTHERS_MAX ? ` (the first ${OTHERS_MAX} of ${all.length})` : "";
    parts.append(el("div", {},
      el("h5", {}, `Everything about ${timeline.data.subjects[frame.subject - 1]}${more}`), el("ol", { class: "others" }, ...others)));
  }
  return [top, parts];
}
