// The models: cards come from the host, a stretch at a time.

const { say } = await import(new URL("gesso/static/texts.js", document.baseURI));
const STEP = 60;
const TYPED_MS = 250;

export function mount(element) {
  const find = (selector) => element.querySelector(selector);
  const [box, kinds] = [find(".gm-search"), find(".gm-role")];
  let limit = STEP;
  let asked = 0;
  let typing = 0;

  const wanted = () => ({ role: kinds.value || "checkpoint", q: box.value.trim(), limit });

  async function show(what = "") {
    const mine = ++asked;
    const body = { method: "POST", body: JSON.stringify(wanted()), headers: { "Content-Type": "application/json" } };
    const answer = what
      ? await fetch(`plugins/models_tab/${what}`, body)
      : await fetch(`plugins/models_tab/list?${new URLSearchParams(wanted())}`, { cache: "no-store" });
    if (mine !== asked || !answer.ok) return; // somebody typed on
    const data = await answer.json();
    find(".gm-memory").innerHTML = data.memory;
    find(".gm-list").innerHTML = data.list;
    kinds.innerHTML = data.roles;
    find(".gm").dataset.state = "ready";
  }

  async function busy(button, what) {
    button.disabled = true;
    try {
      await show(what);
    } finally {
      button.disabled = false;
    }
  }

  async function copy(button) {
    const words = button.textContent;
    try {
      await navigator.clipboard.writeText(words);
      button.textContent = say("js.models_tab.copied");
      setTimeout(() => (button.textContent = words), 1500);
    } catch {
      getSelection().selectAllChildren(button); // without the right to the clipboard it is marked
    }
  }

  box.addEventListener("input", () => {
    clearTimeout(typing);
    limit = STEP;
    typing = setTimeout(() => show(), TYPED_MS);
  });
  kinds.addEventListener("change", () => {
    limit = STEP;
    show();
  });
  element.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-do]");
    const what = button?.dataset.do;
    if (what === "copy") copy(button);
    else if (what === "more") {
      limit += STEP;
      show();
    } else if (what) busy(button, what);
  });
  let shown = false;
  new IntersectionObserver((seen) => {
    const now = seen.at(-1).isIntersecting;
    if (now && !shown) show();
    shown = now;
  }).observe(find(".gm"));
}
