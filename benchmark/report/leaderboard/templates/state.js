/**
 * What is shown, as the address's hash says it, so that a view can be linked.
 *
 * Only what differs from the defaults is written; what the hash asks for and the board does not have is ignored.
 */

const SHOWS = [
  { id: "value", title: "Value" },
  { id: "gain_student", title: "Gain over student" },
  { id: "gain_kd", title: "Gain over KD" },
];
const FLAGS = ["beside", "reversed"];
const TEXTS = ["text", "cell"];

function readState(payload, hash) {
  const wanted = new URLSearchParams(hash.replace(/^#/, ""));
  const board = payload.boards.find((one) => one.name === wanted.get("board")) ?? openingBoard(payload);
  const pick = (name, options, usual = options[0]?.id) =>
    options.find((one) => one.id === wanted.get(name))?.id ?? usual;
  const keep = (name, ids) => wanted.getAll(name).filter((id) => ids.includes(id));
  const state = {
    board: board.name,
    metric: pick("metric", board.metrics, board.metric),
    epoch: pick("epoch", board.selections),
    show: pick("show", SHOWS),
    sort: pick("sort", COLUMNS.map((column) => ({ id: column.id })).sort(byDefaultFirst)),
    method: keep(
      "method",
      board.methods.map((method) => method.id),
    ),
    pair: keep("pair", [...groupsOf(board), ...board.pairs.map((pair) => pair.id)]),
  };
  for (const name of FLAGS) state[name] = wanted.has(name);
  for (const name of TEXTS) state[name] = wanted.get(name) ?? "";
  return state;
}

function writeState(payload, state) {
  const plain = readState(payload, `board=${encodeURIComponent(state.board)}`);
  const hash = new URLSearchParams();
  if (state.board !== openingBoard(payload).name) hash.set("board", state.board);
  for (const [name, value] of Object.entries(state)) {
    if (Array.isArray(value)) value.forEach((one) => hash.append(name, one));
    else if (value !== plain[name]) hash.set(name, value === true ? "1" : value);
  }
  return hash.toString();
}

function byDefaultFirst(left, right) {
  return (right.id === DEFAULT_SORT) - (left.id === DEFAULT_SORT);
}

function openingBoard(payload) {
  return payload.boards.find((board) => board.name === payload.opens_with) ?? payload.boards[0];
}

function groupsOf(board) {
  return [...new Set(board.pairs.map((pair) => pair.group))];
}

/** The state with the board's own objects in the place of names, and what the filters leave. */
function viewOf(payload, state) {
  const board = payload.boards.find((one) => one.name === state.board);
  const methods = board.methods.filter((method) => isWanted(method, state));
  const chosen = (pair) => !state.pair.length || state.pair.includes(pair.id) || state.pair.includes(pair.group);
  const pairs = board.pairs.filter(chosen);
  const metric = board.metrics.find((one) => one.id === state.metric);
  const selection = board.selections.find((one) => one.id === state.epoch);
  const fewerMethods = methods.length < board.methods.length;
  const whole = !fewerMethods && pairs.length === board.pairs.length;
  const precomputed = board.statistics?.[selection.id]?.[metric.id] ?? null;
  return {
    board,
    methods,
    pairs,
    metric,
    selection,
    whole,
    state,
    fewerMethods,
    precomputed,
    statistics: whole ? precomputed : null,
    beside: state.beside && board.beside && metric.id === board.metric,
  };
}

/** Chips name methods; the text lists ids and titles, * for any letters and ? for any one, as `--methods` does. */
function isWanted(method, state) {
  if (state.method.length && !state.method.includes(method.id)) return false;
  const patterns = patternsOf(state.text);
  return !patterns.length || patterns.some((pattern) => pattern.test(method.id) || pattern.test(method.title));
}

/** Items between commas, since a title may have spaces, and their words. */
function patternsOf(text) {
  const items = text.split(/,(?![^[]*\])/).map((item) => item.trim());
  const words = new Set(items.flatMap((item) => [item, ...item.split(/\s+/)]).filter(Boolean));
  return [...words].map((word) => {
    const letters = word.replace(/[.+^${}()|[\]\\]/g, "\\$&");
    return new RegExp(`^${letters.replace(/\*/g, ".*").replace(/\?/g, ".")}$`, "i");
  });
}
