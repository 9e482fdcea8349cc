// One run: what went wrong and why, the timeline, its steps, its file.

/** Fills `main` with a run; the timeline, which is to be closed before another one is shown. */
function showRun(main, head, body, invariants) {
  const timeline = new Timeline(body, (line) => showStep(line));
  const reveal = (step) => timeline.reveal(step.from * 1e6, step.to * 1e6);
  const showStep = (line) => {
    const step = body.steps.find((step) => step.line === line);
    if (step) reveal(step);
  };
  const see = (at) => timeline.reveal(at * 1e6);
  main.replaceChildren(
    ...headOf(head),
    ...body.failures.map((failure, index) => failureCard(head, failure, body.diagrams[index], see)),
    ...body.findings.map((finding, index) => findingCard(finding, index === 0 ? body.found_diagram : "", invariants, see)),
    ...(body.timeline.connections.length + body.timeline.calls.length > 0 ? [el("h3", {}, "Timeline"), timeline.node] : []),
    ...(body.steps.length > 0 ? [el("h3", {}, "Steps"), stepTable(body, reveal)] : []),
    el("h3", {}, head.file), sourceOf(body));
  main.scrollTop = 0;
  return timeline;
}

function headOf(head) {
  const { again } = head;
  const copy = el("button", { type: "button", class: "plain", onclick: () => copied(copy, again) }, "Copy");
  const isRun = head.verdict !== "skipped";
  return [
    el("h2", {}, head.scenario),
    el("div", { class: "facts" },
      el("span", { class: `word ${head.verdict}` }, `${SIGNS[head.verdict]} ${head.verdict}`),
      isRun ? el("span", {}, shown(head.duration)) : null,
      el("span", {}, head.file),
      el("span", {}, `seed ${head.seed}`),
      head.round > 1 ? el("span", {}, `run ${head.round}`) : null,
      head.tight > 0 ? el("span", { class: "tight" }, `${plural(head.tight, "step")} used over 80 % of ${head.tight === 1 ? "its" : "their"} time`) : null),
    head.reason ? el("p", { class: "reason" }, head.reason) : null,
    isRun ? el("div", { class: "again" }, el("span", { class: "dim" }, "Again"), el("code", {}, again), copy,
      head.bundle ? el("a", { href: linkTo(head.bundle) }, "Everything that is known") : null) : null,
  ].filter(Boolean);
}

function linkTo(path) {
  return path.split("/").map(encodeURIComponent).join("/");
}

async function copied(button, text) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // Browsers refuse it to some pages; the command can still be selected.
    getSelection().selectAllChildren(button.previousSibling);
    button.textContent = "Selected";
  }
}

/** A moment as a button that shows it on the timeline. */
function momentButton(at, see) {
  return el("button", { type: "button", class: "plain see", onclick: () => see(at) }, `Show ${at.toFixed(2)} s`);
}

function failureCard(head, failure, diagram, see) {
  const side = (title, className, text) => el("div", { class: className }, el("h4", {}, title), el("pre", {}, text));
  const late = failure.late === null ? null : el("span", { class: "late" }, `${shown(failure.late)} too late`);
  return el("article", { class: "card failure" },
    el("header", {},
      el("span", { class: "where" }, `Line ${failure.line}`), failure.shared ? el("span", {}, failure.shared) : null, el("code", {}, failure.step), late, momentButton(failure.at, see)),
    el("div", { class: "sides" }, side("Expected", "expected", failure.expected), side("Seen", "seen", failure.seen)),
    ...storyOf(failure.explained, diagram, see));
}

/** What led to something, in sentences and as a diagram. */
function storyOf(explained, diagram, see) {
  return [
    explained.length > 0
      ? el("div", { class: "told" }, el("h4", {}, "What happened"), el("ol", {}, ...explained.map((sentence) => toldLine(sentence, see))))
      : null,
    diagram ? el("details", {}, el("summary", {}, "Who said what, as a diagram"), el("pre", {}, diagram)) : null,
  ];
}

/** A sentence with its moment in front, if it ends with one. */
function toldLine(sentence, see) {
  const found = /^(.*) (?:at|from) (\d+\.\d\d) s$/s.exec(sentence);
  if (!found) return el("li", { class: "end" }, el("time", {}, ""), sentence);
  const [, text, at] = found;
  const button = el("button", { type: "button", title: "Show it on the timeline", onclick: () => see(Number(at)) }, `${at} s`);
  return el("li", {}, el("time", {}, button), text);
}

function findingCard(finding, diagram, invariants, see) {
  return el("article", { class: "card finding" },
    el("header", {}, el("span", { class: "where" }, finding.invariant), el("span", {}, invariants[finding.invariant] ?? ""), momentButton(finding.at, see)),
    el("p", {}, finding.text),
    finding.step ? el("p", {}, `${finding.shared ?? `Line ${finding.line}`}: `, el("code", {}, finding.step)) : null,
    ...storyOf(finding.explained, diagram, see));
}

function stepTable(body, reveal) {
  const rows = body.steps.map((step) => {
    const failed = step.outcome === "failed" ? "failed" : "";
    return el("tr", { class: failed, "data-line": step.line },
      el("td", { class: `sign word ${failed ? "fail" : "pass"}` }, SIGNS[step.outcome]),
      el("td", { class: "number" }, String(step.line)),
      el("td", { class: "text" }, el("button", { type: "button", title: "Show it on the timeline", onclick: () => reveal(step) }, step.shared ? `${step.shared}  ${step.text}` : step.text)),
      el("td", { class: "number" }, shown(step.from)),
      marginCell(step));
  });
  const heads = ["", "Line", "Step", "Began", "Took"].map((name) => el("th", { scope: "col" }, name));
  return el("div", { class: "card frame-table" }, el("table", { class: "steps" }, el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...rows)));
}

function marginCell({ margin, vacuous, from, to }) {
  if (!margin) {
    const empty = vacuous ? el("span", { class: "tight", title: `says nothing: ${vacuous}` }, "  empty") : null;
    return el("td", { class: "margin" }, shown(to - from), empty);
  }
  const percent = Math.floor((margin.used / Math.max(margin.limit, .001)) * 100);
  const used = el("span", { class: "used" });
  used.style.width = `${Math.min(100, percent)}%`;
  return el("td", { class: `margin ${margin.tight ? "is-tight" : ""}` },
    el("span", { class: "track" }, used), `${shown(margin.used)} of ${shown(margin.limit)}`,
    margin.tight ? el("span", { class: "tight" }, "  tight") : null);
}

/** The file, with what became of each line. */
function sourceOf(body) {
  const wrong = new Set(body.failures.map((failure) => failure.line));
  const done = new Map();
  for (const step of body.steps) {
    done.set(step.line, done.get(step.line) === "failed" ? "failed" : step.outcome);
  }
  const lines = body.source.replace(/\n$/, "").split("\n").map((text, index) => {
    const number = index + 1;
    const isWrong = wrong.has(number) || done.get(number) === "failed";
    const isDone = !isWrong && done.has(number);
    return el("li", { class: isWrong ? "wrong" : isDone ? "done" : "", "data-line": number },
      el("span", {}, isWrong ? SIGNS.failed : isDone ? SIGNS.done : ""),
      el("span", { class: "number" }, String(number)),
      el("span", {}, ...coloured(text)));
  });
  return el("div", { class: "source mono" }, el("ol", {}, ...lines));
}

/** A line of YAML: its key and its comment stand out. */
function coloured(line) {
  const comment = commentOf(line);
  const code = line.slice(0, line.length - comment.length);
  const [, space, key, rest] = /^(\s*(?:- )?)([\w.-]+(?=:))?(.*)$/s.exec(code);
  return [space, key ? el("span", { class: "key" }, key) : null, rest, comment ? el("span", { class: "comment" }, comment) : null].filter(Boolean);
}

/** From a `#` that begins a word outside quotes. */
function commentOf(line) {
  let quote = "";
  for (let index = 0; index < line.length; index += 1) {
    const char = line[index];
    if (quote) {
      if (char === quote && line[index - 1] !== "\\") quote = "";
    } else if (/["']/.test(char) && !/\w/.test(line[index - 1] ?? "")) {
      quote = char;
    } else if (char === "#" && /^$|\s/.test(line[index - 1] ?? "")) {
      return line.slice(index);
    }
  }
  return "";
}
