/** One cell in a dialog: its seeds and curves, and one click further its runs' records, recipe and objective. */

const CURVES_HEIGHT = 260;
/** Curves of more points are lines without dots. */
const MOST_DOTS = 30;

function setUpDetail(change) {
  const dialog = at("detail");
  dialog.addEventListener("close", () => {
    const { cell } = dialog.dataset;
    change({ cell: "" });
    document.querySelector(`[data-cell="${CSS.escape(cell)}"]`)?.focus({ preventScroll: true });
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
}

function renderDetail(view) {
  const dialog = at("detail");
  const [method, pair] = cellNamed(view.board, view.state.cell);
  if (!method || !pair) {
    if (dialog.open) dialog.close();
    return;
  }
  dialog.dataset.cell = view.state.cell;
  // Before it is open a dialog has no width; the styles give it this one.
  dialog.replaceChildren(...detail(view, method, pair, Math.min(720, innerWidth - 64)));
  if (!dialog.open) dialog.showModal();
}

function cellNamed(board, name) {
  const cut = name.indexOf("/");
  // An id of a method has no slash, that of a pair may.
  return [
    board.methods.find((one) => one.id === name.slice(0, cut)),
    board.pairs.find((one) => one.id === name.slice(cut + 1)),
  ];
}

function detail(view, method, pair, width) {
  const runs = runsOf(view, method.id, pair.id);
  return [
    make(
      "header",
      {},
      make("div", {}, make("h2", { id: "detail-title" }, method.title), make("p", { class: "pair-name" }, pair.label)),
      make(
        "button",
        { type: "button", class: "close", "aria-label": "Close", autofocus: true, click: () => at("detail").close() },
        "✕",
      ),
    ),
    method.citation ? make("p", { class: "citation" }, method.citation) : "",
    facts(summaryOf(view, method.id, pair)),
    has(view, method.id, pair.id) && !view.board.printed ? seedTable(view, method.id, pair.id) : "",
    curves(view, method, pair, runs, width),
    runs.length ? make("h3", {}, "Records") : "",
    ...runs.map(({ id, run }) => runDetails(view.board, id, run)),
  ].filter(Boolean);
}

function summaryOf(view, method, pair) {
  const { board, metric } = view;
  const plain = {
    ...view,
    state: { ...view.state, show: "value" },
    beside: board.beside && metric.id === board.metric,
  };
  const cell = readCell(plain, method, pair.id);
  const over = (reference) => {
    const { mean: value, sd, n } = gain(view, method, pair.id, reference);
    return value === null
      ? NOTHING
      : `${signed(value, metric.decimals)}${sd === null ? "" : ` ± ${fixed(sd, metric.decimals)}`}${
          board.printed ? "" : ` (${n} ${n === 1 ? "seed" : "paired seeds"})`
        }`;
  };
  const entries = [
    [
      `${sentence(metric.title)}, ${view.selection.title}`,
      cell.text +
        (cell.spread && ` ${cell.spread.replace("±", "± ")}`) +
        (board.printed || !cell.n ? "" : ` (${cell.n} of ${board.seeds.length} seeds)`),
    ],
  ];
  const mark = markText(marksOf(view), method, pair.id);
  if (mark) entries.push(["Of its pair", mark]);
  if (cell.state in WORDS && cell.reason) entries.push(["Why", cell.reason]);
  const elsewhere = elsewhereOf(view, method, pair.id);
  if (elsewhere) entries.push(["Its runs", elsewhere]);
  if (method !== STUDENT) entries.push(["Gain over student", over(STUDENT)]);
  if (method !== KD) entries.push(["Gain over KD", over(KD)]);
  entries.push(["Teacher", fixed(teacherValue(view, pair), metric.decimals)]);
  if (cell.paper)
    entries.push([
      board.stand_in ? "The paper’s value, of other data" : "The paper’s value (ours minus it)",
      cell.paper,
    ]);
  const cost = cellOf(board, method, pair.id).cost;
  if (cost && isNumber(cost.relative)) entries.push(["Step time, plain student = 1", multiple(cost.relative)]);
  if (cost && isNumber(cost.extra_parameters))
    entries.push(["Extra parameters", cost.extra_parameters.toLocaleString("en")]);
  return entries;
}

function seedTable(view, method, pair) {
  const { decimals } = view.metric;
  const overStudent = gainsBySeed(view, method, pair, STUDENT);
  const overKd = gainsBySeed(view, method, pair, KD);
  const rows = bySeed(view, method, pair).map((value, index) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, make("i", { class: `swatch ${seedClass(index)}` }), ` ${view.board.seeds[index]}`),
      [fixed(value, decimals), signed(overStudent[index], decimals), signed(overKd[index], decimals)].map((text) =>
        make("td", {}, text),
      ),
    ),
  );
  const heads = ["Seed", "Value", "Over student", "Over KD"].map((title) => make("th", { scope: "col" }, title));
  return make("table", { class: "seeds" }, make("thead", {}, make("tr", {}, heads)), make("tbody", {}, rows));
}

/** The runs behind a cell: [{id, run, index}], index that of the seed. */
function runsOf(view, method, pair) {
  const ids = view.board.printed ? [] : (cellOf(view.board, method, pair).runs ?? []);
  return ids.map((id, index) => ({ id, run: view.board.runs?.[id], index })).filter(({ run }) => run);
}

function curves(view, method, pair, runs, width) {
  const metric = view.metric.id;
  const lines = (found) =>
    found
      .map(({ run, index }) => ({
        index,
        points: (run.curve?.epoch ?? [])
          .map((epoch, i) => [epoch, run.curve[metric]?.[i]])
          .filter(([, value]) => isNumber(value)),
      }))
      .filter((line) => line.points.length);
  const ours = lines(runs);
  if (!ours.length) return "";
  const plain = method.id === STUDENT ? [] : lines(runsOf(view, STUDENT, pair.id));
  return make(
    "figure",
    {},
    curveChart(view, ours, plain, width),
    make(
      "figcaption",
      {},
      `${sentence(view.metric.title)} on the test data by epoch; one line a seed`,
      plain.length ? [", the plain student’s dashed"] : "",
      ".",
    ),
  );
}

function curveChart(view, ours, plain, width) {
  const points = [...ours, ...plain].flatMap((line) => line.points);
  const values = roomy(points.map(([, value]) => value));
  const [first, last] = [Math.min, Math.max].map((end) => end(...points.map(([epoch]) => epoch)));
  const { toX, toY, axes } = plane(
    width,
    CURVES_HEIGHT,
    {
      low: first,
      high: Math.max(last, first + 1),
      title: "epoch",
      text: String,
      ticks: ticks(first, last, 6).filter(Number.isInteger),
    },
    {
      ...values,
      title: view.metric.title,
      text: (tick) => fixed(tick, tickDecimals(values)),
      ticks: ticks(values.low, values.high, 5),
    },
  );
  const curve = (name, line) =>
    draw("path", {
      class: `curve ${name}`,
      d: line.points.map(([epoch, value], index) => `${index ? "L" : "M"}${toX(epoch)} ${toY(value)}`).join(""),
    });
  const dots = (line) =>
    line.points.map(([epoch, value]) =>
      draw("circle", { class: seedClass(line.index), cx: toX(epoch), cy: toY(value), r: 2.6 }),
    );
  return picture(
    width,
    CURVES_HEIGHT,
    `${view.metric.title} by epoch`,
    axes,
    plain.map((line) => curve("plain", line)),
    ours.map((line) => curve(seedClass(line.index), line)),
    ours.filter((line) => line.points.length <= MOST_DOTS).flatMap(dots),
  );
}

/** The colour of a seed, by its place among the seeds. */
function seedClass(index) {
  return `seed${index % 5}`;
}

function runDetails(board, id, run) {
  return make(
    "details",
    { class: "run" },
    make("summary", {}, `Seed ${run.seed} `, make("code", {}, id)),
    facts([
      ["Record", make("code", {}, run.record)],
      ["Id", make("code", {}, run.id ?? id)],
      ...(run.status && run.status !== "done" ? [["Status", run.status]] : []),
      [
        "Code revision",
        [make("code", {}, run.revision ?? NOTHING), run.dirty ? " with changes that were not committed" : ""],
      ],
      ["Processor", run.processor ?? NOTHING],
      ["Device", run.device ?? NOTHING],
      ["Threads", run.threads ?? NOTHING],
      ["PyTorch", run.torch ?? NOTHING],
      ["Finished", run.finished ?? NOTHING],
      ["Training", isNumber(run.seconds) ? `${run.seconds.toLocaleString("en")} s` : NOTHING],
      ["Data fingerprint", make("code", {}, run.fingerprint ?? NOTHING)],
      ["Teacher", make("code", {}, run.teacher || NOTHING)],
    ]),
    make("h4", {}, "Objective"),
    facts(flat(run.objective ?? {})),
    make("h4", {}, "Recipe"),
    facts(flat(board.recipes?.[run.recipe] ?? {})),
  );
}

/** Nested values as pairs of a dotted name and a text. */
function flat(value, name = "") {
  if (value === null || typeof value !== "object" || Array.isArray(value))
    return [[name, JSON.stringify(value)?.replace(/^"|"$/g, "")]];
  return Object.entries(value).flatMap(([key, inner]) => flat(inner, name ? `${name}.${key}` : key));
}
