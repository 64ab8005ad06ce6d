/** Methods by pairs: values or gains, coloured by the gain; each cell opens its runs. */

const WORDS = { missing: NOTHING, not_applicable: "n/a", failed: "failed" };
const MEANINGS = {
  missing: "not trained yet",
  not_applicable: "the method does not apply",
  failed: "every run failed",
};
const ELSEWHERE = "†";
const ELSEWHERE_TEXT = "made on another machine than the runs it is compared with";
const MARKS = { best: "best", near: "not significantly worse than the best" };

function renderHeatmap(view, ranking, change) {
  const limit = colourLimit(view);
  const pairs = groupsOf(view.pairs).flatMap((group) => view.pairs.filter((pair) => pair.group === group));
  const row = (method) =>
    make(
      "tr",
      { "data-method": method.id },
      make("th", { scope: "row", class: "col-method" }, method.title),
      pairs.map((pair) => heatCell(view, method, pair, limit, change)),
    );
  const body = make("tbody", {}, view.state.show === "value" ? teacherRow(view, pairs) : null, ranking.sorted.map(row));
  fill("heatmap", make("table", { class: "heatmap", keydown: moveInGrid }, heatHead(view, pairs), body));
  at("heatmap").querySelector("td button")?.setAttribute("tabindex", "0");
  at("heatmap-note").textContent = heatmapNote(view);
  fill("heatmap-legend", legendOf(view, limit));
}

/** Whether any cell of the board is significantly worse than the best of its pair; otherwise marks say nothing. */
function marksTell(view) {
  const cells = Object.values(view.statistics.cells).flatMap((row) => Object.values(row));
  return !view.board.printed && cells.some((cell) => !cell.best && !cell.near);
}

/** "best", "near" or nothing: the mark of a cell among all methods of its pair. */
function markOf(view, method, pair) {
  const { best, near } = numbersOf(view, method, pair);
  return !view.whole ? "" : best ? "best" : near && marksTell(view) ? "near" : "";
}

/** Where a cell's runs were made, if not where those were that they are compared with. */
function elsewhereOf(view, method, pair) {
  return cellOf(view.board, method, pair).elsewhere?.reason ?? "";
}

function severalSeeds(view) {
  return view.board.seeds.length > 1;
}

function heatHead(view, pairs) {
  const groups = groupsOf(pairs).map((group) => {
    const colspan = pairs.filter((pair) => pair.group === group).length;
    return make("th", { scope: "colgroup", class: "group", colspan }, sentence(group));
  });
  const method = make("th", { scope: "col", class: "col-method" }, "Method");
  return make("thead", {}, make("tr", {}, make("td", {}), groups), make("tr", {}, method, pairs.map(pairHead)));
}

function pairHead(pair) {
  const [teacher, student] = pair.label.split(" → ");
  const parts = student
    ? [make("span", { class: "quiet" }, teacher, " →"), " ", make("span", {}, student)]
    : [pair.label];
  return make("th", { scope: "col", class: "pair" }, parts);
}

function teacherRow(view, pairs) {
  const { decimals } = view.metric;
  return make(
    "tr",
    { class: "teacher" },
    make("th", { scope: "row", class: "col-method" }, "Teacher"),
    pairs.map((pair) =>
      make(
        "td",
        {},
        make("span", { class: "main" }, fixed(teacherValue(view, pair), decimals)),
        view.beside ? make("small", { class: "paper-value" }, fixed(pair.paper, decimals)) : null,
      ),
    ),
  );
}

/** The column of gains that colours the cells. */
function gainShown(view) {
  return view.state.show === "gain_kd" ? "gain_kd" : "gain_student";
}

/** The texts of a cell, and its gain for the colour. */
function readCell(view, method, pair) {
  const { decimals } = view.metric;
  const isValue = view.state.show === "value";
  const [name, format] = isValue ? ["mean", fixed] : [view.state.show, signed];
  const cell = cellOf(view.board, method, pair);
  const numbers = numbersOf(view, method, pair);
  const [value, sd] = [numbers[name], numbers[isValue ? "sd" : `${name}_sd`]];
  const trained = isNumber(numbers.mean);
  const untrained = cell.state in WORDS ? cell.state : "missing";
  const state = trained ? (cell.state === "partial" ? "partial" : "done") : untrained;
  return {
    state,
    gain: numbers[gainShown(view)] ?? null,
    reason: cell.reason || meaningOf(view, state),
    text: trained ? format(value, decimals) : WORDS[state],
    // The gain of a method over itself is 0 without a spread.
    spread: isNumber(sd) && (isValue || sd) ? `±${fixed(sd, decimals)}` : "",
    seeds: state === "partial" ? `${numbers.n}/${view.board.seeds.length}` : "",
    paper: view.beside ? paperText(view, method, pair, name, format) : "",
    mark: markOf(view, method, pair),
  };
}

function meaningOf(view, state) {
  return view.board.printed && state === "missing" ? "not printed" : (MEANINGS[state] ?? "");
}

/** The paper's value or gain, and ours minus it where both are of the same data. */
function paperText(view, method, pair, name, format) {
  const [ours, theirs] = [view, papers(view)].map((one) => numbersOf(one, method, pair)[name]);
  if (!isNumber(theirs)) return "";
  const text = format(theirs, view.metric.decimals);
  return view.board.stand_in || !isNumber(ours) ? text : `${text} (${signed(ours - theirs, view.metric.decimals)})`;
}

function heatCell(view, method, pair, limit, change) {
  const cell = readCell(view, method.id, pair.id);
  const key = `${method.id}/${pair.id}`;
  const elsewhere = elsewhereOf(view, method.id, pair.id);
  const label = [`${method.title}, ${pair.label}: ${cell.text} ${cell.spread}`, MARKS[cell.mark]];
  return make(
    "td",
    {
      class: cell.gain ? (cell.gain < 0 ? "worse" : "better") : "",
      "--strength": Math.min(1, Math.abs(cell.gain ?? 0) / limit).toFixed(3),
    },
    make(
      "button",
      {
        type: "button",
        class: ["cell", cell.state, cell.mark].join(" ").trim(),
        tabindex: "-1",
        "data-key": `cell/${key}`,
        "data-cell": key,
        "data-tip": [cell.reason, elsewhere].filter(Boolean).join("; "),
        "aria-label": [...label, elsewhere && ELSEWHERE_TEXT].filter(Boolean).join(", "),
        click: () => change({ cell: key }),
      },
      make("span", { class: "main" }, cell.text, elsewhere && make("sup", {}, ELSEWHERE)),
      cell.spread || cell.seeds ? make("small", {}, `${cell.spread} ${cell.seeds}`.trim()) : null,
      cell.paper ? make("small", { class: "paper-value" }, cell.paper) : null,
    ),
  );
}

/** The gain of the full colour: a round number above nine tenths of the gains, so that outliers do not count. */
function colourLimit(view) {
  const name = gainShown(view);
  const gains = view.methods.flatMap(({ id }) => view.pairs.map((pair) => numbersOf(view, id, pair.id)[name]));
  const sizes = known(gains).map(Math.abs).sort((a, b) => a - b);
  const most = sizes[Math.floor(0.9 * (sizes.length - 1))] || 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 3, 5, 10].find((factor) => factor * power >= most * 0.999) * power;
}

function referenceTitle(view) {
  return gainShown(view) === "gain_kd" ? "KD" : "the plain student";
}

function heatmapNote(view) {
  const gain = view.state.show === "value" ? "" : `: gain over ${referenceTitle(view)}, positive is better`;
  const several = severalSeeds(view) ? " Mean and standard deviation over seeds." : " One seed.";
  const more = Object.keys(view.board.runs).length ? " Press a cell for its seeds, curves and records." : "";
  return `${sentence(view.metric.title)}${gain}.${view.board.printed ? "" : several}${more}`;
}

function legendOf(view, limit) {
  const decimals = limit < 0.1 ? 3 : limit < 1 ? 2 : 0;
  const states = new Set(view.methods.flatMap(({ id }) => view.pairs.map((pair) => readCell(view, id, pair.id).state)));
  const mixed = view.methods.some(({ id }) => view.pairs.some((pair) => elsewhereOf(view, id, pair.id)));
  const tested = view.whole && !view.board.printed;
  const scale = [signed(-limit, decimals), make("i", { "aria-hidden": "true" }), signed(limit, decimals)];
  const paper = view.board.stand_in
    ? "below: the paper’s, of other data and so not comparable"
    : "below: the paper’s, in brackets ours minus it";
  return [
    make("span", { class: "scale" }, scale, ` gain over ${referenceTitle(view)}`),
    view.whole ? make("span", {}, make("b", {}, "bold"), " best of its pair") : null,
    tested && marksTell(view) ? make("span", {}, make("u", {}, "underlined"), ` ${MARKS.near}`) : null,
    tested && !marksTell(view) ? make("span", {}, "no difference from the best is significant with these seeds") : null,
    mixed ? make("span", {}, make("sup", {}, ELSEWHERE), ` ${ELSEWHERE_TEXT}`) : null,
    view.beside ? make("span", { class: "paper-value" }, paper) : null,
    Object.keys(WORDS)
      .filter((state) => states.has(state))
      .map((state) => make("span", {}, `${WORDS[state]} ${meaningOf(view, state)}`)),
    states.has("partial") ? make("span", {}, "2/3 seeds that have finished") : null,
  ];
}

/** Arrow keys move between cells; the Tab key stops at one of them. */
function moveInGrid(event) {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  const cell = event.target.closest("button.cell");
  if (!step || !cell) return;
  const rows = [...event.currentTarget.querySelectorAll("tbody tr[data-method]")].map((row) => [
    ...row.querySelectorAll("button.cell"),
  ]);
  const row = rows.findIndex((cells) => cells.includes(cell));
  const next = rows[row + step[0]]?.[rows[row].indexOf(cell) + step[1]];
  event.preventDefault();
  if (!next) return;
  cell.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}
