/** Puts the parts together: every change of the state goes through `change` and redraws the page. */

const SECTIONS = ["ranking", "differences", "pairs", "published", "costs", "downloads", "reading"];

function start() {
  const pageData = JSON.parse(at("page-data").textContent);
  let state = readState(pageData, location.hash);
  const redraw = () => keepingFocus(() => render(viewOf(pageData, state), change));
  const change = (parts) => {
    // Reading the state back replaces what another board does not have by its defaults.
    state = readState(pageData, writeState(pageData, { ...state, ...parts }));
    const hash = writeState(pageData, state);
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
    redraw();
  };
  setUpControls(pageData, change);
  setUpPublished(pageData, change);
  setUpDetail(change);
  setUpTips();
  setUpJumps();
  // A link that filters opens the filters, so that readers see them.
  at("filters").open = !viewOf(pageData, state).whole;
  addEventListener("hashchange", () => {
    state = readState(pageData, location.hash);
    redraw();
  });
  onNewWidth(redraw);
  redraw();
}

function render(view, change) {
  hideTip();
  const ranking = rankMethods(view);
  ranking.sorted = sortedRows(view, ranking.rows);
  renderControls(view, change);
  renderRanking(view, ranking, change);
  renderDifferences(view, ranking);
  renderHeatmap(view, ranking, change);
  renderPublished(view, change);
  renderCosts(view, ranking);
  renderDownloads(view, ranking);
  fill("notes", paragraphs(view.board.notes));
  const sections = SECTIONS.filter((id) => !at(id).hidden);
  fill(
    "contents",
    sections.map((id) =>
      make(
        "a",
        { href: `#${id}`, "data-jump": true, "data-key": `jump/${id}` },
        at(id).querySelector("h2").textContent,
      ),
    ),
  );
  renderDetail(view);
}

/** Links within the page scroll and move the focus; the address keeps the state. */
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

/** Charts are drawn for the width of the window. */
function onNewWidth(redraw) {
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    requestAnimationFrame(redraw);
  });
}

start();
