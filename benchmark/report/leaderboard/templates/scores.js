/**
 * From cells to numbers: means, paired gains, ranks. The rules are those of the precomputed statistics; they are needed
 * here once a filter leaves other methods or pairs than those were computed for.
 */

const STUDENT = "student";
const KD = "kd";
/** Means that agree to so many decimals tie; below it is only how the sums were rounded. */
const TIE_DECIMALS = 9;
/** Step times of fewer pairs are noise. */
const FEWEST_TIMED_PAIRS = 5;

function cellOf(board, method, pair) {
  return board.cells[method]?.[pair] ?? {};
}

/**
 * A cell's numbers, one a seed, null where a seed has none or does not count. A printed number counts as one seed.
 */
function bySeed(view, method, pair) {
  const cell = cellOf(view.board, method, pair);
  const values = view.board.printed ? [cell.paper] : (cell.values?.[view.selection.id]?.[view.metric.id] ?? []);
  const counts = view.counted?.[pair];
  return seedsOf(view.board).map((_, index) => (counts && !counts[index] ? null : (values[index] ?? null)));
}

function seedsOf(board) {
  return board.printed ? [0] : board.seeds;
}

/** The view of the pairs on which all of these methods have a seed in common, where only such seeds count. */
function onSharedSeeds(view, methods) {
  const counted = {};
  for (const { id: pair } of view.pairs) {
    const cells = methods.map((method) => bySeed(view, method, pair));
    counted[pair] = seedsOf(view.board).map((_, index) => cells.every((cell) => cell[index] !== null));
  }
  const pairs = methods.length ? view.pairs.filter((pair) => counted[pair.id].includes(true)) : [];
  return { ...view, counted, pairs };
}

function has(view, method, pair) {
  return known(bySeed(view, method, pair)).length > 0;
}

function summary(values) {
  const numbers = known(values);
  return { mean: mean(numbers), sd: deviation(numbers), n: numbers.length };
}

function score(view, method, pair) {
  return summary(bySeed(view, method, pair));
}

/** Differences to a reference by seed, positive where the method is better; null where either lacks the seed. */
function gainsBySeed(view, method, pair, reference) {
  const theirs = bySeed(view, reference, pair);
  const sign = view.metric.higher ? 1 : -1;
  return bySeed(view, method, pair).map((ours, i) =>
    ours === null || theirs[i] === null ? null : sign * (ours - theirs[i]),
  );
}

function gain(view, method, pair, reference) {
  return summary(gainsBySeed(view, method, pair, reference));
}

function teacherValue(view, pair) {
  return (view.board.printed ? pair.paper : pair.teacher?.[view.selection.id]?.[view.metric.id]) ?? null;
}

/** The same view of the paper's numbers in the place of ours. */
function papers(view) {
  return { ...view, board: { ...view.board, printed: true }, statistics: null, precomputed: null };
}

/** Every shown method's row, by its id: precomputed for the whole board, else computed from the shown cells. */
function rankedRows(view) {
  const found = view.statistics ?? rank(view);
  const rows = {};
  for (const { id } of view.methods) {
    rows[id] = { ranked: false, reason: "", ...found.methods[id], ...costs(view, id), ...lack(view, id) };
  }
  const ranks = Object.values(rows)
    .filter(isPlaced)
    .map((row) => row.average_rank);
  for (const row of Object.values(rows)) {
    row.position = isPlaced(row) ? 1 + ranks.filter((rank) => rank < row.average_rank - 1e-9).length : null;
  }
  return { rows, shared: found.shared_pairs };
}

/** Why a method has no number, if it has none on the shown pairs. */
function lack(view, method) {
  if (view.pairs.some((pair) => has(view, method, pair.id))) return {};
  const cells = view.pairs.map((pair) => cellOf(view.board, method, pair.id));
  const failed = cells.filter((cell) => cell.state === "failed").map((cell) => cell.reason);
  if (failed.length) return { reason: `Its runs failed: ${[...new Set(failed)].sort().join("; ")}.` };
  if (cells.every((cell) => cell.state === "not_applicable")) return { reason: "It applies to none of these pairs." };
  return { reason: view.board.printed ? "The paper prints no numbers of it." : "It has no numbers yet." };
}

function isPlaced(row) {
  return row.ranked && isNumber(row.average_rank);
}

function rank(view) {
  const ids = view.methods.map((method) => method.id);
  const filled = view.pairs.filter((pair) => ids.some((id) => has(view, id, pair.id)));
  const having = (id) => filled.filter((pair) => has(view, id, pair.id)).length;
  const enough = ids.filter((id) => 2 * having(id) > filled.length);
  const judged = onSharedSeeds(view, enough);
  const ranks = averageRanks(judged, enough);
  // A reference has to have enough pairs to be ranked, but need not be shown.
  const against = Object.fromEntries(
    [STUDENT, KD].map((reference) => [
      reference,
      onSharedSeeds(view, 2 * having(reference) > filled.length ? [...enough, reference] : []),
    ]),
  );
  const methods = {};
  for (const id of ids) {
    const row = { pairs: having(id), ranked: enough.includes(id) && judged.pairs.length > 0 };
    methods[id] = row.ranked
      ? { ...row, average_rank: ranks.get(id), ...gains(against, id) }
      : { ...row, reason: whyUnranked(row.pairs, filled.length) };
  }
  return { shared_pairs: judged.pairs.map((pair) => pair.id), methods };
}

function whyUnranked(pairs, filled) {
  if (2 * pairs > filled)
    return "No pair has numbers of all methods that have more than half of the pairs, with a seed in common.";
  return `It has ${pairs} of ${filled} pairs; a rank needs more than half.`;
}

/** Mean rank over pairs, 1 the best; methods that tie share the mean of their ranks. */
function averageRanks(view, methods) {
  const sums = new Map(methods.map((id) => [id, 0]));
  for (const pair of view.pairs) {
    const sign = view.metric.higher ? 1 : -1;
    const values = new Map(methods.map((id) => [id, rounded(sign * score(view, id, pair.id).mean, TIE_DECIMALS)]));
    const all = [...values.values()];
    for (const [id, value] of values) {
      const better = all.filter((other) => other > value).length;
      const equal = all.filter((other) => other === value).length;
      sums.set(id, sums.get(id) + better + (equal + 1) / 2);
    }
  }
  return new Map([...sums].map(([id, sum]) => [id, view.pairs.length ? sum / view.pairs.length : null]));
}

/** What a method gains, by the view of each reference that has the seeds to compare with it. */
function gains(against, method) {
  const over = (reference) =>
    mean(against[reference].pairs.map((pair) => gain(against[reference], method, pair.id, reference).mean));
  const outcomes = against[KD].pairs.map((pair) => outcome(against[KD], method, pair.id));
  const times = (sign) => (outcomes.length ? outcomes.filter((one) => one === sign).length : null);
  return {
    gain_student: over(STUDENT),
    gain_kd: over(KD),
    gap_closed: gapClosed(against[STUDENT], method),
    wins: times(1),
    ties: times(0),
    losses: times(-1),
  };
}

/** 1, 0 or -1 against KD, by the means as displayed. */
function outcome(view, method, pair) {
  const shown = (id) => rounded(score(view, id, pair).mean, view.metric.decimals);
  const difference = shown(method) - shown(KD);
  return Math.sign(view.metric.higher ? difference : -difference) + 0;
}

/** Sum of gains by sum of teacher's leads over the student, where the teacher leads. */
function gapClosed(view, method) {
  let won = 0;
  let leads = 0;
  for (const pair of view.pairs) {
    const teacher = teacherValue(view, pair);
    const student = score(view, STUDENT, pair.id).mean;
    if (teacher === null) continue;
    const lead = rounded(view.metric.higher ? teacher - student : student - teacher, TIE_DECIMALS);
    if (lead > 0) {
      won += gain(view, method, pair.id, STUDENT).mean;
      leads += lead;
    }
  }
  return leads > 0 ? won / leads : null;
}

/** Step time by the plain student's (geometric mean, of enough pairs) and extra parameters (mean) over shown pairs. */
function costs(view, method) {
  const found = known(view.pairs.map((pair) => cellOf(view.board, method, pair.id).cost));
  const times = known(found.map((cost) => cost.relative));
  return {
    relative: times.length < FEWEST_TIMED_PAIRS ? null : geometricMean(times),
    extra_parameters: mean(known(found.map((cost) => cost.extra_parameters))),
  };
}
