/** A dialog for one cell: its seeds and curves, and the records, recipe and objective of its runs. */

const CURVES_HEIGHT = 260;
/** Longer curves have no dots. */
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
  // A closed dialog has no width yet; the styles will give it this one.
  dialog.replaceChildren(...detail(view, method, pair, Math.min(720, innerWidth - 64)));
  if (!dialog.open) dialog.showModal();
}

/** The method and the pair of a cell's key; an id of a method has no slash, that of a pair may have one. */
function cellNamed(board, key) {
  const [method, ...pair] = key.split("/");
  return [board.methods.find((one) => one.id === method), board.pairs.find((one) => one.id === pair.join("/"))];
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
  const numbers = numbersOf(view, method, pair.id);
  const beside = board.beside && metric.id === board.metric;
  const cell = readCell({ ...view, state: { ...view.state, show: "value" }, beside }, method, pair.id);
  const seeds = (text) => (board.printed || !numbers.n ? "" : ` (${text})`);
  const over = (name) => {
    const [value, sd, n] = [numbers[name], numbers[`${name}_sd`], numbers[`${name}_n`]];
    if (!isNumber(value)) return NOTHING;
    const deviation = isNumber(sd) ? ` ± ${fixed(sd, metric.decimals)}` : "";
    return signed(value, metric.decimals) + deviation + seeds(`${n} ${n === 1 ? "seed" : "paired seeds"}`);
  };
  const { cost } = cellOf(board, method, pair.id);
  const spread = cell.spread.replace("±", " ± ");
  const value = cell.text + spread + seeds(`${numbers.n} of ${board.seeds.length} seeds`);
  const entries = [
    [`${sentence(metric.title)}, ${view.selection.title}`, value],
    ["Of its pair", MARKS[cell.mark]],
    ["Published with", board.methods.find(({ id }) => id === method).published_recipe],
    ["Why", cell.state in WORDS && cell.reason],
    ["Its runs", elsewhereOf(view, method, pair.id)],
    ["Gain over student", method !== STUDENT && over("gain_student")],
    ["Gain over KD", method !== KD && over("gain_kd")],
    ["Teacher", fixed(teacherValue(view, pair), metric.decimals)],
    [board.stand_in ? "The paper’s value, of other data" : "The paper’s value (ours minus it)", cell.paper],
    ["Step time, plain student = 1", isNumber(cost?.relative) && multiple(cost.relative)],
    ["Extra parameters", isNumber(cost?.extra_parameters) && cost.extra_parameters.toLocaleString("en")],
  ];
  return entries.filter(([, text]) => text);
}

function seedTable(view, method, pair) {
  const { decimals, higher } = view.metric;
  const valuesOf = (id) => cellOf(view.board, id, pair).values?.[view.selection.id]?.[view.metric.id] ?? [];
  const ours = valuesOf(method);
  const over = (reference, index) => {
    const theirs = valuesOf(reference)[index];
    return isNumber(ours[index]) && isNumber(theirs) ? (ours[index] - theirs) * (higher ? 1 : -1) : null;
  };
  const rows = view.board.seeds.map((seed, index) => {
    const texts = [fixed(ours[index], decimals), ...[STUDENT, KD].map((one) => signed(over(one, index), decimals))];
    const swatch = make("i", { class: `swatch ${seedClass(index)}` });
    return make("tr", {}, make("th", { scope: "row" }, swatch, ` ${seed}`), texts.map((text) => make("td", {}, text)));
  });
  const heads = ["Seed", "Value", "Over student", "Over KD"].map((title) => make("th", { scope: "col" }, title));
  return make("table", { class: "seeds" }, make("thead", {}, make("tr", {}, heads)), make("tbody", {}, rows));
}

/** The runs of a cell: [{id, run, index}], where index is that of the seed. */
function runsOf(view, method, pair) {
  const ids = cellOf(view.board, method, pair).runs ?? [];
  const runs = ids.map((id, index) => ({ id, run: view.board.runs[id], index }));
  return runs.filter(({ run }) => run);
}

function curves(view, method, pair, runs, width) {
  const lines = (found) =>
    found
      .map(({ run, index }) => ({
        index,
        points: run.curve.epoch
          .map((epoch, i) => [epoch, run.curve[view.metric.id][i]])
          .filter(([, value]) => isNumber(value)),
      }))
      .filter((line) => line.points.length);
  const ours = lines(runs);
  if (!ours.length) return "";
  const plain = method.id === STUDENT ? [] : lines(runsOf(view, STUDENT, pair.id));
  const caption = `${sentence(view.metric.title)} on the test data by epoch; one line for each seed`;
  return make(
    "figure",
    {},
    curveChart(view, ours, plain, width),
    make("figcaption", {}, `${caption}${plain.length ? ", the plain student’s dashed" : ""}.`),
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
  const code = (text) => make("code", {}, text || NOTHING);
  const entries = [
    ["Record", code(run.record)],
    ["Id", code(run.id)],
    ["Status", run.status === "done" ? null : run.status],
    ["Code revision", [code(run.revision), run.dirty ? " with changes that were not committed" : ""]],
    ["Processor", run.processor ?? NOTHING],
    ["Device", run.device ?? NOTHING],
    ["Threads", run.threads ?? NOTHING],
    ["PyTorch", run.torch ?? NOTHING],
    ["Finished", run.finished ?? NOTHING],
    ["Training", isNumber(run.seconds) ? `${run.seconds.toLocaleString("en")} s` : NOTHING],
    ["Data fingerprint", code(run.fingerprint)],
    ["Teacher", code(run.teacher)],
  ];
  return make(
    "details",
    { class: "run" },
    make("summary", {}, `Seed ${run.seed} `, code(id)),
    facts(entries.filter(([, value]) => value !== null)),
    make("h4", {}, "Objective"),
    facts(flat(run.objective)),
    make("h4", {}, "Recipe"),
    facts(flat(board.recipes[run.recipe])),
  );
}

/** Nested values as pairs of a dotted name and a text. */
function flat(value, name = "") {
  if (value === null || typeof value !== "object" || Array.isArray(value))
    return [[name, JSON.stringify(value)?.replace(/^"|"$/g, "")]];
  return Object.entries(value).flatMap(([key, inner]) => flat(inner, name ? `${name}.${key}` : key));
}
