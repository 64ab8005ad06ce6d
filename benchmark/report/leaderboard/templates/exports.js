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

/** Rows as CSV. As in benchmark/report/csvfile.py, an apostrophe precedes texts that begin like a formula. */
function toCsv(rows) {
  const field = (value) => {
    // Rounding removes the errors of sums.
    if (typeof value === "number") return String(rounded(value, 6));
    const text = `${FORMULA.test(value ?? "") ? "'" : ""}${value ?? ""}`;
    return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  };
  return [Object.keys(rows[0] ?? {}), ...rows.map(Object.values)].map((row) => `${row.map(field).join(",")}\n`).join("");
}

function rankingCsv(view, ranking) {
  const gains = ["gain_student", "gain_kd"].flatMap((name) => [name, `${name}_low`, `${name}_high`]);
  const wins = ["gap_closed", "wins", "ties", "losses"];
  const costs = [...view.board.differing, "relative", "extra_parameters"];
  const names = ["position", "average_rank", ...gains, ...wins, ...costs, "pairs", "reason"];
  const numbers = (row) => Object.fromEntries(names.map((name) => [name, row[name]]));
  return toCsv(ranking.sorted.map((row) => ({ method: row.id, title: row.title, ...numbers(row) })));
}

/** One line for each cell, with its mean and both gains. */
function pairsCsv(view, ranking) {
  const line = (method, pair) => {
    const { mean, sd, n = 0, gain_student, gain_kd } = numbersOf(view, method.id, pair.id);
    const cell = cellOf(view.board, method.id, pair.id);
    return {
      method: method.id,
      title: method.title,
      pair: pair.id,
      group: pair.group,
      metric: view.metric.id,
      epoch: view.selection.id,
      state: readCell(view, method.id, pair.id).state,
      ...{ mean, sd, n, gain_student, gain_kd },
      elsewhere: cell.elsewhere?.seeds ?? 0,
      paper: view.metric.id === view.board.metric ? cell.paper : null,
      runs: known(cell.runs).join(" "),
    };
  };
  return toCsv(ranking.sorted.flatMap((method) => view.pairs.map((pair) => line(method, pair))));
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
  return view.board.printed ? [] : view.pairs.flatMap((pair) => known(cellOf(view.board, method, pair.id).runs));
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
