// Machine and program as they are, while somebody looks.

const { say } = await import(new URL("gesso/static/texts.js", document.baseURI));
const LOOK_MS = 2000;

export function mount(element) {
  const body = element.querySelector(".gy-body");
  let shown = false;

  async function look() {
    if (!shown || document.hidden || !element.isConnected) return;
    try {
      const answer = await fetch("plugins/system_tab/status", { cache: "no-store" });
      const html = answer.ok ? await answer.text() : "";
      // What somebody has marked stays marked while nothing is new.
      if (html && html !== look.last && getSelection().isCollapsed) body.innerHTML = look.last = html;
      element.querySelector(".gy").dataset.state = "ready";
    } catch {
      // The host is away for a moment; the next look comes by itself.
    }
  }

  element.addEventListener("click", async (event) => {
    const button = event.target.closest('[data-do="copy"]');
    if (!button) return;
    const report = await (await fetch("plugins/system_tab/report", { cache: "no-store" })).text();
    const words = button.textContent;
    try {
      await navigator.clipboard.writeText(report);
      button.textContent = say("js.system_tab.copied");
      setTimeout(() => (button.textContent = words), 2000);
    } catch {
      const box = Object.assign(document.createElement("textarea"), { readOnly: true, value: report, className: "gy-report" });
      element.querySelector(".gy-report")?.remove();
      button.parentElement.after(box); // without the right to the clipboard
      box.select();
    }
  });
  new IntersectionObserver((seen) => {
    shown = seen.at(-1).isIntersecting;
    look();
  }).observe(element.querySelector(".gy"));
  setInterval(look, LOOK_MS);
}
