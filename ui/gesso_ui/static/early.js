// Before anything else is drawn: Gradio asks the browser for language and darkness, and is told what the person chose.
(() => {
  const root = document.documentElement;
  const dark = () => root.dataset.theme !== "light";
  const language = root.dataset.language;
  Object.defineProperty(navigator, "language", { get: () => language, configurable: true });
  Object.defineProperty(navigator, "languages", { get: () => [language], configurable: true });
  const real = window.matchMedia.bind(window);
  window.matchMedia = (query) => {
    if (!/prefers-color-scheme/.test(query)) return real(query);
    const list = new EventTarget();
    return Object.assign(list, {
      media: query, get matches() { return dark() === /dark/.test(query); }, addListener() {}, removeListener() {},
    });
  };
})();
