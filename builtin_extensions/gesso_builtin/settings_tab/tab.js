// The settings: stored one by one as they are changed, each answered with its row as it is then.

const { say } = await import(new URL("gesso/static/texts.js", document.baseURI));

export function mount(element) {
  const find = (selector) => element.querySelector(selector);
  const body = find(".gs-body");

  async function look() {
    const answer = await fetch("plugins/settings_tab/form", { cache: "no-store" });
    body.innerHTML = await answer.text();
    find(".gs").dataset.state = "ready";
    filter();
  }

  function filter() {
    const words = find(".gs-search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const only = find(".gs-changed").checked;
    const fits = (row) => {
      const text = `${row.dataset.words} ${row.querySelector(".gs-words").textContent.toLowerCase()}`;
      return words.every((word) => text.includes(word)) && (!only || row.hasAttribute("data-changed"));
    };
    let any = false;
    for (const part of body.querySelectorAll(".gs-part")) {
      const named = words.length && words.every((word) => part.querySelector("h2").textContent.toLowerCase().includes(word));
      let shown = false;
      for (const row of part.querySelectorAll(".gs-row")) {
        row.hidden = !(fits(row) || (named && (!only || row.hasAttribute("data-changed"))));
        shown ||= !row.hidden;
      }
      part.hidden = !shown;
      any ||= shown;
      const more = part.querySelector("details");
      if (more && (words.length || only)) more.open = [...more.querySelectorAll(".gs-row")].some((row) => !row.hidden);
      body.querySelector(`nav [data-section="${CSS.escape(part.dataset.section)}"]`).parentElement.hidden = !shown;
    }
    const none = body.querySelector(".gs-none");
    if (none) none.hidden = any;
  }

  async function store(row, what) {
    const control = row.querySelector("[data-control]");
    const { section, field } = row.dataset;
    const value = control.type === "checkbox" ? String(control.checked) : control.value;
    const answer = await fetch(`plugins/settings_tab/${what}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ section, field, value }),
    });
    const said = row.querySelector(".gs-said");
    if (!answer.ok) {
      const { detail } = await answer.json();
      said.textContent = typeof detail === "string" ? detail : say("js.settings_tab.refused");
      said.className = "gs-said gs-wrong";
      control.setAttribute("aria-invalid", "true");
      return;
    }
    const made = document.createElement("template");
    made.innerHTML = await answer.text();
    const fresh = made.content.firstElementChild;
    row.toggleAttribute("data-changed", fresh.hasAttribute("data-changed"));
    const reset = row.querySelector('[data-do="reset"]');
    reset.disabled = !fresh.hasAttribute("data-changed");
    if (what === "reset") {
      // The rest of the row stays, so that the focus does too.
      const now = fresh.querySelector("[data-control]");
      if (control.type === "checkbox") control.checked = now.checked;
      else control.value = now.value;
      control.focus();
    }
    control.removeAttribute("aria-invalid");
    said.textContent = say(`js.settings_tab.${what === "reset" ? "given_back" : "saved"}`);
    said.className = "gs-said";
  }

  element.addEventListener("input", (event) => event.target.matches(".gs-search") && filter());
  element.addEventListener("change", (event) => {
    if (event.target.matches(".gs-changed")) filter();
    const row = event.target.matches("[data-control]") && event.target.closest(".gs-row");
    if (row) store(row, "set");
  });
  element.addEventListener("click", (event) => {
    const button = event.target.closest('[data-do="reset"]');
    if (button) store(button.closest(".gs-row"), "reset");
    const link = event.target.closest("nav a");
    if (link) {
      event.preventDefault(); // the page's address stays as it is
      const part = document.getElementById(link.getAttribute("href").slice(1));
      part.scrollIntoView({ block: "start" });
      part.querySelector("[data-control]").focus({ preventScroll: true });
    }
  });
  let shown = false;
  new IntersectionObserver((seen) => {
    const now = seen.at(-1).isIntersecting;
    if (now && !shown && !body.contains(document.activeElement)) look();
    shown = now;
  }).observe(find(".gs"));
}
