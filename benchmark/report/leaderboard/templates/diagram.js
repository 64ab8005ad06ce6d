/** The critical-difference diagram: average ranks on a line; bars join methods without a significant difference. */

const DIAGRAM = { side: 150, axis: 62, step: 21, bar: 9 };

function renderDifferences(view, ranking) {
  const found = view.whole ? view.statistics : null;
  const placed = ranking.sorted.filter(isPlaced).sort((a, b) => a.average_rank - b.average_rank);
  const drawable = Boolean(found?.friedman);
  at("diagram").hidden = !drawable;
  fill("diagram", drawable ? diagram(placed, found, Math.min(900, Math.max(580, at("diagram").clientWidth))) : []);
  at("diagram-note").textContent = diagramNote(view, drawable);
  fill("sentences", view.whole ? paragraphs(view.statistics.sentences) : []);
}

function diagramNote(view, drawable) {
  if (!view.whole) return "The tests compare all methods on all pairs: clear the filter to see them.";
  if (!drawable) return "Too few methods or pairs for a test of average ranks.";
  const { statistic, p } = view.statistics.friedman;
  const shown = p < 0.001 ? "< 0.001" : `= ${p.toFixed(3)}`;
  return (
    `Friedman’s test of equal ranks: χ² = ${fixed(statistic, 1)}, p ${shown}. Bars join methods whose average ranks ` +
    "differ by less than the critical difference (Nemenyi, 5 %)."
  );
}

function diagram(placed, found, width) {
  const { side, axis, step, bar } = DIAGRAM;
  const ranks = placed.map((row) => row.average_rank);
  const low = Math.floor(Math.min(...ranks));
  const high = Math.max(Math.ceil(Math.max(...ranks)), low + Math.ceil(found.critical_difference));
  const x = (rank) => side + ((rank - low) / (high - low || 1)) * (width - 2 * side);
  const groups = groupBars(placed, found.groups);
  const top = axis + 16 + groups.length * bar;
  const half = Math.ceil(placed.length / 2);
  const lines = placed.map((row, index) => {
    const onLeft = index < half;
    const y = top + 14 + (onLeft ? index : placed.length - 1 - index) * step;
    return methodLine(row, x(row.average_rank), y, onLeft ? -1 : 1, onLeft ? side - 20 : width - side + 20);
  });
  return picture(
    width,
    top + 14 + half * step,
    "Critical-difference diagram; the ranking table has its numbers",
    ruler(x, low, high, found.critical_difference),
    lines,
    groups.map(([first, last], index) =>
      draw("line", {
        class: "group",
        x1: x(first) - 4,
        x2: x(last) + 4,
        y1: axis + 14 + index * bar,
        y2: axis + 14 + index * bar,
      }),
    ),
  );
}

/** First and last average rank of each group. */
function groupBars(placed, groups) {
  const rankOf = new Map(placed.map((row) => [row.id, row.average_rank]));
  return groups
    .map((group) => known(group.map((id) => rankOf.get(id))))
    .filter((ranks) => ranks.length > 1)
    .map((ranks) => [Math.min(...ranks), Math.max(...ranks)]);
}

function ruler(x, low, high, difference) {
  const { axis } = DIAGRAM;
  const numbers = Array.from({ length: high - low + 1 }, (_, index) => low + index);
  return draw(
    "g",
    { class: "axes" },
    draw("line", { class: "axis", x1: x(low), x2: x(high), y1: axis, y2: axis }),
    numbers.map((rank) => [
      draw("line", { class: "axis", x1: x(rank), x2: x(rank), y1: axis - 6, y2: axis }),
      draw("text", { x: x(rank), y: axis - 11, "text-anchor": "middle" }, String(rank)),
    ]),
    draw("path", {
      class: "difference",
      d: `M${x(low)} 10v8M${x(low)} 14H${x(low + difference)}M${x(low + difference)} 10v8`,
    }),
    draw("text", { x: x(low + difference) + 8, y: 18 }, `critical difference ${fixed(difference, 2)}`),
    draw("text", { x: x(low) - 10, y: axis + 4, "text-anchor": "end", class: "title" }, "better"),
    draw("text", { x: x(high) + 10, y: axis + 4, class: "title" }, "worse"),
  );
}

function methodLine(row, x, y, direction, end) {
  return draw(
    "g",
    { class: "method" },
    draw("path", { d: `M${x} ${DIAGRAM.axis}V${y}H${end}` }),
    draw(
      "text",
      { x: end + 6 * direction, y: y + 4, "text-anchor": direction < 0 ? "end" : "start" },
      row.title,
      " ",
      draw("tspan", { class: "quiet" }, fixed(row.average_rank, 2)),
    ),
  );
}
