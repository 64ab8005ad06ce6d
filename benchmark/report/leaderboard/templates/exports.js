/** The ranking and the table of pairs as CSV and LaTeX, as they are shown. */

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

/** The beginning of a formula, which a spreadsheet would run; also in full-width signs. */
const FORMULA = /^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]/;

/** As in benchmark/report/csvfile.py, an apostrophe precedes texts that begin like a formula. */
function toCsv(rows) {
  const field = (value) => {
    const isFormula = typeof value === "string" && FORMULA.test(value);
    const text = `${isFormula ? "'" : ""}${value ?? ""}`;
    return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  };
  return `${rows.map((row) => row.map(field).join(",")).join("\n")}\n`;
}

/** A number for a CSV, without the rounding errors of sums. */
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

/** One line for each cell, with its mean and both gains. */
function pairsCsv(view, ranking) {
  const columns = {
    method: ({ method }) => method.id,
    title: ({ method }) => method.title,
    pair: ({ pair }) => pair.id,
    group: ({ pair }) => pair.group,
    metric: () => view.metric.id,
    epoch: () => view.selection.id,
    state: ({ method, pair }) => readCell(view, method.id, pair.id).state,
    mean: ({ numbers }) => numbers.mean,
    sd: ({ numbers }) => numbers.sd,
    n: ({ numbers }) => numbers.n ?? 0,
    gain_student: ({ numbers }) => numbers.gain_student,
    gain_kd: ({ numbers }) => numbers.gain_kd,
    elsewhere: ({ cell }) => cell.elsewhere?.seeds ?? 0,
    paper: ({ cell }) => (view.metric.id === view.board.metric ? cell.paper : null),
    runs: ({ cell }) => known(cell.runs ?? []).join(" "),
  };
  const cells = ranking.sorted.flatMap((method) =>
    view.pairs.map((pair) => ({
      method,
      pair,
      numbers: numbersOf(view, method.id, pair.id),
      cell: cellOf(view.board, method.id, pair.id),
    })),
  );
  return toCsv([Object.keys(columns), ...cells.map((cell) => Object.values(columns).map((column) => column(cell)))]);
}

function rankingTex(view, ranking) {
  const columns = shownColumns(view, ranking.rows);
  const cell = (row, column) => {
    if (column.id === "method") return escapeTex(row.title);
    if (!fills(row, column)) return escapeTex(NOTHING);
    if (!column.interval) return escapeTex(String(column.text(row)));
    const interval = bracket(view, row[`${column.id}_low`], row[`${column.id}_high`]);
    return escapeTex(`${signed(row[column.id], view.metric.decimals)} ${interval}`.trim());
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
  const small = (text) => (text ? ` {\\scriptsize ${escapeTex(text)}}` : "");
  const cell = (method, pair) => {
    const { text, spread, seeds, paper, mark } = readCell(view, method, pair);
    const command = { best: "\\textbf", near: "\\underline" }[mark];
    const number = command ? `${command}{${escapeTex(text)}}` : escapeTex(text);
    const dagger = elsewhereOf(view, method, pair) && "$^\\dagger$";
    return number + dagger + small(spread) + small(seeds && `(${seeds})`) + small(paper && `paper ${paper}`);
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
