/** Arithmetic, and numbers as texts. */

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

function rounded(value, decimals) {
  return Number(value.toFixed(decimals));
}

/** A number with a true minus, and zero without a sign; a dash where there is none. */
function fixed(value, decimals) {
  if (!isNumber(value)) return NOTHING;
  const size = Math.abs(value).toFixed(decimals);
  return Number(size) !== 0 && value < 0 ? MINUS + size : size;
}

/** A difference: with its sign, and zero without one. */
function signed(value, decimals) {
  const text = fixed(value, decimals);
  return value > 0 && Number(text) !== 0 ? `+${text}` : text;
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

/** About as many round numbers between two ends as wanted. */
function ticks(low, high, wanted) {
  const rough = (high - low) / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => rounded((first + i) * step, 10));
}
