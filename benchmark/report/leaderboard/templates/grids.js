/** What can be downloaded, as rows of texts: the ranking and the table of pairs, as they are shown. */

const TEX = {
  "\\": "\\textbackslash{}",
  "~": "\\textasciitilde{}",
  "^": "\\textasciicircum{}",
  "<": "\\textless{}",
  ">": "\\textgreater{}",
  "|": "\\textbar{}",
  "`": "\\textasciigrave{}",
  '"': "''",
  "[": "{[}",
  "*": "{*}",
  "±": "$\\pm$",
  "−": "$-$",
  "×": "$\\times$",
  "→": "$\\to$",
  "–": "\\textendash{}",
};

function escapeTex(text) {
  return text
    .replace(/[&%$#_{}]|[\\~^<>|`"[*±−×→–]/g, (character) => TEX[character] ?? `\\${character}`)
    .replace(/-(?=-)/g, "-{}");
}

/** How formulas begin, in full-width signs too: spreadsheets would run such a text. */
const FORMULA = /^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]/;

/** As benchmark/report/csvfile.py: a text that begins as a formula stands behind an apostrophe, numbers are numbers. */
function toCsv(rows) {
  const field = (value) => {
    const isFormula = typeof value === "string" && FORMULA.test(value);
    const text = `${isFormula ? "'" : ""}${value ?? ""}`;
    return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  };
  return `${rows.map((row) => row.map(field).join(",")).join("\n")}\n`;
}

/** Numbers of a CSV: enough digits for any further use, none of what is only how sums were rounded. */
function plainNumber(value) {
  return isNumber(value) ? rounded(value, 6) : null;
}

function rankingCsv(view, ranking) {
  const names = [
    "position",
    "average_rank",
    "gain_student",
    "gain_student_low",
    "gain_student_high",
    "gain_kd",
    "gain_kd_low",
    "gain_kd_high",
    "gap_closed",
    "wins",
    "ties",
    "losses",
    "relative",
    "extra_parameters",
    "pairs",
  ];
  const head = ["method", "title", ...names, "reason"];
  return toCsv([
    head,
    ...ranking.sorted.map((row) => [row.id, row.title, ...names.map((name) => plainNumber(row[name])), row.reason]),
  ]);
}

/** One line a cell, with value and both gains whatever is switched on. */
function pairsCsv(view, ranking) {
  const columns = {
    method: ({ method }) => method.id,
    title: ({ method }) => method.title,
    pair: ({ pair }) => pair.id,
    group: ({ pair }) => pair.group,
    metric: () => view.metric.id,
    epoch: () => view.selection.id,
    state: ({ method, pair }) => readCell(view, method.id, pair.id).state,
    mean: ({ own }) => plainNumber(own.mean),
    sd: ({ own }) => plainNumber(own.sd),
    n: ({ own }) => own.n,
    gain_student: ({ method, pair }) => plainNumber(gain(view, method.id, pair.id, STUDENT).mean),
    gain_kd: ({ method, pair }) => plainNumber(gain(view, method.id, pair.id, KD).mean),
    elsewhere: ({ cell }) => cell.elsewhere?.seeds ?? 0,
    paper: ({ cell }) => (view.metric.id === view.board.metric ? cell.paper : null),
    runs: ({ cell }) => known(cell.runs ?? []).join(" "),
  };
  const cells = ranking.sorted.flatMap((method) =>
    view.pairs.map((pair) => ({
      method,
      pair,
      own: score(view, method.id, pair.id),
      cell: cellOf(view.board, method.id, pair.id),
    })),
  );
  return toCsv([Object.keys(columns), ...cells.map((cell) => Object.values(columns).map((column) => column(cell)))]);
}

function rankingTex(view, ranking) {
  const { decimals } = view.metric;
  const columns = shownColumns(ranking);
  const cell = (row, column) => {
    if (column.id === "method") return escapeTex(row.title);
    if (!says(row, column)) return escapeTex(NOTHING);
    if (!column.interval) return escapeTex(String(column.text(row)));
    const [low, high] = [row[`${column.id}_low`], row[`${column.id}_high`]];
    const bracket = isNumber(low) && isNumber(high) ? ` [${signed(low, decimals)}, ${signed(high, decimals)}]` : "";
    return escapeTex(signed(row[column.id], decimals) + bracket);
  };
  return texTable(
    view,
    "ranking",
    columns.map((column) => (column.id === "method" ? "l" : "r")).join(""),
    [columns.map((column) => escapeTex(column.title))],
    ranking.sorted.map((row) => ({ cells: columns.map((column) => cell(row, column)), runs: runIds(view, row.id) })),
  );
}

function pairsTex(view, ranking) {
  const marks = marksOf(view);
  const small = (text) => (text ? ` {\\scriptsize ${escapeTex(text)}}` : "");
  const cell = (method, pair) => {
    const { text, spread, seeds, paper } = readCell(view, method, pair);
    const { best, near } = marks.at(method, pair);
    const number = best
      ? `\\textbf{${escapeTex(text)}}`
      : near && marks.tellsNear
        ? `\\underline{${escapeTex(text)}}`
        : escapeTex(text);
    const mark = elsewhereOf(view, method, pair) && "$^\\dagger$";
    return number + mark + small(spread) + small(seeds && `(${seeds})`) + small(paper && `paper ${paper}`);
  };
  const [teachers, students] = [0, 1].map((part) =>
    view.pairs.map((pair) => {
      const name = pair.label.split(" → ")[part];
      return name ? `\\scriptsize ${part ? "$\\downarrow$ " : ""}${escapeTex(name)}` : "";
    }),
  );
  return texTable(
    view,
    "pairs",
    `l${"c".repeat(view.pairs.length)}`,
    [
      ["Method", ...teachers],
      ["", ...students],
    ],
    ranking.sorted.map((method) => ({
      cells: [escapeTex(method.title), ...view.pairs.map((pair) => cell(method.id, pair.id))],
      runs: runIds(view, method.id),
    })),
  );
}

function runIds(view, method) {
  return view.board.printed ? [] : view.pairs.flatMap((pair) => known(cellOf(view.board, method, pair.id).runs ?? []));
}

function texTable(view, what, columns, heads, rows) {
  const parts = [view.board.title, view.metric.title, view.selection.title];
  if (what === "pairs") parts.push(SHOWS.find((show) => show.id === view.state.show).title.toLowerCase());
  if (!view.whole) parts.push(`${view.methods.length} methods, ${view.pairs.length} pairs`);
  return [
    "% needs \\usepackage{booktabs}",
    "\\begin{table}",
    "\\centering",
    "\\footnotesize",
    "\\setlength{\\tabcolsep}{3pt}",
    `\\caption{${escapeTex(parts.join("; "))}.}`,
    `\\label{tab:leaderboard-${what}}`,
    `\\begin{tabular}{${columns}}`,
    "\\toprule",
    ...heads.map((cells) => `${cells.join(" & ")} \\\\`),
    "\\midrule",
    ...rows.flatMap(({ cells, runs }) => [
      `${cells.join(" & ")} \\\\`,
      ...(runs.length ? [`% runs: ${runs.join(" ")}`] : []),
    ]),
    "\\bottomrule",
    "\\end{tabular}",
    "\\end{table}",
    "",
  ].join("\n");
}
