// Buttons, search and "Copy report" of the Extensions tab. The cards are made by the host; what is open stays open.
let say = (key) => key;
import(new URL("gesso/static/texts.js", document.baseURI)).then((texts) => {
  say = texts.say;
  drawWork();
});
const act = (what, id = "") => trigger("act", { what, id });
// Outside of this run of the script: Gradio may run it anew for a new value.
const memory = (window.gessoExtensions ??= { open: new Set(), sought: "" });

const key = (details) => {
  const card = details.closest(".gx-card");
  return `${card ? card.dataset.id : ""} ${details.querySelector("summary").textContent.replace(/\d+/, "")}`;
};

function filter() {
  const words = memory.sought.toLowerCase().split(/\s+/).filter(Boolean);
  for (const card of element.querySelectorAll(".gx-card")) {
    card.hidden = !words.every((word) => card.dataset.words.includes(word));
  }
  const own = element.querySelector(".gx-own");
  if (!own || !words.length) return;
  own.open = [...own.querySelectorAll(".gx-card")].some((card) => !card.hidden);
}

function again() {
  for (const details of element.querySelectorAll("details")) if (!details.open && memory.open.has(key(details))) details.open = true;
  const box = element.querySelector(".gx-search");
  if (box && box.value !== memory.sought) box.value = memory.sought;
  const line = element.querySelector(".gx-install input");
  if (line && memory.names && !line.value) line.value = memory.names;
  drawWork();
  filter();
}

async function copy(button) {
  const id = button.dataset.id;
  const answer = await fetch(`gesso/plugins/${id ? `${encodeURIComponent(id)}/` : ""}report`, { cache: "no-store" });
  const text = await answer.text();
  let told = say("js.extensions.copied");
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without the right to the clipboard the text is shown, selected.
    const box = document.createElement("textarea");
    box.className = "gx-report";
    box.readOnly = true;
    box.value = text;
    (button.closest(".gx-card") ?? element.querySelector(".gx-head")).after(box);
    box.select();
    told = say("js.extensions.press");
  }
  const words = button.textContent;
  button.textContent = told;
  setTimeout(() => (button.textContent = words), 2500);
}

element.addEventListener("click", (event) => {
  // Noted at once, before it opens: the event "toggle" comes later, and the cards may be new ones by then.
  const details = event.target.closest("summary")?.parentElement;
  if (details) memory.open[details.open ? "delete" : "add"](key(details));
  const button = event.target.closest("button[data-do]");
  if (!button) return;
  if (button.dataset.do === "copy") copy(button);
  else act(button.dataset.do, button.dataset.id);
});
element.addEventListener("input", (event) => {
  if (!event.target.matches(".gx-search")) return;
  memory.sought = event.target.value;
  filter();
});
// New cards come closed. Only additions are watched: to answer changes of "open" would be an endless dispute.
new MutationObserver((changes) => {
  const isCards = (node) => node.matches?.(".gx, .gx *") && !node.closest(".gx-work");
  if (changes.some((change) => [...change.addedNodes].some(isCards))) again();
}).observe(element, { childList: true, subtree: true });
again();
// Counters grow while the tab is not looked at: ask when it comes into sight, and not again for what that brings.
new IntersectionObserver((seen) => {
  if (!seen.some((one) => one.isIntersecting) || Date.now() - (memory.looked ?? 0) < 1500) return;
  memory.looked = Date.now();
  act("look");
}).observe(element);
