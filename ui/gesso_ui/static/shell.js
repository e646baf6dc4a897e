// The line at the foot of the page: theme and language, kept in cookies so that the server knows them before it answers.

const YEAR_S = 365 * 24 * 3600;
const keep = (name, value) => {
  document.cookie = `${name}=${value}; path=/; max-age=${YEAR_S}; samesite=strict`;
};

export function setTheme(name) {
  document.documentElement.dataset.theme = name;
  document.body.classList.toggle("dark", name !== "light");
  keep("gesso_theme", name);
}

export function setLanguage(code) {
  keep("gesso_language", code);
  location.reload();
}

export function mountFoot(element) {
  const [theme, language] = ["theme", "language"].map((name) => element.querySelector(`[data-choose="${name}"]`));
  theme.value = document.documentElement.dataset.theme;
  theme.addEventListener("change", () => setTheme(theme.value));
  const now = document.documentElement.dataset.language.replace("-", "_");
  language.value = now;
  language.addEventListener("change", () => setLanguage(language.value));
}
