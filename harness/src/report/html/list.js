// The list of runs, its filters, and which run is open: the number behind `#` in the address.

const VERDICTS = ["fail", "broken", "unknown", "pass", "skipped"];
const LOOK_AT = new Set(["fail", "broken", "unknown"]);

const index = data("index");
const main = document.getElementById("run");
const search = document.getElementById("search");
const scenarios = document.getElementById("scenarios");
const chosenVerdicts = new Set();
let open = null;

function count(verdict) {
  return index.runs.filter((run) => run.verdict === verdict).length;
}

function fillHead() {
  const some = VERDICTS.filter((verdict) => count(verdict) > 0);
  document.getElementById("sum").append(
    ...some.map((verdict) => el("span", { class: `word ${verdict}` }, `${SIGNS[verdict]} ${count(verdict)} ${verdict}`)));
  const bar = document.getElementById("bar");
  bar.setAttribute("aria-label", some.map((verdict) => `${count(verdict)} ${verdict}`).join(", "));
  for (const verdict of some) {
    const part = el("span", { class: verdict });
    part.style.flexGrow = count(verdict);
    bar.append(part);
  }
  const made = new Date(index.made).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  document.getElementById("made").append(`${plural(index.runs.length, "run")}, ${made}, harness ${index.version}`);
  document.getElementById("verdicts").append(
    ...some.map((verdict) => toggle(`${SIGNS[verdict]} ${verdict}`, verdict, chosenVerdicts, verdict, filterList)));
  document.title = `${count("fail") > 0 ? "✗" : "✓"} harness report`;
}

/** First what somebody has to look at, then folder by folder. */
function fillList() {
  const groups = new Map([["", []]]);
  for (const [number, run] of index.runs.entries()) {
    const folder = LOOK_AT.has(run.verdict) ? "" : run.file.replace(/\/?[^/]*$/, "") || ".";
    if (!groups.has(folder)) groups.set(folder, []);
    groups.get(folder).push({ number, run });
  }
  const [looked, ...folders] = [...groups];
  folders.sort(([a], [b]) => (a < b ? -1 : 1));
  const byVerdict = ({ run }) => VERDICTS.indexOf(run.verdict);
  looked[1].sort((a, b) => byVerdict(a) - byVerdict(b));
  for (const [folder, runs] of [looked, ...folders]) {
    if (runs.length === 0) continue;
    scenarios.append(el("section", {},
      el("h2", {}, folder || "Not green"), el("ul", {}, ...runs.map(({ number, run }) => listItem(number, run)))));
  }
  scenarios.append(el("p", { class: "nothing", hidden: true }, "No scenario matches. Press Escape in the box above to see all."));
}

function listItem(number, run) {
  const more = run.tight > 0 ? el("span", { class: "tight" }, " tight") : null;
  // In a group of its folder the file is enough.
  const place = LOOK_AT.has(run.verdict) ? run.file.split("/").slice(-2).join("/") : run.file.split("/").at(-1);
  const round = run.round > 1 ? ` (run ${run.round})` : "";
  return el("li", {}, el("a", { href: `#${number}`, class: run.verdict, "data-verdict": run.verdict, "aria-label": `${run.verdict}: ${run.scenario}` },
    el("span", { class: "sign", "aria-hidden": "true" }, SIGNS[run.verdict]),
    el("span", { class: "sentence" }, run.scenario, more),
    el("span", { class: "time" }, run.verdict === "skipped" ? "" : shown(run.duration)),
    el("span", { class: "place", title: run.file }, `${place}${round}`)));
}

function filterList() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let left = 0;
  for (const link of scenarios.querySelectorAll("a")) {
    const run = index.runs[Number(link.hash.slice(1))];
    const text = `${run.file} ${run.scenario} ${run.reason}`.toLowerCase();
    const isShown = (chosenVerdicts.size === 0 || chosenVerdicts.has(run.verdict)) && words.every((word) => text.includes(word));
    link.parentElement.hidden = !isShown;
    left += isShown ? 1 : 0;
  }
  for (const section of scenarios.querySelectorAll("section")) section.hidden = !section.querySelector("li:not([hidden])");
  scenarios.querySelector(".nothing").hidden = left > 0;
  const all = index.runs.length;
  document.getElementById("count").textContent = left === all ? plural(all, "scenario") : `${left} of ${plural(all, "scenario")}`;
}

/** Opens the run of the address, or the first of the list. */
function openRun() {
  const first = scenarios.querySelector("a")?.hash.slice(1) ?? "";
  const number = /^#\d+$/.test(location.hash) ? Number(location.hash.slice(1)) : Number(first);
  const head = index.runs[number];
  open?.close();
  open = null;
  if (!head) {
    main.replaceChildren(el("p", { class: "nothing" }, "Nothing was run."));
    return;
  }
  for (const link of scenarios.querySelectorAll("a")) {
    const isOpen = link.hash === `#${number}`;
    if (isOpen) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
    if (isOpen) link.scrollIntoView({ block: "nearest" });
  }
  open = showRun(main, head, data(`run-${number}`), index.invariants);
}

function onListKey(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
  const links = [...scenarios.querySelectorAll("li:not([hidden]) > a")];
  const next = links[links.indexOf(document.activeElement) + step];
  if (next) next.focus();
  else if (step < 0) search.focus();
  event.preventDefault();
}

/** Light or dark: what the system says until it is switched. */
function switchTheme() {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
}

fillHead();
fillList();
filterList();
openRun();
addEventListener("hashchange", openRun);
search.addEventListener("input", filterList);
document.getElementById("side").addEventListener("keydown", onListKey);
document.getElementById("theme").addEventListener("click", switchTheme);
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input");
  if (event.key === "/" && !isTyping) {
    event.preventDefault();
    search.focus();
  } else if (event.key === "Escape" && event.target === search) {
    search.value = "";
    chosenVerdicts.clear();
    for (const button of document.querySelectorAll("#verdicts .toggle")) button.setAttribute("aria-pressed", "false");
    filterList();
  }
});
