/**
 * What is shown, as the hash of the address, so that a view can be linked.
 *
 * The hash holds what differs from the defaults; whatever the board does not have is ignored.
 */

const SHOWS = [
  { id: "value", title: "Value" },
  { id: "gain_student", title: "Gain over student" },
  { id: "gain_kd", title: "Gain over KD" },
];
const FLAGS = ["beside", "reversed"];
const TEXTS = ["text", "cell"];

function readState(pageData, hash) {
  const wanted = new URLSearchParams(hash.replace(/^#/, ""));
  const board = pageData.boards.find((one) => one.name === wanted.get("board")) ?? openingBoard(pageData);
  const pick = (name, options, usual) => options.find((one) => one.id === wanted.get(name))?.id ?? usual;
  const keep = (name, ids) => wanted.getAll(name).filter((id) => ids.includes(id));
  const idsOf = (items) => items.map((item) => item.id);
  const state = {
    board: board.name,
    metric: pick("metric", board.metrics, board.metric),
    epoch: pick("epoch", board.selections, board.selections[0].id),
    show: pick("show", SHOWS, SHOWS[0].id),
    sort: pick("sort", COLUMNS, DEFAULT_SORT),
    suite: pick("suite", suitesOf(pageData), EVERY_SUITE.id),
    printed: pick("printed", PRINTED_EPOCHS, PRINTED_EPOCHS[0].id),
    method: keep("method", idsOf(board.methods)),
    pair: keep("pair", [...groupsOf(board.pairs), ...idsOf(board.pairs)]),
  };
  for (const name of FLAGS) state[name] = wanted.has(name);
  for (const name of TEXTS) state[name] = wanted.get(name) ?? "";
  return state;
}

function writeState(pageData, state) {
  const defaults = readState(pageData, `board=${encodeURIComponent(state.board)}`);
  const hash = new URLSearchParams();
  if (state.board !== openingBoard(pageData).name) hash.set("board", state.board);
  for (const [name, value] of Object.entries(state)) {
    if (Array.isArray(value)) value.forEach((one) => hash.append(name, one));
    else if (value !== defaults[name]) hash.set(name, value === true ? "1" : value);
  }
  return hash.toString();
}

function openingBoard(pageData) {
  return pageData.boards.find((board) => board.name === pageData.opens_with);
}

function groupsOf(pairs) {
  return [...new Set(pairs.map((pair) => pair.group))];
}

/** The state with objects instead of names: the board, its metric and selection, and the methods and pairs shown. */
function viewOf(pageData, state) {
  const board = pageData.boards.find((one) => one.name === state.board);
  const methods = board.methods.filter((method) => isWanted(method, state));
  const chosen = (pair) => !state.pair.length || state.pair.includes(pair.id) || state.pair.includes(pair.group);
  const pairs = board.pairs.filter(chosen);
  const metric = board.metrics.find((one) => one.id === state.metric);
  return {
    board,
    methods,
    pairs,
    metric,
    selection: board.selections.find((one) => one.id === state.epoch),
    state,
    whole: methods.length === board.methods.length && pairs.length === board.pairs.length,
    statistics: board.statistics[state.epoch][state.metric],
    published: pageData.published,
    printedBoard: pageData.boards.find((one) => one.printed),
    beside: state.beside && board.beside && metric.id === board.metric,
  };
}

/** Chips name methods; the text lists ids and titles, with * for any letters and ? for one, as `--methods` does. */
function isWanted(method, state) {
  if (state.method.length && !state.method.includes(method.id)) return false;
  const patterns = patternsOf(state.text);
  return !patterns.length || patterns.some((pattern) => pattern.test(method.id) || pattern.test(method.title));
}

/** The items between commas, since a title may have spaces, and their words. */
function patternsOf(text) {
  const items = text.split(/,(?![^[]*\])/).map((item) => item.trim());
  const words = new Set(items.flatMap((item) => [item, ...item.split(/\s+/)]).filter(Boolean));
  return [...words].map((word) => {
    const letters = word.replace(/[.+^${}()|[\]\\]/g, "\\$&");
    return new RegExp(`^${letters.replace(/\*/g, ".*").replace(/\?/g, ".")}$`, "i");
  });
}
