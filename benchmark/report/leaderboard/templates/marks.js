/** Which cells of a column are marked: the best, and those that cannot be told from it. */

const NEAR_TEXT = "cannot be told from the best with these seeds";
const ELSEWHERE = "†";
const ELSEWHERE_TEXT = "made on another machine than what it is compared with";

function marksOf(view) {
  const marks = new Map();
  // Precomputed marks compare all methods of a column, whichever columns are shown.
  const given = view.fewerMethods ? null : view.precomputed?.cells;
  let told = false;
  for (const pair of view.pairs) {
    const best = given ? new Set() : bestOf(view, pair.id);
    for (const { id } of view.methods) {
      const known = given?.[id]?.[pair.id];
      told ||= Boolean(known) && !known.best && !known.near;
      marks.set(`${id}/${pair.id}`, {
        best: known?.best ?? best.has(id),
        near: Boolean(known?.near) && !known.best && has(view, id, pair.id),
      });
    }
  }
  return {
    at: (method, pair) => marks.get(`${method}/${pair}`),
    // Where nothing can be told from the best, a mark on everything would say less than a sentence does.
    tellsNear: told && !view.board.printed,
    tellsNothing: Boolean(given) && !told && !view.board.printed,
  };
}

/** What a cell's mark says, for those who do not see it. */
function markText(marks, method, pair) {
  const { best, near } = marks.at(method, pair) ?? {};
  if (best) return "best";
  return near && marks.tellsNear ? NEAR_TEXT : "";
}

/** Where a cell's runs were made, if elsewhere than those they are compared with; else nothing. */
function elsewhereOf(view, method, pair) {
  return cellOf(view.board, method, pair).elsewhere?.reason ?? "";
}

/** The shown pairs with a cell that has the sign. */
function mixedPairs(view) {
  return view.pairs.filter((pair) => view.methods.some(({ id }) => elsewhereOf(view, id, pair.id)));
}

function severalSeeds(view) {
  return !view.board.printed && view.board.seeds.length > 1;
}

/** All that tie as displayed, where there are at least two numbers. */
function bestOf(view, pair) {
  const shown = view.methods
    .map(({ id }) => ({ id, mean: score(view, id, pair).mean }))
    .filter((one) => one.mean !== null)
    .map((one) => ({ ...one, mean: rounded(one.mean, view.metric.decimals) }));
  if (shown.length < 2) return new Set();
  const best = Math[view.metric.higher ? "max" : "min"](...shown.map((one) => one.mean));
  return new Set(shown.filter((one) => one.mean === best).map((one) => one.id));
}
