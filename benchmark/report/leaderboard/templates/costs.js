/** Gain over the student against step time, with the Pareto front. */

function renderCosts(view, ranking) {
  const points = ranking.sorted
    .filter((row) => isPlaced(row) && isNumber(row.relative) && isNumber(row.gain_student))
    .map((row) => ({
      id: row.id,
      text: row.title,
      time: row.relative,
      gain: row.gain_student,
      extra: row.extra_parameters ?? 0,
    }));
  at("costs").hidden = points.length < 2;
  if (points.length < 2) return;
  at("costs-note").textContent =
    "Mean gain over the plain student on the shown pairs. Step time: the least of the seeds, divided by the plain " +
    "student’s on the same machine, geometric mean over all pairs; small differences are noise, because of other work " +
    "on the machine. The line joins methods that no other beats in both; a larger dot has more extra parameters.";
  fill("costs-plot", costChart(view, points, Math.min(1280, Math.max(320, at("costs-plot").clientWidth))));
}

function costChart(view, points, width) {
  const height = width < 560 ? 360 : 430;
  const { box, toX, toY, axes } = plane(width, height, timeAxis(points, width), gainAxis(points));
  const most = Math.max(...points.map((point) => point.extra), 1);
  const dots = points.map((point) => ({
    ...point,
    x: toX(point.time),
    y: toY(point.gain),
    radius: 4 + 8 * Math.sqrt(point.extra / most),
  }));
  const front = paretoFront(points);
  const labels = placeLabels(dots, { ...box, right: box.right + 10 });
  return picture(
    width,
    height,
    "Mean gain over the student against step time",
    axes,
    frontLine(dots, front, box),
    dots.map((dot, index) => costDot(view, dot, labels[index], front.includes(dot.id))),
  );
}

function timeAxis(points, width) {
  const ends = roomy(
    points.map((point) => Math.log(point.time)),
    0.1,
  );
  const [low, high] = [Math.exp(ends.low), Math.exp(ends.high)];
  const title = "step time, plain student = 1";
  return { low, high, log: true, title, ticks: ticks(low, high, width < 560 ? 4 : 8), text: (tick) => `${tick}×` };
}

function gainAxis(points) {
  const ends = roomy([...points.map((point) => point.gain), 0]);
  const text = (tick) => signed(tick, tickDecimals(ends));
  return { ...ends, title: "mean gain over student", ticks: ticks(ends.low, ends.high, 9), text };
}

function tickDecimals({ low, high }) {
  return high - low > 6 ? 0 : high - low > 0.6 ? 1 : 2;
}

/** Ids of the methods that no other beats in both, from the fastest. */
function paretoFront(points) {
  const beaten = (one) =>
    points.some(
      (other) => other.time <= one.time && other.gain >= one.gain && (other.time < one.time || other.gain > one.gain),
    );
  return points
    .filter((point) => !beaten(point))
    .sort((a, b) => a.time - b.time)
    .map((point) => point.id);
}

function frontLine(dots, front, box) {
  const steps = front.map((id) => dots.find((dot) => dot.id === id));
  const path = steps.map((dot, index) => (index ? `H${dot.x}V${dot.y}` : `M${dot.x} ${dot.y}`)).join("");
  return draw("path", { class: "front", d: `${path}H${box.right}` });
}

function costDot(view, dot, label, onFront) {
  const tip =
    `${dot.text}: step time ${multiple(dot.time)}, gain ${signed(dot.gain, view.metric.decimals)}, ` +
    `${count(dot.extra)} extra parameters`;
  return draw(
    "g",
    { class: onFront ? "dot on-front" : "dot", "data-method": dot.id, "data-tip": tip },
    label.far
      ? draw("line", {
          class: "leader",
          x1: dot.x,
          y1: dot.y,
          x2: label.x + (label.x > dot.x ? 0 : dot.text.length * LETTER),
          y2: label.y - 4,
        })
      : null,
    draw("circle", { cx: dot.x, cy: dot.y, r: dot.radius }),
    draw("text", { x: label.x, y: label.y }, dot.text),
  );
}
