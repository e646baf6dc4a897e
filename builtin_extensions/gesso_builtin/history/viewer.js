// The picture that is looked at: over the whole page, with keys. What the host knows of it (infotext, "Send to …") comes
// a moment later; until then those buttons are out of reach, so that nothing is sent that is not seen.

const { say } = await import(new URL("gesso/static/texts.js", document.baseURI));
const ASK_MS = 120; // who leafs through a hundred pictures is not told of each

export class Viewer {
  // `pick(id)` asks the host; `act(what, ids)` deletes and brings back.
  constructor(grid, { pick, act }) {
    Object.assign(this, { grid, pick, act, index: -1 });
  }

  get open() {
    return this.index >= 0;
  }

  // Gradio makes the tab's other parts after this one.
  find() {
    const root = document.querySelector(".gh-viewer");
    if (!root || root === this.root) return;
    this.root = root;
    root.setAttribute("role", "dialog");
    root.setAttribute("aria-modal", "true");
    root.setAttribute("aria-label", say("js.history.viewer"));
    root.addEventListener("keydown", (event) => this.key(event));
    root.addEventListener("click", (event) => this.click(event));
    this.image = root.querySelector(".gh-picture img");
    this.image.addEventListener("click", () => this.do("fit"));
    this.actions = root.querySelector(".gh-actions");
    new MutationObserver(() => this.told()).observe(root.querySelector(".gh-info"), { childList: true, subtree: true });
  }

  async show(index) {
    this.find();
    const picture = await this.grid.fetched(index);
    if (!picture) return this.close();
    if (!this.open) this.root.classList.add("gh-open");
    [this.index, this.picture] = [index, picture];
    document.body.style.overflow = "hidden";
    const url = `gesso/file/${picture.sha256}${picture.suffix}`;
    if (this.image.getAttribute("src") !== url) this.image.src = url;
    this.image.alt = picture.title;
    this.root.querySelector(".gh-picture").classList.remove("gh-real");
    const place = say("js.history.place", { number: (index + 1).toLocaleString(document.documentElement.lang), total: this.grid.total.toLocaleString(document.documentElement.lang) });
    this.root.querySelector(".gh-place").textContent = place;
    this.button("previous").disabled = index === 0;
    this.button("next").disabled = index + 1 >= this.grid.total;
    this.button("delete").hidden = this.trash;
    this.button("restore").hidden = !this.trash;
    this.say("");
    this.told();
    clearTimeout(this.asking);
    this.asking = setTimeout(() => this.pick(picture.id), ASK_MS);
    if (!this.root.contains(document.activeElement)) this.button("close").focus();
    for (const near of [index + 1, index - 1]) this.warm(near);
  }

  warm(index) {
    const picture = index >= 0 && index < this.grid.total ? this.grid.at(index) : null;
    if (picture) new Image().src = `gesso/file/${picture.sha256}${picture.suffix}`;
  }

  // What the host says belongs to the picture that is seen, or is not there yet.
  told() {
    const known = this.root.querySelector(".gh-info [data-id]")?.dataset.id === String(this.picture?.id);
    this.actions.inert = !known;
    this.root.querySelector(".gh-info").style.visibility = known ? "" : "hidden";
    return known;
  }

  close() {
    if (!this.open) return;
    const index = this.index;
    this.index = -1;
    this.root.classList.remove("gh-open");
    document.body.style.overflow = "";
    this.image.removeAttribute("src");
    this.grid.focus(index);
  }

  key(event) {
    const inText = event.target.closest("textarea, input, select");
    const keys = { Escape: "close", ArrowLeft: "previous", ArrowRight: "next", Home: "first", End: "last", Delete: "delete" };
    if (event.key === "Tab") return this.keepIn(event);
    const what = keys[event.key] ?? { c: "copy_text", f: "fit" }[event.key];
    if (!what || event.ctrlKey || event.metaKey || event.altKey || (inText && event.key !== "Escape")) return;
    event.preventDefault();
    event.stopPropagation();
    this.do(what);
  }

  // The focus stays within while the page below is covered.
  keepIn(event) {
    const all = [...this.root.querySelectorAll("button, a[href], [tabindex='0']")];
    const seen = all.filter((one) => one.offsetParent && !one.disabled && !one.closest("[inert]"));
    const [first, last] = [seen[0], seen.at(-1)];
    const leaves = event.shiftKey ? document.activeElement === first : document.activeElement === last;
    if (!leaves) return;
    event.preventDefault();
    (event.shiftKey ? last : first).focus();
  }

  click(event) {
    if (event.target.closest(".gesso-send-button")) setTimeout(() => this.close(), 0); // another tab is shown
    const button = event.target.closest("button[data-do]");
    if (button) this.do(button.dataset.do);
  }

  do(what) {
    const steps = { previous: this.index - 1, next: this.index + 1, first: 0, last: this.grid.total - 1 };
    if (what in steps) {
      if (steps[what] >= 0 && steps[what] < this.grid.total) this.show(steps[what]);
    } else if (what === "close") this.close();
    else if (what === "fit") this.root.querySelector(".gh-picture").classList.toggle("gh-real");
    else if (what === "delete" || what === "restore") this.remove(this.trash ? "restore" : what);
    else this[what]?.().catch?.((error) => this.say(error.message));
  }

  // The next one takes its place.
  async remove(what) {
    await this.act(what, [this.picture.id]);
    if (!this.grid.total) return this.close();
    await this.show(Math.min(this.index, this.grid.total - 1));
  }

  async download() {
    const link = document.createElement("a");
    link.href = this.image.src;
    link.download = this.picture.name;
    link.click();
  }

  async copy_picture() {
    const found = await (await fetch(this.image.src)).blob();
    const png = found.type === "image/png" ? found : await this.converted();
    await navigator.clipboard.write([new ClipboardItem({ "image/png": png })]);
    this.say(say("js.history.copied"));
  }

  converted() {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [this.image.naturalWidth, this.image.naturalHeight];
    canvas.getContext("2d").drawImage(this.image, 0, 0);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }

  async copy_text() {
    const text = this.told() ? this.root.querySelector(".gh-infotext") : null;
    if (!text) return;
    try {
      await navigator.clipboard.writeText(text.textContent);
      this.say(say("js.history.copied"));
    } catch {
      getSelection().selectAllChildren(text); // without the right to the clipboard it is marked
      this.say(say("js.history.press"));
    }
  }

  async open_folder() {
    const answer = await fetch(`plugins/history/pictures/${this.picture.id}/open-folder`, { method: "POST" });
    const data = await answer.json();
    this.say(answer.ok ? say("js.history.opened", { folder: data.folder }) : data.detail);
  }

  say(words) {
    this.root.querySelector(".gh-said").textContent = words;
  }

  button(name) {
    return this.root.querySelector(`[data-do="${name}"]`);
  }
}
