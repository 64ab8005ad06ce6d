/** Published numbers beside ours, for the shown pairs and methods: one suite after the other. */

const EVERY_SUITE = { id: "all", title: "All" };
const PRINTED_EPOCHS = [
  { id: "any", title: "Any" },
  { id: "last", title: "Last" },
  { id: "best", title: "Best ⚠" },
];
const PUBLISHED_DECIMALS = 2;

function suitesOf(pageData) {
  return [EVERY_SUITE, ...pageData.published.suites];
}

function setUpPublished(pageData, change) {
  const name = ({ id, title }) => (id === EVERY_SUITE.id ? title : id);
  fill(
    "suite",
    suitesOf(pageData).map((suite) => make("option", { value: suite.id }, name(suite))),
  );
  at("suite").addEventListener("change", () => change({ suite: at("suite").value }));
}

function renderPublished(view, change) {
  const { board, state } = view;
  const rows = publishedRows(view);
  at("published").hidden = !rows.length;
  at("suite").value = state.suite;
  segments("printed", PRINTED_EPOCHS, state.printed, (printed) => change({ printed }));
  const shown = rows.filter(
    (row) =>
      [EVERY_SUITE.id, row.suite].includes(state.suite) && [PRINTED_EPOCHS[0].id, row.selection].includes(state.printed),
  );
  at("published-note").textContent =
    "Top-1 accuracies that others printed, of their own code. Only numbers of one suite may be compared: these share " +
    `teachers and recipe. ⚠ marks the best epoch, which is chosen on the test data. ${view.published.note}`;
  fill("published-table", shown.length ? publishedTable(view, shown) : "Nothing of this suite and epoch.");
  at("published-legend").textContent = board.printed
    ? ""
    : `Ours: ${board.title}, last epoch, mean over seeds${board.stand_in ? ", of other data and so not comparable" : ""}. ` +
      "Published numbers enter no mean, rank or test of this page.";
}

/** The rows of the shown methods and pairs as objects, each with its method and pair. */
function publishedRows(view) {
  const byId = (items) => Object.fromEntries(items.map((item) => [item.id, item]));
  const [methods, pairs] = [byId(view.methods), byId(view.pairs)];
  const { fields, rows } = view.published;
  return rows
    .map((row) => Object.fromEntries(fields.map((field, index) => [field, row[index]])))
    .map((row) => ({ ...row, method: methods[row.method], pair: pairs[row.pair] }))
    .filter((row) => row.method && row.pair);
}

function publishedTable(view, rows) {
  const ours = view.board.stand_in ? "Ours (other data)" : "Ours";
  const heads = ["Method, pair", "Published", "Epoch", ...(view.board.printed ? [] : [ours]), "Source"];
  const suites = view.published.suites.filter((suite) => rows.some((row) => row.suite === suite.id));
  const head = heads.map((title, index) => make("th", { scope: "col", class: index ? null : "col-method" }, title));
  return make(
    "table",
    { class: "published" },
    make("thead", {}, make("tr", {}, head)),
    suites.map((suite) =>
      make(
        "tbody",
        {},
        make(
          "tr",
          { class: "suite" },
          make("th", { scope: "rowgroup", colspan: heads.length }, make("span", {}, `${suite.id}: ${suite.title}`)),
        ),
        rows.filter((row) => row.suite === suite.id).map((row) => publishedRow(view, row)),
      ),
    ),
  );
}

function publishedRow(view, row) {
  const best = row.selection === "best";
  const year = isNumber(row.year) ? `, ${row.year}` : "";
  return make(
    "tr",
    { "data-method": row.method.id, "data-pair": row.pair.id },
    make("th", { scope: "row", class: "col-method" }, row.method.title, make("small", {}, row.pair.label)),
    make("td", { class: "number", "data-tip": `Printed as ${row.printed}` }, withSpread(row.top1, row.std)),
    make("td", { class: best ? "chosen" : null }, best ? "best ⚠" : row.selection),
    view.board.printed ? null : make("td", { class: "number ours" }, oursBeside(view.board, row)),
    make("td", { class: "source" }, `${row.source}${year}`),
  );
}

/** Our mean of the last epoch, whichever metric and epoch the rest of the page shows. */
function oursBeside(board, row) {
  const found = board.statistics.last.top1?.cells[row.method.id]?.[row.pair.id] ?? {};
  return withSpread(found.mean, found.sd);
}

/** "72.98 ± 0.24"; the deviation only where it is known. */
function withSpread(value, sd) {
  return fixed(value, PUBLISHED_DECIMALS) + (isNumber(sd) ? ` ± ${fixed(sd, PUBLISHED_DECIMALS)}` : "");
}
