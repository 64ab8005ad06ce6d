/** Methods by pairs: values or gains, coloured by the gain, each cell a way into its runs. */

const WORDS = { missing: NOTHING, not_applicable: "n/a", failed: "failed" };
const MEANINGS = {
  missing: "not trained yet",
  not_applicable: "the method does not apply",
  failed: "every run failed",
};
const UNPRINTED = "not printed";

function renderHeatmap(view, ranking, change) {
  const marks = marksOf(view);
  const limit = colourLimit(view);
  const pairs = groupsOf(view).flatMap((group) => view.pairs.filter((pair) => pair.group === group));
  const row = (method) =>
    make(
      "tr",
      { "data-method": method.id },
      make("th", { scope: "row", class: "col-method" }, method.title),
      pairs.map((pair) => heatCell(view, method, pair, marks, limit, change)),
    );
  const body = make("tbody", {}, view.state.show === "value" ? teacherRow(view, pairs) : null, ranking.sorted.map(row));
  fill("heatmap", make("table", { class: "heatmap", keydown: moveInGrid }, heatHead(view, pairs), body));
  at("heatmap").querySelector("td button")?.setAttribute("tabindex", "0");
  at("heatmap-note").textContent = heatmapNote(view);
  fill("heatmap-legend", legendOf(view, marks, limit));
}

function heatHead(view, pairs) {
  const groups = groupsOf(view).map((group) => {
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

/** Which reference gains are over; values are coloured by the gain over the student. */
function referenceOf(view) {
  return view.state.show === "gain_kd" ? KD : STUDENT;
}

/** What a cell says: number, spread, seeds, the paper's side, and its gain for the colour. */
function readCell(view, method, pair) {
  const { decimals } = view.metric;
  const cell = cellOf(view.board, method, pair);
  const own = score(view, method, pair);
  const over = gain(view, method, pair, referenceOf(view));
  const shown = view.state.show === "value" ? own : over;
  const format = view.state.show === "value" ? fixed : signed;
  const state = own.n ? (cell.state === "partial" ? "partial" : "done") : cell.state in WORDS ? cell.state : "missing";
  return {
    state,
    gain: over.mean,
    reason: cell.reason || meaningOf(view, state),
    text: own.n ? format(shown.mean, decimals) : WORDS[state],
    // A method's gain over itself is 0 without any spread.
    spread: shown.sd === null || (shown.sd === 0 && shown === over) ? "" : `±${fixed(shown.sd, decimals)}`,
    seeds: state === "partial" ? `${own.n}/${view.board.seeds.length}` : "",
    paper: view.beside ? paperSide(view, method, pair, shown.mean, format) : "",
    mean: shown.mean,
    sd: shown.sd,
    n: shown.n,
  };
}

function meaningOf(view, state) {
  return view.board.printed && state === "missing" ? UNPRINTED : (MEANINGS[state] ?? "");
}

/** The paper's value or gain, and ours minus it where both are of the same data. */
function paperSide(view, method, pair, ours, format) {
  const theirs = papers(view);
  const value = (
    view.state.show === "value" ? score(theirs, method, pair) : gain(theirs, method, pair, referenceOf(view))
  ).mean;
  if (value === null) return "";
  const text = format(value, view.metric.decimals);
  return view.board.stand_in || ours === null ? text : `${text} (${signed(ours - value, view.metric.decimals)})`;
}

function heatCell(view, method, pair, marks, limit, change) {
  const cell = readCell(view, method.id, pair.id);
  const { best, near } = marks.at(method.id, pair.id);
  const classes = ["cell", cell.state, best ? "best" : "", near && marks.tellsNear ? "near" : ""]
    .filter(Boolean)
    .join(" ");
  const strength = cell.gain === null ? 0 : Math.min(1, Math.abs(cell.gain) / limit);
  const key = `${method.id}/${pair.id}`;
  const mark = markText(marks, method.id, pair.id);
  const elsewhere = elsewhereOf(view, method.id, pair.id);
  return make(
    "td",
    { class: cell.gain ? (cell.gain < 0 ? "worse" : "better") : "", "--strength": strength.toFixed(3) },
    make(
      "button",
      {
        type: "button",
        class: classes,
        tabindex: "-1",
        "data-key": `cell/${key}`,
        "data-cell": key,
        "data-tip": [cell.reason, elsewhere].filter(Boolean).join("; "),
        "aria-label":
          `${method.title}, ${pair.label}: ${cell.text} ${cell.spread}${mark && `, ${mark}`}` +
          (elsewhere && `, ${ELSEWHERE_TEXT}`),
        click: () => change({ cell: key }),
      },
      make("span", { class: "main" }, cell.text, elsewhere && make("sup", {}, ELSEWHERE)),
      cell.spread || cell.seeds ? make("small", {}, cell.spread, cell.seeds ? ` ${cell.seeds}` : "") : null,
      cell.paper ? make("small", { class: "paper-value" }, cell.paper) : null,
    ),
  );
}

/** Colours are full at a round number that most gains stay below, so that one outlier does not pale all others. */
function colourLimit(view) {
  const sizes = known(
    view.methods.flatMap((method) => view.pairs.map((pair) => gain(view, method.id, pair.id, referenceOf(view)).mean)),
  )
    .map(Math.abs)
    .sort((a, b) => a - b);
  const most = sizes[Math.floor(0.9 * (sizes.length - 1))] || 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 3, 5, 10].find((factor) => factor * power >= most * 0.999) * power;
}

function heatmapNote(view) {
  const what =
    view.state.show === "value"
      ? view.metric.title
      : `${view.metric.title}: ${
          view.state.show === "gain_kd" ? "gain over KD" : "gain over the plain student"
        }, positive is better`;
  const spread = view.board.printed
    ? ""
    : severalSeeds(view)
      ? " Mean and standard deviation over seeds."
      : " One seed.";
  const more = Object.keys(view.board.runs).length ? " Press a cell for its seeds, curves and records." : "";
  return `${sentence(what)}.${spread}${more}`;
}

function legendOf(view, marks, limit) {
  const decimals = limit < 0.1 ? 3 : limit < 1 ? 2 : 0;
  const over = view.state.show === "gain_kd" ? "KD" : "the plain student";
  const seen = new Set(view.methods.flatMap((one) => view.pairs.map((pair) => readCell(view, one.id, pair.id).state)));
  return [
    make(
      "span",
      { class: "scale" },
      signed(-limit, decimals),
      make("i", { "aria-hidden": "true" }),
      signed(limit, decimals),
      ` gain over ${over}`,
    ),
    make("span", {}, make("b", {}, "bold"), " best of its pair"),
    marks.tellsNear
      ? make("span", {}, make("u", {}, "underlined"), ` ${NEAR_TEXT}`)
      : null,
    marks.tellsNothing ? make("span", {}, "with these seeds nothing can be told from the best") : null,
    mixedPairs(view).length ? make("span", {}, make("sup", {}, ELSEWHERE), ` ${ELSEWHERE_TEXT}`) : null,
    view.beside
      ? make(
          "span",
          { class: "paper-value" },
          view.board.stand_in
            ? "below: the paper’s, of other data and so not to be compared"
            : "below: the paper’s, in brackets ours minus it",
        )
      : null,
    Object.keys(WORDS)
      .filter((state) => seen.has(state))
      .map((state) => make("span", {}, `${WORDS[state]} ${meaningOf(view, state)}`)),
    seen.has("partial") ? make("span", {}, "2/3 seeds that are there") : null,
  ];
}

/** Arrow keys move between cells; only one of them is a stop of the Tab key. */
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
