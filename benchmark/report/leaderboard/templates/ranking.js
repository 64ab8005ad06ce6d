/** The ranking: one row for each method, sorted by any column, the unranked below. */

const DEFAULT_SORT = "average_rank";
const GAIN_TIP = "Paired by seed, then averaged over the pairs that all ranked methods have";
const UNTIMED = "No step time where too few pairs can be compared with the plain student on the same machine.";
const PLAIN_HINT = "Plain means and ranks of the filtered cells: clear the filter for intervals, marks and tests.";

/**
 * `value` sorts (by default the row's value of that id), `text` shows, `ascending` is the direction of the first click,
 * `reference` is the method that the column compares with, `wholeOnly` columns are left out under a filter, `cost`
 * columns where no cost is known, `effort` columns where no method differs from the plain student, and `always` columns
 * are filled for unranked methods too.
 */
const COLUMNS = [
  { id: "position", title: "#", tip: "Place by average rank", ascending: true, text: (row) => row.position ?? NOTHING },
  { id: "method", title: "Method", ascending: true, value: (row) => row.title.toLowerCase() },
  {
    id: "average_rank",
    title: "Average rank",
    tip: "Mean rank over the pairs that all ranked methods have; 1 is best",
    ascending: true,
    text: (row) => fixed(row.average_rank, 2),
  },
  { id: "gain_student", title: "Gain over student", tip: GAIN_TIP, interval: true, reference: STUDENT },
  { id: "gain_kd", title: "Gain over KD", tip: GAIN_TIP, interval: true, reference: KD },
  {
    id: "gap_closed",
    title: "Gap closed",
    reference: STUDENT,
    wholeOnly: true,
    text: (row) => percent(row.gap_closed),
    tip: "Sum of the gains over the student, divided by the sum of the teachers’ leads, on pairs where they lead",
  },
  {
    id: "wins",
    title: "W/T/L vs KD",
    reference: KD,
    wholeOnly: true,
    tip: "Pairs won / tied / lost against KD, by the displayed means",
    value: (row) => (isNumber(row.wins) ? row.wins - row.losses : null),
    text: (row) => (isNumber(row.wins) ? `${row.wins}/${row.ties}/${row.losses}` : NOTHING),
  },
  {
    id: "epochs",
    title: "Epochs",
    tip: "Epochs of the training, a pretraining stage not included",
    ascending: true,
    effort: true,
    always: true,
    value: (row) => (row.epochs ? Number.parseInt(row.epochs, 10) : null),
    text: (row) => row.epochs ?? NOTHING,
  },
  {
    id: "views",
    title: "Views",
    tip: "Views of each image in a batch",
    ascending: true,
    effort: true,
    always: true,
    text: (row) => row.views ?? NOTHING,
  },
  {
    id: "passes",
    title: "Passes",
    tip: "Forward passes of the student in a step",
    ascending: true,
    effort: true,
    always: true,
    text: (row) => row.passes ?? NOTHING,
  },
  {
    id: "relative",
    title: "Step time",
    ascending: true,
    cost: true,
    always: true,
    tip: "Time of a training step divided by the plain student’s on the same machine; geometric mean over all pairs",
    text: (row) => multiple(row.relative),
  },
  {
    id: "extra_parameters",
    title: "Extra params",
    tip: "Parameters that are trained beside the student and dropped; mean over all pairs",
    ascending: true,
    cost: true,
    always: true,
    text: (row) => count(row.extra_parameters),
  },
  {
    id: "pairs",
    title: "Pairs",
    tip: "Shown pairs on which the method has numbers",
    always: true,
    text: (row) => `${row.pairs ?? 0}/${row.wanted}`,
  },
];

function shownColumns(view, rows) {
  const costs = rows.some((row) => isNumber(row.extra_parameters));
  const differs = (column) => !column.effort || view.board.differing.includes(column.id);
  return COLUMNS.filter(
    (column) => (costs || !column.cost) && (view.whole || !column.wholeOnly) && differs(column),
  );
}

/** Whether a row has a value in a column. */
function fills(row, column) {
  return (isPlaced(row) || Boolean(column.always)) && column.reference !== row.id;
}

/** The rows as sorted: those without a value in the column last, the unranked below all. */
function sortedRows(view, rows) {
  const column = COLUMNS.find((one) => one.id === view.state.sort);
  const value = column.value ?? ((row) => row[column.id]);
  const direction = Boolean(column.ascending) === view.state.reversed ? -1 : 1;
  return [...rows].sort((left, right) => {
    const [a, b] = [value(left), value(right)];
    if (isPlaced(left) !== isPlaced(right)) return isPlaced(left) ? -1 : 1;
    if (isNumber(a) !== isNumber(b)) return isNumber(a) ? -1 : 1;
    return !isNumber(a) || a === b ? 0 : direction * (a < b ? -1 : 1);
  });
}

function renderRanking(view, ranking, change) {
  const columns = shownColumns(view, ranking.rows);
  const scale = intervalScale(ranking.rows);
  const paper = view.beside ? paperRows(view, ranking.shared) : {};
  const head = make(
    "tr",
    {},
    columns.map((column) => headCell(view, column, change)),
  );
  const body = ranking.sorted.flatMap((row) => [
    rankingRow(view, row, columns, scale),
    isPlaced(paper[row.id] ?? {}) ? paperRow(view, paper[row.id], columns) : null,
  ]);
  fill("ranking-table", make("table", { class: "ranking" }, make("thead", {}, head), make("tbody", {}, body)));
  at("ranking-note").textContent = view.whole ? view.statistics.basis.join(" ") : plainNote(view, ranking);
  const drawn = `95 % intervals, bootstrapped over pairs${severalSeeds(view) ? " and seeds" : ""}`;
  const notes = [
    scale.intervals ? `Brackets and bars: ${drawn}. The line is 0.` : "",
    columns.some((column) => column.cost) && ranking.rows.some((row) => !isNumber(row.relative)) ? UNTIMED : "",
    mixedNote(view),
  ];
  fill(
    "ranking-legend",
    notes.filter(Boolean).map((note) => make("span", {}, note)),
    view.beside ? make("span", { class: "paper-value" }, "In italics: the paper’s numbers on the same pairs.") : null,
  );
}

function plainNote(view, { rows, shared }) {
  const placed = rows.filter(isPlaced).length;
  if (!placed) return "Nothing to rank: no shown method has numbers on more than half of the shown pairs.";
  const methods = `${placed} ${placed === 1 ? "method" : "methods"}`;
  return `${methods} ranked on ${shared.length} of ${view.pairs.length} shown pairs. ${PLAIN_HINT}`;
}

function mixedNote(view) {
  const mixed = view.pairs.filter((pair) => view.methods.some(({ id }) => elsewhereOf(view, id, pair.id))).length;
  if (!mixed) return "";
  return (
    `On ${mixed} of ${view.pairs.length} shown pairs, runs that are compared were made on different ` +
    `machines, which can change their numbers; ${ELSEWHERE} marks them.`
  );
}

function headCell(view, column, change) {
  const sorted = view.state.sort === column.id;
  const up = Boolean(column.ascending) !== view.state.reversed;
  const click = () => change({ sort: column.id, reversed: sorted && !view.state.reversed });
  const direction = up ? "ascending" : "descending";
  return make(
    "th",
    { scope: "col", class: `col-${column.id}`, "aria-sort": sorted ? direction : "none" },
    make(
      "button",
      { type: "button", "data-key": `sort/${column.id}`, "data-tip": column.tip, click },
      column.title,
      make("span", { class: "arrow", "aria-hidden": "true" }, sorted ? (up ? "▲" : "▼") : ""),
    ),
  );
}

function rankingRow(view, row, columns, scale) {
  const cells = columns.map((column) => {
    if (column.id === "method") return nameCell(row);
    if (column.interval) return gainCell(view, row, column, scale);
    return make("td", { class: `col-${column.id}` }, fills(row, column) ? column.text(row) : NOTHING);
  });
  if (isPlaced(row)) return make("tr", { "data-method": row.id }, cells);
  // The reason stands in place of the numbers that the method does not have.
  const first = columns.findIndex((column) => column.id === "average_rank");
  const rest = columns.findIndex((column) => column.always);
  const reason = make("td", { class: "reason", colspan: rest - first }, `Not ranked. ${row.reason}`);
  return make("tr", { "data-method": row.id, class: "unranked" }, cells.slice(0, first), reason, cells.slice(rest));
}

/** The paper's ranks and gains by method, on the pairs that ours are ranked on. */
function paperRows(view, shared) {
  const { rows } = rankMethods({ ...papers(view), pairs: view.pairs.filter((pair) => shared.includes(pair.id)) });
  return Object.fromEntries(rows.map((row) => [row.id, row]));
}

function paperRow(view, row, columns) {
  const cells = columns.map((column) => {
    if (column.id === "method") return make("th", { scope: "row", class: "col-method" }, "paper");
    if (column.always || column.wholeOnly || !fills(row, column)) return make("td", {});
    const text = column.interval
      ? make("span", { class: "gain" }, signed(row[column.id], view.metric.decimals))
      : column.text(row);
    return make("td", { class: `col-${column.id}` }, text);
  });
  return make("tr", { class: "paper" }, cells);
}

function nameCell(row) {
  const attributes = { type: "button", class: "name", "data-tip": row.citation, "data-key": `name/${row.id}` };
  return make(
    "th",
    { scope: "row", class: "col-method" },
    make("button", attributes, row.title),
    row.added ? make("span", { class: "badge" }, "added") : null,
    row.published_recipe ? recipeBadge(row) : null,
  );
}

/** Marks methods whose published numbers are of another recipe. */
function recipeBadge(row) {
  const tip = `Published with: ${row.published_recipe}`;
  return make("button", { type: "button", class: "badge", "data-tip": tip, "data-key": `recipe/${row.id}` }, "recipe");
}

function gainCell(view, row, column, scale) {
  const attributes = { class: `col-${column.id}` };
  if (!fills(row, column)) return make("td", attributes, make("span", { class: "gain nothing" }, NOTHING));
  const [value, low, high] = [row[column.id], row[`${column.id}_low`], row[`${column.id}_high`]];
  return make(
    "td",
    attributes,
    make("span", { class: "gain" }, signed(value, view.metric.decimals)),
    scale.intervals
      ? [make("span", { class: "bracket" }, bracket(view, low, high)), intervalBar(scale, value, low, high)]
      : null,
  );
}

/** "[+0.10, +1.30]"; empty without an interval. */
function bracket(view, low, high) {
  return isNumber(low) ? `[${signed(low, view.metric.decimals)}, ${signed(high, view.metric.decimals)}]` : "";
}

/** One scale for all intervals of the table, including zero. */
function intervalScale(rows) {
  const names = ["gain_student", "gain_kd"];
  const endsOf = (row) => names.flatMap((id) => [row[id], row[`${id}_low`], row[`${id}_high`]]);
  const ends = rows.filter(isPlaced).flatMap(endsOf);
  const intervals = rows.some((row) => names.some((id) => isNumber(row[`${id}_low`])));
  return { intervals, low: Math.min(0, ...known(ends)), high: Math.max(0, ...known(ends)) };
}

function intervalBar(scale, value, low, high) {
  const [width, height] = [104, 14];
  const x = (at) => (4 + ((at - scale.low) / (scale.high - scale.low || 1)) * (width - 8)).toFixed(1);
  const sign = !isNumber(low) ? "unsure" : low > 0 ? "positive" : high < 0 ? "negative" : "unsure";
  return draw(
    "svg",
    { class: `interval ${sign}`, width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
    draw("line", { class: "zero", x1: x(0), x2: x(0), y1: 0, y2: height }),
    isNumber(low) ? draw("line", { class: "range", x1: x(low), x2: x(high), y1: height / 2, y2: height / 2 }) : null,
    isNumber(value) ? draw("circle", { class: "dot", cx: x(value), cy: height / 2, r: 3.2 }) : null,
  );
}
