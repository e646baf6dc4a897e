// Installing, updating and removing from the Extensions tab: first what would change, then a person's yes.
// Runs in the same scope as tab.js. What goes on is kept in `memory.work`, since the cards around it are made anew.
const BUSY = new Set(["looking", "changing"]);

async function askInstalls(path, body) {
  const how = body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : {};
  const answer = await fetch(`gesso/installs${path}`, { cache: "no-store", ...how });
  const found = await answer.json();
  if (!answer.ok) throw new Error(typeof found.detail === "string" ? found.detail : answer.statusText);
  return found;
}

async function follow(asked, work) {
  try {
    work = await asked;
    for (show(work); BUSY.has(work.phase); show(work)) {
      await new Promise((done) => setTimeout(done, 400));
      work = await askInstalls(`/${work.id}`);
    }
  } catch (error) {
    show({ ...work, phase: "failed", error: error.message });
  }
  if (memory.work?.phase === "done") act("look");
}

const change = (action, names) => follow(askInstalls("", { action, names }), { action, names });

function show(work) {
  memory.work = work;
  drawWork();
}

// made("p", "words", { className: "…" }, child, …)
function made(tag, words = "", more = {}, ...children) {
  const node = Object.assign(document.createElement(tag), { textContent: words }, more);
  node.append(...children);
  return node;
}

function button(key, pressed, kind = "") {
  return made("button", say(key), { type: "button", className: `gesso-button ${kind}`, onclick: pressed });
}

function table(changes) {
  const cells = (row) => [say(`js.extensions.kind.${row.kind}`), row.name, row.old, row.new].map((text) => made("td", text));
  const names = ["what", "distribution", "from", "to"].map((name) => made("th", say(`js.extensions.${name}`)));
  const rows = changes.map((row) => made("tr", "", {}, ...cells(row)));
  const head = made("thead", "", {}, made("tr", "", {}, ...names));
  return made("div", "", { className: "gx-scroll" }, made("table", "", {}, head, made("tbody", "", {}, ...rows)));
}

function proposal(work) {
  const { changes, plugins, notes } = work.proposal;
  const uses = (one) => one.capabilities.join(", ") || say("js.extensions.nothing_more");
  return [
    ...(changes.length ? [table(changes)] : []),
    ...plugins.map((one) => made("p", say("js.extensions.declares", { plugin: `${one.id} ${one.version}`, uses: uses(one) }))),
    ...(plugins.length ? [made("p", say("js.extensions.is_code"), { className: "gx-hint" })] : []),
    ...notes.map((note) => made("p", note, { className: "gx-hint" })),
  ];
}

function drawWork() {
  const place = element.querySelector(".gx-work");
  if (!place) return;
  const work = memory.work;
  place.hidden = !work;
  if (!work) return;
  const what = [work.action && say(`js.extensions.${work.action}`), ...(work.names ?? [])].filter(Boolean).join(" ");
  const leave = button("js.extensions.leave", () => show(null));
  const parts = [made("h3", what), made("p", say(`js.extensions.phase.${work.phase}`))];
  if (BUSY.has(work.phase)) parts.push(made("p", work.lines.at(-1) ?? "", { className: "gx-hint gesso-loading" }));
  if (["proposed", "nothing"].includes(work.phase)) parts.push(...proposal(work));
  if (work.error) parts.push(made("pre", work.error));
  const buttons = made("footer", "", {});
  if (work.phase === "proposed") {
    const kind = work.action === "uninstall" ? "gesso-danger" : "gesso-primary";
    buttons.append(button("js.extensions.go_on", () => follow(askInstalls(`/${work.id}/apply`, {}), work), kind));
  }
  if (!BUSY.has(work.phase)) buttons.append(leave);
  place.replaceChildren(...parts, buttons);
}

element.addEventListener("input", (event) => {
  if (event.target.matches(".gx-install input")) memory.names = event.target.value;
});
element.addEventListener("submit", (event) => {
  if (!event.target.matches(".gx-install")) return;
  event.preventDefault();
  const names = event.target.elements.names.value.trim().split(/\s+/).filter(Boolean);
  if (!names.length) return event.target.elements.names.focus();
  memory.names = event.target.elements.names.value = "";
  change("install", names);
});
element.addEventListener("click", (event) => {
  const pressed = event.target.closest("button[data-change]");
  if (pressed) change(pressed.dataset.change, pressed.dataset.name ? [pressed.dataset.name] : []);
});
