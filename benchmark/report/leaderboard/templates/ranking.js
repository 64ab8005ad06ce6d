/** The ranking: one row a method, sorted by any column, the unranked below. */

const DEFAULT_SORT = "average_rank";

const GAIN_TIP = "Paired by seed, then averaged over the shared pairs";
const UNTIMED =
  `No step time where fewer than ${FEWEST_TIMED_PAIRS} of the shown pairs can be compared with the plain student on ` +
  "the same machine: it would be noise.";

/**
 * `value` sorts (else the row's part of that id), `text` shows, `ascending` orders at the first click, `reference`
 * is the method that the column compares with and so says nothing of. What is `ofOurs` the paper does not print, and is
 * left out where nothing is known of costs; `always` marks what the unranked have too.
 */
const COLUMNS = [
  { id: "position", title: "#", tip: "Place by average rank", ascending: true, text: (row) => row.position ?? NOTHING },
  { id: "method", title: "Method", ascending: true, value: (row) => row.title.toLowerCase() },
  {
    id: "average_rank",
    title: "Average rank",
    tip: "Mean over the shared pairs of the rank within each, 1 is best",
    ascending: true,
    text: (row) => fixed(row.average_rank, 2),
  },
  { id: "gain_student", title: "Gain over student", tip: GAIN_TIP, interval: true, reference: STUDENT },
  { id: "gain_kd", title: "Gain over KD", tip: GAIN_TIP, interval: true, reference: KD },
  {
    id: "gap_closed",
    title: "Gap closed",
    reference: STUDENT,
    text: (row) => percent(row.gap_closed),
    tip: "Sum of the gains by the sum of the teachers’ leads over the students, on pairs where the teacher leads",
  },
  {
    id: "wins",
    title: "W/T/L vs KD",
    reference: KD,
    tip: "Pairs won / tied / lost against KD, by means as displayed",
    value: (row) => (isNumber(row.wins) ? row.wins - row.losses : null),
    text: (row) => (isNumber(row.wins) ? `${row.wins}/${row.ties}/${row.losses}` : NOTHING),
  },
  {
    id: "relative",
    title: "Step time",
    ascending: true,
    ofOurs: true,
    always: true,
    tip: "Time of a training step by that of the plain student on the same machine; geometric mean over pairs",
    text: (row) => multiple(row.relative),
  },
  {
    id: "extra_parameters",
    title: "Extra params",
    tip: "Trained beside the student and thrown away; mean over pairs",
    ascending: true,
    ofOurs: true,
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

function shownColumns(ranking) {
  return COLUMNS.filter((column) => !column.ofOurs || ranking.sorted.some((row) => isNumber(row.extra_parameters)));
}

/** Whether a row has something to say in a column. */
function says(row, column) {
  return (isPlaced(row) || Boolean(column.always)) && column.reference !== row.id;
}

/** The methods' rows in the order shown: sorted, those without a value after, the unranked last. */
function sortedRows(view, rows) {
  const column = COLUMNS.find((one) => one.id === view.state.sort);
  const value = column.value ?? ((row) => row[column.id]);
  const direction = (column.ascending ? 1 : -1) * (view.state.reversed ? -1 : 1);
  const compare = (left, right) => {
    const [a, b] = [value(left), value(right)];
    if (isPlaced(left) !== isPlaced(right)) return isPlaced(left) ? -1 : 1;
    if (isNumber(a) !== isNumber(b)) return isNumber(a) ? -1 : 1;
    const order = !isNumber(a) || a === b ? 0 : a < b ? -1 : 1;
    return direction * order;
  };
  return view.methods.map((method) => ({ ...method, ...rows[method.id], wanted: view.pairs.length })).sort(compare);
}

function renderRanking(view, ranking, change) {
  const columns = shownColumns(ranking);
  const scale = intervalScale(ranking.sorted);
  // On the same pairs, or the two would not stand beside each other.
  const onShared = { ...view, pairs: view.pairs.filter((pair) => ranking.shared.includes(pair.id)) };
  const paper = view.beside ? rankedRows(papers(onShared)).rows : null;
  const body = ranking.sorted.flatMap((row) => [
    rankingRow(view, row, columns, scale),
    paper && isPlaced(paper[row.id]) ? paperRow(view, { ...paper[row.id], id: row.id }, columns) : null,
  ]);
  fill(
    "ranking-table",
    make(
      "table",
      { class: "ranking" },
      make(
        "thead",
        {},
        make(
          "tr",
          {},
          columns.map((column) => headCell(view, column, change)),
        ),
      ),
      make("tbody", {}, body),
    ),
  );
  at("ranking-note").textContent = rankingNote(view, ranking);
  const drawn = `95 % intervals, bootstrapped over pairs${severalSeeds(view) ? " and seeds" : ""}`;
  fill(
    "ranking-legend",
    scale.intervals ? make("span", {}, `Brackets and bars: ${drawn}. The line is 0.`) : null,
    columns.some((column) => column.ofOurs) && ranking.sorted.some((row) => !isNumber(row.relative))
      ? make("span", {}, UNTIMED)
      : null,
    mixedPairs(view).length ? make("span", {}, mixedNote(view)) : null,
    paper ? make("span", { class: "paper-value" }, "In italics: the paper’s numbers on the same pairs.") : null,
  );
}

function mixedNote(view) {
  return (
    `On ${mixedPairs(view).length} of ${view.pairs.length} shown pairs, runs that are compared were made on different ` +
    `machines, which can change their numbers: ${ELSEWHERE} marks them, pair by pair.`
  );
}

function headCell(view, column, change) {
  const sorted = view.state.sort === column.id;
  const up = Boolean(column.ascending) !== view.state.reversed;
  const click = () => change({ sort: column.id, reversed: sorted && !view.state.reversed });
  return make(
    "th",
    {
      scope: "col",
      class: `col-${column.id}`,
      "aria-sort": sorted ? (up ? "ascending" : "descending") : "none",
    },
    make(
      "button",
      { type: "button", "data-key": `sort/${column.id}`, "data-tip": column.tip, click },
      column.title,
      make("span", { class: "arrow", "aria-hidden": "true" }, sorted ? (up ? "▲" : "▼") : ""),
    ),
  );
}

function rankingRow(view, row, columns, scale) {
  const placed = isPlaced(row);
  const cells = columns.map((column) => {
    if (column.id === "method") return nameCell(row);
    if (column.interval && says(row, column)) return gainCell(view, row, column, scale);
    const text = says(row, column) ? column.text(row) : NOTHING;
    return make(
      "td",
      { class: `col-${column.id}` },
      column.interval ? make("span", { class: "gain nothing" }, text) : text,
    );
  });
  if (placed) return make("tr", { "data-method": row.id }, cells);
  // The reason takes the place of what the method has no numbers for.
  const first = columns.findIndex((column) => column.id === "average_rank");
  const last = columns.findIndex((column) => column.id === "wins");
  const reason = make(
    "td",
    { class: "reason", colspan: last - first + 1 },
    `Not ranked. ${row.reason || "It has no numbers."}`,
  );
  return make("tr", { "data-method": row.id, class: "unranked" }, cells.slice(0, first), reason, cells.slice(last + 1));
}

function paperRow(view, row, columns) {
  return make(
    "tr",
    { class: "paper" },
    columns.map((column) => {
      if (column.id === "method") return make("th", { scope: "row", class: "col-method" }, "paper");
      if (column.always || !says(row, column)) return make("td", {});
      if (!column.interval) return make("td", { class: `col-${column.id}` }, column.text(row));
      return make(
        "td",
        { class: `col-${column.id}` },
        make("span", { class: "gain" }, signed(row[column.id], view.metric.decimals)),
      );
    }),
  );
}

function nameCell(row) {
  return make(
    "th",
    { scope: "row", class: "col-method" },
    make(
      "button",
      { type: "button", class: "name", "data-tip": row.citation || row.title, "data-key": `name/${row.id}` },
      row.title,
    ),
    row.added ? make("span", { class: "badge" }, "added") : null,
  );
}

function gainCell(view, row, column, scale) {
  const [value, low, high] = [row[column.id], row[`${column.id}_low`], row[`${column.id}_high`]];
  const [from, to] = [low, high].map((end) => signed(end, view.metric.decimals));
  const bracket = isNumber(low) && isNumber(high) ? `[${from}, ${to}]` : "";
  return make(
    "td",
    { class: `col-${column.id}` },
    make("span", { class: "gain" }, signed(value, view.metric.decimals)),
    scale.intervals ? [make("span", { class: "bracket" }, bracket), intervalBar(scale, value, low, high)] : null,
  );
}

/** One scale for all intervals of the table, zero included. */
function intervalScale(rows) {
  const ends = rows.flatMap((row) =>
    ["gain_student", "gain_kd"].flatMap((id) =>
      isPlaced(row) ? known([row[id], row[`${id}_low`], row[`${id}_high`]]) : [],
    ),
  );
  const intervals = rows.some((row) => isNumber(row.gain_student_low) || isNumber(row.gain_kd_low));
  return { intervals, low: Math.min(0, ...ends), high: Math.max(0, ...ends) };
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

function rankingNote(view, ranking) {
  const placed = ranking.sorted.filter(isPlaced).length;
  if (!placed) return "Nothing to rank: no shown method has numbers on more than half of the shown pairs.";
  const shared = ranking.shared.length;
  const pairs =
    shared === view.pairs.length
      ? `${shared === 1 ? "the one shown pair" : `all ${shared} shown pairs`}`
      : `the ${shared} of ${view.pairs.length} shown pairs that all ranked methods share`;
  const note = `${placed} ${placed === 1 ? "method" : "methods"} ranked on ${pairs}${seedsNote(view, ranking)}.`;
  return view.whole
    ? note
    : `${note} Computed anew for this filter; intervals and tests of differences are there for the whole board only.`;
}

/** On which seeds, if runs of ranked methods were left out. */
function seedsNote(view, ranking) {
  const placed = ranking.sorted.filter(isPlaced).map((row) => row.id);
  const { counted, pairs } = onSharedSeeds(view, placed);
  const used = pairs.map((pair) => counted[pair.id].filter(Boolean).length);
  const had = pairs.map(
    (pair) => view.board.seeds.filter((_, i) => placed.some((id) => bySeed(view, id, pair.id)[i] !== null)).length,
  );
  if (view.board.printed || used.every((count, index) => count === had[index])) return "";
  const [least, most] = [Math.min(...used), Math.max(...used)];
  const range = least === most ? least : `${least} to ${most}`;
  return `, on the seeds that they share (${range} of ${Math.max(...had)})`;
}
