/** Shared by the charts: a plane with axes, and labels that avoid each other. */

const LETTER = 6.4;
const LINE = 14;

/** A plane of width x height with linear or logarithmic axes. `x` and `y`: {low, high, ticks, title, text, log}. */
function plane(width, height, x, y) {
  const box = { left: 52, right: width - 14, top: 12, bottom: height - 42 };
  const place = (axis, from, to) => {
    const shape = axis.log ? Math.log : (value) => value;
    const span = shape(axis.high) - shape(axis.low) || 1;
    return (value) => from + ((shape(value) - shape(axis.low)) / span) * (to - from);
  };
  const toX = place(x, box.left, box.right);
  const toY = place(y, box.bottom, box.top);
  const axes = draw(
    "g",
    { class: "axes" },
    y.ticks.map((tick) => [
      draw("line", { class: tick === 0 ? "zero" : "grid", x1: box.left, x2: box.right, y1: toY(tick), y2: toY(tick) }),
      draw("text", { x: box.left - 8, y: toY(tick) + 4, "text-anchor": "end" }, y.text(tick)),
    ]),
    x.ticks.map((tick) => [
      draw("line", { class: "tick", x1: toX(tick), x2: toX(tick), y1: box.bottom, y2: box.bottom + 5 }),
      draw("text", { x: toX(tick), y: box.bottom + 18, "text-anchor": "middle" }, x.text(tick)),
    ]),
    draw("line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }),
    draw("text", { class: "title", x: (box.left + box.right) / 2, y: height - 4, "text-anchor": "middle" }, x.title),
    draw(
      "text",
      {
        class: "title",
        transform: `translate(12 ${(box.top + box.bottom) / 2}) rotate(-90)`,
        "text-anchor": "middle",
      },
      y.title,
    ),
  );
  return { box, toX, toY, axes };
}

function picture(width, height, label, ...children) {
  return draw(
    "svg",
    { class: "chart", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    ...children,
  );
}

/** The ends of an axis, with a margin around its values. */
function roomy(values, share = 0.08) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const room = (high - low || Math.abs(high) || 1) * share;
  return { low: low - room, high: high + room };
}

/**
 * Places labels beside their points: for each the least crowded of several places.
 *
 * @param points [{x, y, radius, text}]
 * @param box the bounds of the labels: {left, right, top, bottom}
 * @returns for each point {x, y, far}: the label's left end and baseline, and whether it needs a line to its point
 */
function placeLabels(points, box) {
  const taken = points.map((point) => ({
    left: point.x - point.radius,
    right: point.x + point.radius,
    top: point.y - point.radius,
    bottom: point.y + point.radius,
  }));
  return points.map((point) => {
    const width = point.text.length * LETTER;
    const options = around(point, width).map((option) => ({
      ...option,
      cost: option.cost + crowding(option, taken, box),
    }));
    const best = options.reduce((one, other) => (other.cost < one.cost ? other : one));
    taken.push(best);
    return { x: best.left, y: best.bottom - 4, far: best.far };
  });
}

/** The candidates for a label: on eight sides of its point, at three distances. */
function around(point, width) {
  const sides = [1, 0, -1].flatMap((dx) => [0, -1, 1].map((dy) => [dx, dy])).filter(([dx, dy]) => dx || dy);
  return [4, 16, 30].flatMap((gap, ring) =>
    sides.map(([dx, dy]) => {
      const reach = point.radius + gap;
      const left = point.x + dx * (dx && dy ? reach * 0.7 : reach) - ((1 - dx) / 2) * width;
      const top = point.y + dy * (reach * (dx ? 0.7 : 1) + LINE / 2) - LINE / 2;
      return { left, right: left + width, top, bottom: top + LINE, far: ring > 0, cost: ring * 12 };
    }),
  );
}

function crowding(label, taken, box) {
  const overlap = (other) =>
    Math.max(0, Math.min(label.right, other.right) - Math.max(label.left, other.left)) *
    Math.max(0, Math.min(label.bottom, other.bottom) - Math.max(label.top, other.top));
  const outside =
    Math.max(0, box.left - label.left) +
    Math.max(0, label.right - box.right) +
    Math.max(0, box.top - label.top) +
    Math.max(0, label.bottom - box.bottom);
  return taken.reduce((sum, other) => sum + overlap(other), 0) + 50 * outside;
}
