/**
 * From cells to numbers: means, paired gains, ranks. The rules are those of the precomputed statistics; they are needed
 * here once a filter leaves other methods or pairs than those were computed for.
 */

const STUDENT = "student";
const KD = "kd";
/** Means that agree to so many decimals tie; below it is only how the sums were rounded. */
const TIE_DECIMALS = 9;

function cellOf(board, method, pair) {
  return board.cells[method]?.[pair] ?? {};
}

/** A cell's numbers, one a seed, null where a seed has none. A printed number counts as one seed. */
function bySeed(view, method, pair) {
  const cell = cellOf(view.board, method, pair);
  if (view.board.printed) return [cell.paper ?? null];
  const values = cell.values?.[view.selection.id]?.[view.metric.id] ?? [];
  return view.board.seeds.map((_, index) => values[index] ?? null);
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
    rows[id] = { ranked: false, reason: "", ...found.methods[id], ...costs(view, id) };
  }
  const ranks = Object.values(rows)
    .filter(isPlaced)
    .map((row) => row.average_rank);
  for (const row of Object.values(rows)) {
    row.position = isPlaced(row) ? 1 + ranks.filter((rank) => rank < row.average_rank - 1e-9).length : null;
  }
  return { rows, shared: found.shared_pairs };
}

function isPlaced(row) {
  return row.ranked && isNumber(row.average_rank);
}

function rank(view) {
  const ids = view.methods.map((method) => method.id);
  const filled = view.pairs.filter((pair) => ids.some((id) => has(view, id, pair.id)));
  const counts = new Map(ids.map((id) => [id, filled.filter((pair) => has(view, id, pair.id)).length]));
  const ranked = ids.filter((id) => 2 * counts.get(id) > filled.length);
  const shared = ranked.length ? filled.filter((pair) => ranked.every((id) => has(view, id, pair.id))) : [];
  const ranks = averageRanks(view, ranked, shared);
  const compared = Object.fromEntries(
    [STUDENT, KD].map((reference) => [reference, comparable(view, reference, filled, ranked, shared)]),
  );
  // Wins need means, not pairs of seeds.
  compared.contested = compared[KD].length ? shared : [];
  const methods = {};
  for (const id of ids) {
    const row = { pairs: counts.get(id), ranked: ranked.includes(id) && shared.length > 0 };
    methods[id] = row.ranked
      ? { ...row, average_rank: ranks.get(id), ...gains(view, id, compared) }
      : {
          ...row,
          reason: whyUnranked(counts.get(id), filled.length),
        };
  }
  return { shared_pairs: shared.map((pair) => pair.id), methods };
}

function whyUnranked(pairs, filled) {
  if (2 * pairs > filled) return "No pair has numbers of all methods that have more than half of the pairs.";
  return `It has ${pairs} of ${filled} pairs; a rank needs more than half.`;
}

/**
 * The shared pairs on which every ranked method can be compared with a reference: none where the reference itself has
 * not enough pairs to be ranked. It need not be shown.
 */
function comparable(view, reference, filled, ranked, shared) {
  if (2 * filled.filter((pair) => has(view, reference, pair.id)).length <= filled.length) return [];
  return shared.filter((pair) => ranked.every((id) => gain(view, id, pair.id, reference).n > 0));
}

/** Mean rank over pairs, 1 the best; methods that tie share the mean of their ranks. */
function averageRanks(view, methods, pairs) {
  const sums = new Map(methods.map((id) => [id, 0]));
  for (const pair of pairs) {
    const sign = view.metric.higher ? 1 : -1;
    const values = new Map(methods.map((id) => [id, rounded(sign * score(view, id, pair.id).mean, TIE_DECIMALS)]));
    const all = [...values.values()];
    for (const [id, value] of values) {
      const better = all.filter((other) => other > value).length;
      const equal = all.filter((other) => other === value).length;
      sums.set(id, sums.get(id) + better + (equal + 1) / 2);
    }
  }
  return new Map([...sums].map(([id, sum]) => [id, pairs.length ? sum / pairs.length : null]));
}

function gains(view, method, compared) {
  const over = (reference) => mean(compared[reference].map((pair) => gain(view, method, pair.id, reference).mean));
  const outcomes = known(compared.contested.map((pair) => outcome(view, method, pair.id)));
  const times = (sign) => (outcomes.length ? outcomes.filter((one) => one === sign).length : null);
  return {
    gain_student: over(STUDENT),
    gain_kd: over(KD),
    gap_closed: gapClosed(view, method, compared[STUDENT]),
    wins: times(1),
    ties: times(0),
    losses: times(-1),
  };
}

/** 1, 0 or -1 against KD, by the means as displayed. */
function outcome(view, method, pair) {
  if (!has(view, KD, pair)) return null;
  const shown = (id) => rounded(score(view, id, pair).mean, view.metric.decimals);
  const difference = shown(method) - shown(KD);
  return Math.sign(view.metric.higher ? difference : -difference) + 0;
}

/** Sum of gains by sum of teacher's leads over the student, where the teacher leads. */
function gapClosed(view, method, pairs) {
  let won = 0;
  let leads = 0;
  for (const pair of pairs) {
    const teacher = teacherValue(view, pair);
    const student = score(view, STUDENT, pair.id).mean;
    if (teacher === null || student === null) continue;
    const lead = rounded(view.metric.higher ? teacher - student : student - teacher, TIE_DECIMALS);
    if (lead > 0) {
      won += gain(view, method, pair.id, STUDENT).mean;
      leads += lead;
    }
  }
  return leads > 0 ? won / leads : null;
}

/** Step time by the plain student's (geometric mean) and extra parameters (mean) over the shown pairs. */
function costs(view, method) {
  const found = known(view.pairs.map((pair) => cellOf(view.board, method, pair.id).cost));
  return {
    relative: geometricMean(known(found.map((cost) => cost.relative))),
    extra_parameters: mean(known(found.map((cost) => cost.extra_parameters))),
  };
}
