const MINUS = "−";
const NOTHING = "–";

function isNumber(value) {
  return value !== null && value !== undefined;
}

function known(values) {
  return values.filter(isNumber);
}

function mean(values) {
  return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
}

/** Sample standard deviation; null below two values. */
function deviation(values) {
  if (values.length < 2) return null;
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
}

function geometricMean(values) {
  return values.length ? Math.exp(mean(values.map(Math.log))) : null;
}

function rounded(value, decimals) {
  return Number(value.toFixed(decimals));
}

/** A number with a true minus, zero without any; a dash where there is none. */
function fixed(value, decimals) {
  return isNumber(value)
    ? value
        .toFixed(decimals)
        .replace(/^-(?=0\.?0*$)/, "")
        .replace("-", MINUS)
    : NOTHING;
}

/** A difference: with its sign, and 0.00 without one. */
function signed(value, decimals) {
  if (!isNumber(value)) return NOTHING;
  const size = Math.abs(value).toFixed(decimals);
  return Number(size) === 0 ? size : (value > 0 ? "+" : MINUS) + size;
}

function percent(share) {
  return isNumber(share) ? `${fixed(100 * share, 0)} %` : NOTHING;
}

/** "1.14×". */
function multiple(factor) {
  return isNumber(factor) ? `${factor.toFixed(2)}×` : NOTHING;
}

/** 304, 16.3k, 1.20M. */
function count(value) {
  if (!isNumber(value)) return NOTHING;
  if (value < 1000) return String(Math.round(value));
  return value < 1e6 ? `${(value / 1e3).toFixed(1)}k` : `${(value / 1e6).toFixed(2)}M`;
}

/** "0.021", "< 0.001". */
function probability(p) {
  return p < 0.001 ? "< 0.001" : `= ${p.toFixed(3)}`;
}

/** About as many round numbers between two ends as wished. */
function ticks(low, high, wished) {
  const rough = (high - low) / wished || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => rounded((first + i) * step, 10));
}
