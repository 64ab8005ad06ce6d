/**
 * The numbers of cells and methods, as they were computed with the page. Under a filter only plain means and ranks are
 * made again from the means of the shown cells; intervals, marks and tests belong to the whole board.
 */

const STUDENT = "student";
const KD = "kd";

function cellOf(board, method, pair) {
  return board.cells[method]?.[pair] ?? {};
}

/** {mean, sd, n, gain_student, gain_student_sd, gain_student_n, gain_kd, ..., best, near}; empty without a number. */
function numbersOf(view, method, pair) {
  return view.statistics.cells[method]?.[pair] ?? {};
}

function has(view, method, pair) {
  return isNumber(numbersOf(view, method, pair).mean);
}

function teacherValue(view, pair) {
  return pair.teacher[view.selection.id]?.[view.metric.id] ?? null;
}

/** The same view with the paper's numbers instead of ours. */
function papers(view) {
  const board = view.printedBoard;
  return { ...view, board, statistics: board.statistics[board.selections[0].id][board.metric], whole: false };
}

/** The shown methods with their numbers across pairs, and the pairs that these are based on. */
function rankMethods(view) {
  const { methods, shared_pairs: shared } = view.whole ? view.statistics : rankPlainly(view);
  const ranks = known(view.methods.map(({ id }) => methods[id].average_rank));
  const rows = view.methods.map((method) => {
    const row = { ...method, ...methods[method.id] };
    const position = isPlaced(row) ? 1 + ranks.filter((rank) => rank < row.average_rank).length : null;
    return { ...row, position, wanted: view.pairs.length };
  });
  return { rows, shared };
}

function isPlaced(row) {
  return row.ranked && isNumber(row.average_rank);
}

/**
 * Average ranks and mean gains of the methods that have more than half of the shown pairs, on the pairs that all of
 * these have.
 */
function rankPlainly(view) {
  const ids = view.methods.map((method) => method.id);
  const pairs = view.pairs.map((pair) => pair.id);
  const filled = pairs.filter((pair) => ids.some((id) => has(view, id, pair)));
  const count = (id) => filled.filter((pair) => has(view, id, pair)).length;
  const enough = ids.filter((id) => 2 * count(id) > filled.length);
  const shared = enough.length ? filled.filter((pair) => enough.every((id) => has(view, id, pair))) : [];
  const average = (values) => (values.every(isNumber) ? mean(values) : null);
  const gain = (id, name) => average(shared.map((pair) => numbersOf(view, id, pair)[name]));
  const rank = (id, pair) => {
    const sign = view.metric.higher ? 1 : -1;
    const value = (method) => sign * numbersOf(view, method, pair).mean;
    const better = enough.filter((other) => value(other) > value(id)).length;
    const equal = enough.filter((other) => value(other) === value(id)).length;
    return better + (equal + 1) / 2;
  };
  const row = (id) => ({
    pairs: count(id),
    ranked: true,
    average_rank: mean(shared.map((pair) => rank(id, pair))),
    gain_student: gain(id, "gain_student"),
    gain_kd: gain(id, "gain_kd"),
  });
  const unranked = (id) => ({ pairs: count(id), ranked: false, reason: "It has too few of the shown pairs." });
  const methods = ids.map((id) => [id, shared.length && enough.includes(id) ? row(id) : unranked(id)]);
  return { methods: Object.fromEntries(methods), shared_pairs: shared };
}
