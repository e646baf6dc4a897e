// A grid of any number of pictures, of which only those in sight are in the page: 10,000 are some two hundred elements.

const PAGE = 100;
const AHEAD = 2; // rows drawn above and below what is seen
const LEAST = 150; // px of a tile
const COLUMNS = 12; // at most: tiles grow on wide screens
const PATIENCE_MS = 70; // a tile that is in sight for less is not worth a picture

export class Grid {
  // `load(offset, limit)` → { total, stamp, pictures }; `describe(picture, index, total)` → words for who cannot see it.
  constructor(scroll, { load, describe, changed }) {
    Object.assign(this, { scroll, load, describe, changed });
    this.place = scroll.querySelector(".gh-grid");
    this.tiles = new Map();
    this.chosen = new Set();
    this.active = 0;
    this.forget();
    scroll.addEventListener("scroll", () => this.soon(), { passive: true });
    new ResizeObserver(() => this.soon()).observe(scroll);
  }

  forget() {
    this.pages = new Map();
    this.total = 0;
    this.stamp = null;
    this.turn = (this.turn ?? 0) + 1;
    for (const tile of this.tiles.values()) tile.remove();
    this.tiles.clear();
  }

  // Begin anew with the first page; `keep`: stay where one is.
  async reload({ keep = false } = {}) {
    const top = this.scroll.scrollTop;
    const mine = (this.asked = (this.asked ?? 0) + 1);
    const first = await this.load(0, PAGE);
    if (mine !== this.asked) return; // somebody typed on: a later question is on its way
    this.forget();
    this.take(0, first);
    this.active = Math.min(this.active, Math.max(0, this.total - 1));
    this.layout();
    this.scroll.scrollTop = keep ? top : 0;
    this.draw();
    this.changed();
  }

  take(page, answer) {
    this.total = answer.total;
    this.stamp = answer.stamp;
    this.pages.set(page, answer.pictures);
  }

  async page(number) {
    if (this.pages.has(number)) return this.pages.get(number);
    const turn = this.turn;
    const loading = this.load(number * PAGE, PAGE).then((answer) => {
      if (turn !== this.turn) return [];
      if (answer.total !== this.total) {
        this.reload({ keep: true }); // others came or went: the numbers have moved
        return [];
      }
      this.take(number, answer);
      this.draw();
      return answer.pictures;
    });
    this.pages.set(number, loading);
    loading.catch(() => this.pages.delete(number));
    return loading;
  }

  // The picture at a place of the list; null while it is on its way.
  at(index) {
    const page = this.pages.get(Math.floor(index / PAGE));
    return Array.isArray(page) ? (page[index % PAGE] ?? null) : null;
  }

  async fetched(index) {
    await this.page(Math.floor(index / PAGE));
    return this.at(index);
  }

  layout() {
    const width = this.scroll.clientWidth - 6;
    if (width === this.width && this.total === this.laid) return;
    [this.width, this.laid] = [width, this.total];
    for (const tile of this.tiles.values()) tile.placed = false;
    this.columns = Math.max(2, Math.min(COLUMNS, Math.floor(width / LEAST)));
    this.side = width / this.columns;
    this.rows = Math.ceil(this.total / this.columns);
    this.place.style.height = `${this.rows * this.side}px`;
  }

  soon() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = null;
      if (!this.scroll.clientWidth) return; // the tab is not shown
      this.layout();
      this.draw();
    });
  }

  range() {
    const first = Math.max(0, Math.floor(this.scroll.scrollTop / this.side) - AHEAD);
    const last = Math.ceil((this.scroll.scrollTop + this.scroll.clientHeight) / this.side) + AHEAD;
    return [first * this.columns, Math.min(this.total, last * this.columns)];
  }

  draw() {
    if (!this.columns) this.layout();
    const [from, to] = this.range();
    for (const [index, tile] of this.tiles) {
      if ((index < from || index >= to) && tile !== document.activeElement) this.drop(index, tile);
    }
    for (let index = from; index < to; index++) this.show(index);
  }

  drop(index, tile) {
    tile.querySelector("img").removeAttribute("src"); // what is on its way is not wanted any more
    tile.remove();
    this.tiles.delete(index);
  }

  show(index) {
    const tile = this.tiles.get(index) ?? this.made(index);
    if (!tile.placed) this.put(tile, index);
    const active = index === this.active ? 0 : -1;
    if (tile.tabIndex !== active) tile.tabIndex = active;
    const picture = this.at(index);
    if (!picture) {
      this.page(Math.floor(index / PAGE));
      return;
    }
    const chosen = String(this.chosen.has(picture.id));
    if (tile.ariaSelected !== chosen) tile.ariaSelected = chosen;
    if (tile.dataset.id === String(picture.id)) return;
    tile.dataset.id = picture.id;
    tile.title = picture.title;
    tile.setAttribute("aria-label", this.describe(picture, index, this.total));
    tile.setAttribute("aria-setsize", this.total);
    tile.setAttribute("aria-posinset", index + 1);
    setTimeout(() => {
      if (tile.isConnected && tile.dataset.id === String(picture.id)) {
        tile.firstChild.src = `plugins/history/thumb/${picture.sha256}.webp`;
      }
    }, PATIENCE_MS);
  }

  put(tile, index) {
    const [x, y] = [(index % this.columns) * this.side, Math.floor(index / this.columns) * this.side];
    tile.style.cssText = `transform:translate(${x + 3}px,${y + 3}px);width:${this.side - 6}px;height:${this.side - 6}px`;
    tile.placed = true;
  }

  made(index) {
    const tile = document.createElement("div");
    tile.className = "gh-tile";
    tile.setAttribute("role", "option");
    tile.dataset.index = index;
    const image = document.createElement("img");
    image.alt = "";
    image.decoding = "async";
    image.addEventListener("error", () => tile.classList.add("gh-gone"));
    tile.append(image);
    this.place.append(tile);
    this.tiles.set(index, tile);
    return tile;
  }

  // Move the focus to a place of the list, and scroll there.
  focus(index) {
    this.active = Math.max(0, Math.min(this.total - 1, index));
    const top = Math.floor(this.active / this.columns) * this.side;
    if (top < this.scroll.scrollTop) this.scroll.scrollTop = top;
    const below = top + this.side - this.scroll.clientHeight;
    if (below > this.scroll.scrollTop) this.scroll.scrollTop = below;
    this.draw();
    this.tiles.get(this.active)?.focus({ preventScroll: true });
  }

  toggle(index) {
    const picture = this.at(index);
    if (!picture) return;
    this.chosen.delete(picture.id) || this.chosen.add(picture.id);
    this.draw();
    this.changed();
  }

  async choose(from, to) {
    for (let index = Math.min(from, to); index <= Math.max(from, to); index++) {
      const picture = this.at(index) ?? (await this.fetched(index));
      if (picture) this.chosen.add(picture.id);
    }
    this.draw();
    this.changed();
  }

  clear() {
    this.chosen.clear();
    this.draw();
    this.changed();
  }
}
