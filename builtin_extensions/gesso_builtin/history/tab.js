// The history tab: search and filters, the grid, what is chosen, the trash with its undo.

import { Grid } from "./grid.js";
import { Viewer } from "./viewer.js";

const { say } = await import(new URL("gesso/static/texts.js", document.baseURI));
const LOOK_MS = 3000;
const TYPED_MS = 250;
const TOAST_MS = 12000;
const DAY_S = 24 * 3600;

async function asked(path, body) {
  const how = body && { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  const answer = await fetch(`plugins/history/${path}`, how || { cache: "no-store" });
  const data = await answer.json();
  if (!answer.ok) throw new Error(data.detail ?? data.error?.message ?? answer.statusText);
  return data;
}

// `pick(id)` tells the host which picture is looked at.
export function mount(element, pick) {
  new Tab(element, pick);
}

class Tab {
  constructor(element, pick) {
    this.element = element;
    this.find = (selector) => element.querySelector(selector);
    this.trash = false;
    this.shown = false;
    this.grid = new Grid(this.find(".gh-scroll"), {
      load: (offset, limit) => asked(`pictures?${this.query({ offset, limit })}`),
      describe: (picture, index, total) =>
        say("js.history.picture", { number: index + 1, total, prompt: picture.title || picture.name }),
      changed: () => this.tell(),
    });
    this.viewer = new Viewer(this.grid, {
      pick,
      act: (what, ids) => this.act(what, ids),
    });
    this.listen();
  }

  listen() {
    const { element } = this;
    element.addEventListener("click", (event) => this.click(event));
    element.addEventListener("keydown", (event) => this.key(event));
    element.addEventListener("input", (event) => {
      if (!event.target.matches(".gh-search")) return;
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.reload(), TYPED_MS);
    });
    element.addEventListener("change", (event) => event.target.matches("[data-filter]") && this.reload());
    element.addEventListener("focusin", (event) => {
      const tile = event.target.closest(".gh-tile");
      if (tile) this.grid.active = Number(tile.dataset.index);
    });
    document.addEventListener("click", (event) => {
      const filters = this.find(".gh-filters");
      if (filters.open && !filters.contains(event.target)) filters.open = false;
    });
    new IntersectionObserver((seen) => {
      const shown = seen.at(-1).isIntersecting;
      if (shown && !this.shown) this.look(true);
      this.shown = shown;
    }).observe(this.find(".gh-scroll"));
    setInterval(() => this.shown && !document.hidden && element.isConnected && this.look(), LOOK_MS);
  }

  query(more = {}) {
    const found = new URLSearchParams(more);
    const words = this.find(".gh-search").value.trim();
    if (words) found.set("q", words);
    if (this.trash) found.set("trash", "true");
    for (const filter of this.element.querySelectorAll("[data-filter]")) {
      const { value } = filter;
      if (!value) continue;
      const name = filter.dataset.filter;
      if (name === "since") found.set(name, new Date(`${value}T00:00`).getTime() / 1000);
      else if (name === "until") found.set(name, new Date(`${value}T00:00`).getTime() / 1000 + DAY_S);
      else found.set(name, value);
    }
    return found;
  }

  // Ask whether there is something new; at the top it is shown, further down it is announced.
  async look(come = false) {
    if (this.looking) return;
    this.looking = true;
    try {
      const { stamp } = await asked(`pictures?${this.query({ limit: 0 })}`);
      if (stamp !== this.grid.stamp) {
        const top = this.find(".gh-scroll").scrollTop < 40 && !this.viewer.open && !this.grid.chosen.size;
        if (this.grid.stamp === null || top) await this.reload();
        else this.find('[data-do="new"]').hidden = false;
      } else if (come) this.grid.soon();
    } catch {
      // The host is away for a moment; the next look comes by itself.
    } finally {
      this.looking = false;
    }
  }

  async reload(how) {
    this.find('[data-do="new"]').hidden = true;
    try {
      await Promise.all([this.grid.reload(how), this.lists()]);
    } catch (error) {
      this.toast(error.message);
    }
    this.find(".gh").dataset.state = "ready";
  }

  async lists() {
    const values = await asked(`values?trash=${this.trash}`);
    for (const [name, rows] of Object.entries(values)) {
      const list = this.find(`[data-filter="${name}"]`);
      const now = list.value;
      const options = rows.map((row) => new Option(`${row.label} (${row.count.toLocaleString(document.documentElement.lang)})`, row.value));
      list.replaceChildren(list.options[0], ...options);
      list.value = now;
    }
  }

  // Everything that tells how many there are.
  tell() {
    const { total, chosen } = this.grid;
    this.find(".gh-count").textContent = say("js.history.count", { count: total.toLocaleString(document.documentElement.lang) });
    const filters = [...this.element.querySelectorAll("[data-filter]")].filter((one) => one.value).length;
    const narrowed = filters > 0 || this.find(".gh-search").value.trim() !== "";
    this.find(".gh-used").textContent = filters || "";
    this.find('[data-do="reset"]').hidden = !narrowed;
    const empty = this.find(".gh-empty");
    empty.hidden = total > 0;
    empty.textContent = say(`js.history.empty.${narrowed ? "found" : this.trash ? "trash" : "all"}`);
    const bar = this.find(".gh-chosen");
    bar.hidden = chosen.size === 0;
    this.find(".gh-chosen-count").textContent = say("js.history.chosen", { count: chosen.size.toLocaleString(document.documentElement.lang) });
    bar.querySelector('[data-do="delete"]').hidden = this.trash;
    for (const name of ["restore", "purge"]) bar.querySelector(`[data-do="${name}"]`).hidden = !this.trash;
    this.find(".gh-scroll").classList.toggle("gh-choosing", this.choosing);
    this.viewer.trash = this.trash;
  }

  get choosing() {
    return this.find('[data-do="select"]').getAttribute("aria-pressed") === "true";
  }

  click(event) {
    const tile = event.target.closest(".gh-tile");
    if (tile) return this.press(Number(tile.dataset.index), event);
    const button = event.target.closest("button[data-do]");
    const { grid } = this;
    const chosen = [...grid.chosen];
    const handlers = {
      new: () => this.reload(),
      reset: () => {
        for (const box of this.element.querySelectorAll(".gh-search, [data-filter]")) box.value = "";
        this.reload();
      },
      select: () => {
        button.setAttribute("aria-pressed", String(!this.choosing));
        if (!this.choosing) grid.clear();
      },
      trash: () => {
        this.trash = !this.trash;
        button.setAttribute("aria-pressed", String(this.trash));
        grid.clear();
        this.reload();
      },
      clear: () => grid.clear(),
      delete: () => this.act("delete", chosen),
      restore: () => this.act("restore", chosen),
      purge: () => confirm(say("js.history.purge", { count: chosen.length })) && this.act("purge", chosen),
      undo: () => this.act("restore", this.undo),
    };
    handlers[button?.dataset.do]?.();
  }

  press(index, event) {
    const { grid } = this;
    if (event.shiftKey) grid.choose(this.anchor ?? index, index);
    else if (event.ctrlKey || event.metaKey || this.choosing) grid.toggle(index);
    else this.viewer.show(index);
    if (!event.shiftKey) this.anchor = index;
    grid.active = index;
  }

  key(event) {
    const tile = event.target.closest(".gh-tile");
    if (!tile) return;
    const { grid } = this;
    const index = Number(tile.dataset.index);
    const screen = Math.max(1, Math.floor(this.find(".gh-scroll").clientHeight / grid.side)) * grid.columns;
    const steps = {
      ArrowLeft: index - 1, ArrowRight: index + 1, ArrowUp: index - grid.columns, ArrowDown: index + grid.columns,
      PageUp: index - screen, PageDown: index + screen, Home: 0, End: grid.total - 1,
    };
    if (event.key in steps) {
      const to = Math.max(0, Math.min(grid.total - 1, steps[event.key]));
      if (event.shiftKey) grid.choose(index, to);
      grid.focus(to);
    } else if (event.key === "Enter") this.viewer.show(index);
    else if (event.key === " ") grid.toggle(index);
    else if (event.key === "Escape") grid.clear();
    else if (event.key === "Delete" && !this.trash) {
      const here = grid.at(index);
      this.act("delete", grid.chosen.size ? [...grid.chosen] : here ? [here.id] : []).then(() => grid.focus(index));
    } else return;
    event.preventDefault();
  }

  async act(what, ids) {
    if (!ids?.length) return;
    try {
      await asked(what, { ids });
      for (const id of ids) this.grid.chosen.delete(id);
      this.undo = what === "delete" ? ids : null;
      this.toast(say(`js.history.done.${what}`, { count: ids.length.toLocaleString(document.documentElement.lang) }));
      await this.reload({ keep: true });
    } catch (error) {
      this.undo = null;
      this.toast(error.message);
    }
  }

  toast(words) {
    const toast = this.find(".gh-toast");
    toast.querySelector("span").textContent = words;
    toast.querySelector("button").hidden = !this.undo?.length;
    toast.hidden = false;
    clearTimeout(this.fading);
    this.fading = setTimeout(() => (toast.hidden = true), TOAST_MS);
  }
}
