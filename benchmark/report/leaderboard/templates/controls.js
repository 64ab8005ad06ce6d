/** The bar of switches and the filters. `change` takes the parts of the state that change. */

const THEMES = [
  { id: "auto", title: "Auto" },
  { id: "light", title: "Light" },
  { id: "dark", title: "Dark" },
];
const THEME_KEY = "leaderboard-theme";

function setUpControls(pageData, change) {
  fill(
    "source",
    pageData.boards.map((board) => make("option", { value: board.name }, sentence(board.title))),
  );
  // Another board has other methods and pairs, so the filters are cleared.
  at("source").addEventListener("change", () =>
    change({ board: at("source").value, method: [], pair: [], cell: "", sort: DEFAULT_SORT, reversed: false }),
  );
  at("beside").addEventListener("change", () => change({ beside: at("beside").checked }));
  at("text").addEventListener("input", () => change({ text: at("text").value }));
  setUpTheme();
}

function renderControls(view, change) {
  const { board, state } = view;
  at("source").value = board.name;
  segments("metric", board.metrics.map(shortened), state.metric, (metric) => change({ metric }));
  segments("epoch", board.selections.map(shortened).map(withWarning), state.epoch, (epoch) => change({ epoch }));
  segments("show", SHOWS, state.show, (show) => change({ show }));
  at("metric").hidden = board.metrics.length < 2;
  at("epoch").hidden = board.selections.length < 2;
  at("beside-field").hidden = !board.beside;
  at("beside").checked = state.beside;
  at("beside").disabled = view.metric.id !== board.metric;
  at("beside-field").dataset.tip = at("beside").disabled ? `The paper prints ${papersMetric(board)} only.` : "";
  if (at("text").value !== state.text) at("text").value = state.text;
  renderChips(view, change);
  renderSummary(view);
}

function papersMetric(board) {
  return shortened(board.metrics.find((metric) => metric.id === board.metric)).title;
}

/** The option with the first part of its title, for narrow places. */
function shortened(option) {
  return { ...option, title: option.title.split(",")[0] };
}

/** Every epoch but the last is chosen on the test data. */
function withWarning(selection, index) {
  return index ? { ...selection, title: `${selection.title} ⚠` } : selection;
}

function renderChips(view, change) {
  const { board, state } = view;
  const chip = (name, id, title, tip) =>
    chipButton(`chip/${name}/${id}`, title, state[name].includes(id), tip, () =>
      change({ [name]: state[name].includes(id) ? state[name].filter((one) => one !== id) : [...state[name], id] }),
    );
  const all = (name, cleared) => {
    const filtered = Object.keys(cleared).some((part) => String(state[part]).trim());
    return chipButton(`chip/${name}`, "All", !filtered, null, () => change(cleared));
  };
  const groups = groupsOf(board.pairs);
  fill(
    "method-chips",
    all("method", { method: [], text: "" }),
    board.methods.map((one) => chip("method", one.id, one.title, one.citation)),
  );
  fill(
    "pair-chips",
    all("pair", { pair: [] }),
    groups.length > 1 ? groups.map((group) => chip("pair", group, sentence(group))) : [],
    board.pairs.map((one) => chip("pair", one.id, one.label)),
  );
}

function chipButton(key, title, pressed, tip, click) {
  const attributes = { type: "button", class: "chip", "aria-pressed": String(pressed), "data-key": key };
  return make("button", { ...attributes, "data-tip": tip, click }, title);
}

function renderSummary(view) {
  const { board, methods, pairs } = view;
  at("filter-summary").textContent = view.whole
    ? `all ${board.methods.length} methods, all ${board.pairs.length} pairs`
    : `${methods.length} of ${board.methods.length} methods, ${pairs.length} of ${board.pairs.length} pairs`;
  const shown = [sentence(board.title), view.metric.title];
  if (board.selections.length > 1) shown.push(view.selection.title);
  if (!view.whole) shown.push(at("filter-summary").textContent);
  fill(
    "view",
    shown.map((text) => make("span", {}, text)),
  );
  at("best-warning").hidden = view.selection === board.selections[0];
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** The choice of light or dark is kept by the browser, and not in the address, which others may open. */
function setUpTheme() {
  const paint = (theme) => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  };
  const stored = remembered();
  paint(stored);
  segments("theme", THEMES, stored, (theme) => {
    paint(theme);
    remember(theme);
  });
}

function remembered() {
  try {
    const theme = localStorage.getItem(THEME_KEY);
    return THEMES.some((one) => one.id === theme) ? theme : "auto";
  } catch {
    return "auto"; // Some browsers forbid storage to pages from files.
  }
}

function remember(theme) {
  try {
    localStorage.setItem(THEME_KEY, theme);
  } catch {
    // The choice then lasts as long as the page.
  }
}
