// Draws a part of a timeline: only what is in it, and each frame for itself only while they are few.

const GUTTER = 132;
const HEIGHTS = { axis: 24, steps: 24, faults: 24, presence: 26, gateway: 34, calls: 26, device: 40 };
const SINGLE_MAX = 700;
const LABELS_MAX = 260;
const LABEL_CHAR = 6.2;

/** Lanes from the top, each with its place. */
function placeLanes(timeline, devices, gateways, callers) {
  const lanes = [];
  let y = 0;
  const add = (kind, name, more = {}) => {
    lanes.push({ kind, name, y, height: HEIGHTS[kind], ...more });
    y += HEIGHTS[kind];
  };
  add("axis", "");
  add("steps", "Steps");
  for (const [row, faults] of faultRows(timeline.faults).entries()) {
    add("faults", row === 0 ? "Faults" : "", { faults });
  }
  for (const [user, name] of timeline.users.entries()) add("presence", `${name} in Redis`, { user });
  for (const gateway of gateways) add("gateway", timeline.gateways[gateway], { gateway });
  for (const caller of callers) add("calls", `${timeline.callers[caller]} over HTTP`, { caller });
  for (const device of devices) add("device", timeline.devices[device], { device });
  return { lanes, height: y + 6 };
}

/** Faults that last at the same time stand below each other. */
function faultRows(faults) {
  const rows = [];
  for (const fault of faults) {
    const end = fault.to ?? Infinity;
    const row = rows.find((row) => row.end <= fault.from);
    if (row) { row.faults.push(fault); row.end = end; }
    else rows.push({ end, faults: [fault] });
  }
  return rows.map((row) => row.faults);
}

/** Everything that `view` shows, as nodes. `scene`: data, lanes, frames that are shown, width. */
function drawScene(scene, view) {
  const { lanes, height, width } = scene;
  const x = (at) => GUTTER + ((at - view.from) / (view.to - view.from)) * (width - GUTTER);
  const plot = draw("g", { "clip-path": "url(#plot)" });
  const pen = { scene, view, x, plot, width, height, isIn: (from, to) => to >= view.from && from <= view.to };
  const back = lanes.map((lane, index) => draw("rect", {
    class: `lane ${index % 2 ? "odd" : ""}`, x: 0, y: lane.y, width, height: lane.height,
  }));
  drawAxis(pen);
  for (const lane of lanes) LANES[lane.kind]?.(pen, lane);
  drawLeftOut(pen);
  const few = drawFrames(pen);
  drawVerdicts(pen);
  const names = lanes.map((lane) => laneName(lane));
  return {
    x, few,
    nodes: [
      definitions(width, height), ...back, plot,
      draw("rect", { class: "gutter", x: 0, y: 0, width: GUTTER - 1, height }),
      draw("line", { class: "rule", x1: GUTTER - .5, x2: GUTTER - .5, y1: 0, y2: height }),
      ...names,
    ],
  };
}

function definitions(width, height) {
  return draw("defs", {},
    draw("clipPath", { id: "plot" }, draw("rect", { x: GUTTER, y: 0, width: Math.max(0, width - GUTTER), height })),
    draw("pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
      draw("line", { class: "hatch-line", x1: 0, x2: 0, y1: 0, y2: 6 })),
    draw("pattern", { id: "dots", width: 8, height: 8, patternUnits: "userSpaceOnUse" },
      draw("circle", { class: "dot", cx: 4, cy: 4, r: 1 })));
}

function laneName(lane) {
  const soft = lane.kind === "device" || lane.kind === "gateway" ? "" : "soft";
  const name = lane.name.length > 19 ? `${lane.name.slice(0, 18)}…` : lane.name;
  return draw("text", { class: `lane-name ${soft}`, x: 12, y: lane.y + lane.height / 2 + 4 },
    draw("title", {}, lane.name), name);
}

/** Ticks at round moments, about every 110 pixels. */
function drawAxis({ view, x, plot, width, height }) {
  const rough = ((view.to - view.from) / Math.max(1, width - GUTTER)) * 110;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const digits = Math.max(0, Math.ceil(-Math.log10(step / 1e6) - 1e-9));
  for (let at = Math.ceil(view.from / step) * step; at <= view.to; at += step) {
    const place = x(at);
    plot.append(
      draw("line", { class: "grid", x1: place, x2: place, y1: HEIGHTS.axis, y2: height }),
      draw("text", { class: "tick", x: place + 3, y: 16 }, `${(at / 1e6).toFixed(digits)} s`));
  }
}

/** What each kind of lane shows beside frames. */
const LANES = {
  steps(pen, lane) {
    for (const step of pen.scene.steps) {
      const [from, to] = [step.from * 1e6, step.to * 1e6];
      if (!pen.isIn(from, to)) continue;
      const failed = step.outcome === "failed" ? "failed" : "";
      const tip = `line ${step.line}: ${step.text}`;
      span(pen, lane, from, to, `step ${failed}`, { "data-tip": tip, "data-step": step.line },
        String(step.line), `step-name ${failed}`);
    }
  },
  faults(pen, lane) {
    for (const fault of lane.faults) {
      if (!pen.isIn(fault.from, fault.to ?? Infinity)) continue;
      const end = fault.mended ?? (fault.to === null ? "nothing mended it" : "until here");
      const tip = `${fault.text} at ${shown(fault.from / 1e6)} – ${end}${fault.to === null ? "" : ` at ${shown(fault.to / 1e6)}`}`;
      span(pen, lane, fault.from, fault.to ?? pen.scene.timeline.end, "fault", { "data-tip": tip }, fault.text, "fault-name");
    }
  },
  presence(pen, lane) {
    for (const seen of pen.scene.timeline.presence) {
      if (seen.user !== lane.user || !pen.isIn(seen.from, seen.to)) continue;
      const none = seen.sockets.length === 0;
      const text = none ? "no socket" : seen.sockets.join(", ");
      const tip = `${text}, from ${shown(seen.from / 1e6)} to ${shown(seen.to / 1e6)}`;
      span(pen, lane, seen.from, seen.to, none ? "offline" : "online", { "data-tip": tip }, text, `presence-name ${none ? "none" : ""}`);
    }
  },
  gateway(pen, lane) {
    faultBands(pen, lane);
    for (const notice of pen.scene.timeline.notices) {
      if (notice.gateway !== lane.name || !pen.isIn(notice.at, notice.at)) continue;
      const [x, y] = [pen.x(notice.at), lane.y + lane.height / 2];
      const tip = `${notice.gateway} noticed at ${shown(notice.at / 1e6)} that ${notice.device} was gone`;
      pen.plot.append(draw("path", { class: "notice", d: `M${x} ${y - 8}l7 8l-7 8l-7 -8z`, "data-tip": tip }));
    }
  },
  calls(pen, lane) {
    const calls = pen.scene.calls.filter((call) => call.caller === lane.caller && pen.isIn(call.from, call.to));
    const y = lane.y + lane.height / 2;
    for (const [index, call] of calls.entries()) {
      const kind = call.is_good ? "k1" : "k2";
      const [left, right] = [pen.x(call.from), pen.x(call.to)];
      const chosen = call === pen.scene.chosenCall ? "is-chosen" : "";
      const gateway = pen.scene.gatewayLane.get(call.gateway);
      if (gateway) {
        pen.plot.append(
          draw("path", { class: `link ${kind}`, d: `M${left} ${gateway.y + gateway.height / 2}V${y}` }),
          draw("path", { class: `marks ${kind}`, d: `M${left} ${gateway.y + 9}v${gateway.height - 18}` }));
      }
      const tip = `${callWords(call)}, took ${shown((call.to - call.from) / 1e6)}`;
      pen.plot.append(draw("rect", {
        class: `call ${kind} ${chosen}`, x: left, y: lane.y + 5, width: Math.max(4, right - left), height: lane.height - 10, rx: 2,
        "data-tip": tip, "data-call": call.number,
      }));
      const begin = Math.max(right, left + 4) + 4;
      const room = Math.floor(((calls[index + 1] ? pen.x(calls[index + 1].from) : pen.width) - begin - 4) / LABEL_CHAR);
      if (room >= 8) pen.plot.append(draw("text", { class: "words", x: begin, y: y + 4 }, callWords(call, room)));
    }
  },
  device(pen, lane) {
    faultBands(pen, lane);
    const { connections, end, gateways } = pen.scene.timeline;
    for (const known of connections) {
      if (known.device !== lane.device || !pen.isIn(known.from, known.to ?? end)) continue;
      const [left, right] = [pen.x(known.from), pen.x(known.to ?? end)];
      const tip = `connected to ${gateways[known.gateway]} from ${shown(known.from / 1e6)}${known.to === null ? "" : ` to ${shown(known.to / 1e6)}`}`;
      const [y, height] = [lane.y + 7, lane.height - 14];
      pen.plot.append(draw("rect", { class: "connection", x: left, y, width: Math.max(1, right - left), height, "data-tip": tip }));
      for (const edge of known.to === null ? [left] : [left, right]) {
        pen.plot.append(draw("line", { class: "connection-edge", x1: edge, x2: edge, y1: y, y2: y + height }));
      }
    }
  },
};

/** A bar with its text, if there is room for it. The text stays in sight when the bar begins further left. */
function span(pen, lane, from, to, className, more, text, textClass) {
  const left = Math.max(pen.x(from), GUTTER - 4);
  const right = Math.min(pen.x(to), pen.width + 4);
  const size = Math.max(2, right - left);
  pen.plot.append(draw("rect", { class: className, x: left, y: lane.y + 4, width: size, height: lane.height - 8, rx: 3, ...more }));
  const begin = Math.max(left, GUTTER) + 5;
  const room = Math.floor((right - begin - 4) / LABEL_CHAR);
  const isWhole = text.length <= room;
  if (room < 4 && !isWhole) return;
  const words = isWhole ? text : `${text.slice(0, room - 1)}…`;
  pen.plot.append(draw("text", { class: textClass, x: begin, y: lane.y + lane.height / 2 + 4, "pointer-events": "none" }, words));
}

/** On the lane of what was broken. */
function faultBands(pen, lane) {
  for (const fault of pen.scene.timeline.faults) {
    const to = fault.to ?? pen.scene.timeline.end;
    if (fault.what !== lane.name || !pen.isIn(fault.from, to)) continue;
    const left = pen.x(fault.from);
    pen.plot.append(draw("rect", { class: "fault-band", x: left, y: lane.y, width: Math.max(1, pen.x(to) - left), height: lane.height, "data-tip": fault.text }));
  }
}

function drawLeftOut({ scene, x, plot, height }) {
  if (!scene.timeline.left_out) return;
  const [from, to, count] = scene.timeline.left_out;
  plot.append(draw("rect", {
    class: "left-out", x: x(from), y: HEIGHTS.axis, width: Math.max(2, x(to) - x(from)), height,
    "data-tip": `${plural(count, "frame")} left out here`,
  }));
}

/** Whether each frame stands for itself. */
function drawFrames(pen) {
  const { scene, view } = pen;
  const begin = lowerBound(scene.frames, view.from, (frame) => frame.at);
  const end = lowerBound(scene.frames, view.to + 1, (frame) => frame.at);
  const visible = scene.frames.slice(begin, end);
  if (visible.length <= SINGLE_MAX) drawSingle(pen, visible);
  else drawMany(pen, visible);
  return visible.length <= SINGLE_MAX;
}

function drawSingle(pen, visible) {
  const links = visible.length <= LABELS_MAX;
  const marks = [];
  const next = new Map();
  for (const frame of visible.toReversed()) {
    const [device, gateway] = [pen.scene.deviceLane.get(frame.device), pen.scene.gatewayLane.get(frame.gateway)];
    const [x, y] = [pen.x(frame.at), device.y + device.height / 2];
    if (links && gateway) pen.plot.append(draw("path", { class: `link k${frame.kind}`, d: `M${x} ${gateway.y + gateway.height / 2}V${y}` }));
    if (gateway) marks.push(draw("path", { class: `marks k${frame.kind}`, d: `M${x} ${gateway.y + 9}v${gateway.height - 18}` }));
    marks.push(draw("path", { class: `mark k${frame.kind}`, d: triangle(x, y, frame.received), "data-frame": frame.number }));
    if (links) {
      const room = Math.floor(((next.get(device) ?? pen.width) - x - 18) / LABEL_CHAR);
      next.set(device, x);
      if (room >= 5) marks.push(draw("text", { class: "words", x: x + 9, y: y + 4 }, cut(frame.words, room)));
    }
  }
  pen.plot.append(...marks);
}

/** `GET /rooms → 200`; of a long call the status is still seen. */
function callWords({ asked, status }, room = Infinity) {
  const answer = ` → ${status}`;
  return cut(asked, Math.max(2, room - answer.length)) + answer;
}

function cut(text, room) {
  return text.length <= room ? text : `${text.slice(0, room - 1)}…`;
}

/** Points to where the frame went: gateways are above. */
function triangle(x, y, received) {
  return received ? `M${x} ${y + 6}l-5.5 -9h11z` : `M${x} ${y - 6}l-5.5 9h11z`;
}

/** A path for each lane, kind and direction; what falls on the same half pixel is drawn once. */
function drawMany(pen, visible) {
  const paths = new Map();
  const last = new Map();
  const put = (key, x, y, length) => {
    const place = Math.round(x * 2);
    if (last.get(key) === place) return;
    last.set(key, place);
    if (!paths.has(key)) paths.set(key, []);
    paths.get(key).push(`M${place / 2} ${y}v${length}`);
  };
  for (const frame of visible) {
    const [device, gateway] = [pen.scene.deviceLane.get(frame.device), pen.scene.gatewayLane.get(frame.gateway)];
    const x = pen.x(frame.at);
    const middle = device.y + device.height / 2;
    put(`${frame.kind} ${device.y} ${frame.received}`, x, middle, frame.received ? 11 : -11);
    if (gateway) put(`${frame.kind} ${gateway.y} -`, x, gateway.y + 9, gateway.height - 18);
  }
  for (const [key, parts] of paths) {
    pen.plot.append(draw("path", { class: `marks k${key.split(" ")[0]}`, d: parts.join("") }));
  }
}

/** Where the run was judged wrong. */
function drawVerdicts({ scene, view, x, plot, height }) {
  let taken = -Infinity;
  for (const { at, text, tip } of scene.verdicts) {
    if (at < view.from || at > view.to) continue;
    const place = x(at);
    plot.append(draw("line", { class: "verdict-line", x1: place, x2: place, y1: 4, y2: height, "data-tip": tip }));
    if (place < taken) continue;
    const size = text.length * LABEL_CHAR + 12;
    const left = place + size > scene.width ? place - size : place;
    taken = left + size + 4;
    plot.append(
      draw("rect", { class: "verdict-flag", x: left, y: 3, width: size, height: 17, rx: 3, "data-tip": tip }),
      draw("text", { class: "verdict-name", x: left + 6, y: 16, "pointer-events": "none" }, text));
  }
}
