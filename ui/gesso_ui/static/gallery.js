// A gallery: a click on a small picture shows it large at once and tells the host which it is.

import { say } from "./texts.js";

export function mount(element, pick) {
  element.addEventListener("click", (event) => {
    const button = event.target.closest?.(".gesso-thumbs button");
    if (!button) return;
    for (const other of element.querySelectorAll(".gesso-thumbs button")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    const url = button.querySelector("img").getAttribute("src");
    const [picture, download] = ["picture", "download"].map((name) => element.querySelector(`.gesso-${name}`));
    picture.href = url;
    picture.querySelector("img").src = url;
    download.href = url;
    download.download = button.dataset.name;
    download.textContent = say("js.shell.download", { name: button.dataset.name });
    pick(Number(button.dataset.index));
  });
}
