/** Puts the parts together: every change of the state goes through `change` and draws the page anew. */

const SECTIONS = ["ranking", "differences", "pairs", "costs", "downloads", "reading"];

function start() {
  const payload = JSON.parse(at("page-data").textContent);
  let state = readState(payload, location.hash);
  const change = (parts) => {
    // What another board lacks falls back to its own defaults, as it would from the address.
    state = readState(payload, writeState(payload, { ...state, ...parts }));
    const hash = writeState(payload, state);
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
    keepingFocus(() => render(viewOf(payload, state), change));
  };
  setUpControls(payload, change);
  setUpDetail(change);
  setUpTips();
  setUpJumps();
  // Closed, since the ranking comes first; but a link that filters shows what it does.
  at("filters").open = !viewOf(payload, state).whole;
  addEventListener("hashchange", () => {
    state = readState(payload, location.hash);
    render(viewOf(payload, state), change);
  });
  onResize(() => keepingFocus(() => render(viewOf(payload, state), change)));
  render(viewOf(payload, state), change);
}

function render(view, change) {
  hideTip();
  const { rows, shared } = rankedRows(view);
  const ranking = { rows, shared, sorted: sortedRows(view, rows) };
  renderControls(view, change);
  renderRanking(view, ranking, change);
  renderDifferences(view, ranking);
  renderHeatmap(view, ranking, change);
  renderCosts(view, ranking);
  renderDownloads(view, ranking);
  fill(
    "notes",
    view.board.notes.map((note) => make("p", {}, note)),
  );
  renderContents();
  renderDetail(view);
}

function renderContents() {
  fill(
    "contents",
    SECTIONS.filter((id) => !at(id).hidden).map((id) =>
      make(
        "a",
        { href: `#${id}`, "data-jump": true, "data-key": `jump/${id}` },
        at(id).querySelector("h2").textContent,
      ),
    ),
  );
}

/** Links within the page move there and leave the address to the state. */
function setUpJumps() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-jump]");
    if (!link) return;
    event.preventDefault();
    const section = at(link.getAttribute("href").slice(1));
    section.scrollIntoView();
    section.focus({ preventScroll: true });
  });
}

/** Charts are drawn for the width they have. */
function onResize(redraw) {
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    requestAnimationFrame(redraw);
  });
}

start();
