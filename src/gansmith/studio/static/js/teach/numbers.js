// Matrices that remember how they were made, so that gradients can be taken; and gradients of gradients, which penalties need.

let recording = true;

export class Matrix {
  /** @param {Float32Array} data row by row. `from` are the matrices it was made of; `pull(g)` gives, for each of them, how to find its gradient. */
  constructor(rows, columns, data = new Float32Array(rows * columns), from = [], pull = null) {
    const open = recording && from.some((part) => part.open);
    Object.assign(this, { rows, columns, data, from: open ? from : [], pull: open ? pull : null, open });
  }
}

/** A matrix that gradients can be taken by. */
export function variable(rows, columns, data) {
  const made = new Matrix(rows, columns, data);
  made.open = true;
  return made;
}

/** The same numbers, cut off from how they were made. */
export const detached = (a) => new Matrix(a.rows, a.columns, a.data);
export const asVariable = (a) => variable(a.rows, a.columns, a.data);

/** Without remembering: quicker, where no gradient is wanted. */
export function plainly(make) {
  const before = recording;
  recording = false;
  try { return make(); } finally { recording = before; }
}

/** The matrix product of a and b, each turned over first where that is asked for. */
export function product(a, b, turnA = false, turnB = false) {
  const [x, y] = [turnA ? flipped(a) : a.data, turnB ? flipped(b) : b.data];
  const [n, inner] = turnA ? [a.columns, a.rows] : [a.rows, a.columns];
  const m = turnB ? b.rows : b.columns;
  const out = multiplied(x, y, n, inner, m);
  return new Matrix(n, m, out, [a, b], (g) => [
    () => (turnA ? product(b, g, turnB, true) : product(g, b, false, !turnB)),
    () => (turnB ? product(g, a, true, turnA) : product(a, g, !turnA, false)),
  ]);
}

/** x [n, inner] times y [inner, m]: four rows of y at a time, so that each sum is fetched and stored a quarter as often. */
function multiplied(x, y, n, inner, m) {
  const out = new Float32Array(n * m);
  const even = inner - (inner % 4);
  for (let i = 0; i < n; i += 1) {
    const [to, from] = [i * m, i * inner];
    let k = 0;
    for (; k < even; k += 4) {
      const [a, b, c, d, at] = [x[from + k], x[from + k + 1], x[from + k + 2], x[from + k + 3], k * m];
      for (let j = 0; j < m; j += 1) out[to + j] += a * y[at + j] + b * y[at + m + j] + c * y[at + 2 * m + j] + d * y[at + 3 * m + j];
    }
    for (; k < inner; k += 1) {
      const [a, at] = [x[from + k], k * m];
      for (let j = 0; j < m; j += 1) out[to + j] += a * y[at + j];
    }
  }
  return out;
}

function flipped(a) {
  const out = new Float32Array(a.data.length);
  for (let i = 0; i < a.rows; i += 1) for (let j = 0; j < a.columns; j += 1) out[j * a.rows + i] = a.data[i * a.columns + j];
  return out;
}

function mapped(data, value) {
  const out = new Float32Array(data.length);
  for (let i = 0; i < data.length; i += 1) out[i] = value(data[i]);
  return out;
}

/** One number from each number; `slope(a)` is a matrix of derivatives. */
const each = (a, value, slope) => new Matrix(a.rows, a.columns, mapped(a.data, value), [a], (g) => [() => times(g, slope(a))]);
function pair(a, b, value, pull) {
  const out = new Float32Array(a.data.length);
  const [x, y] = [a.data, b.data];
  for (let i = 0; i < out.length; i += 1) out[i] = value(x[i], y[i]);
  return new Matrix(a.rows, a.columns, out, [a, b], pull);
}

export const plus = (a, b) => pair(a, b, (x, y) => x + y, (g) => [() => g, () => g]);
export const minus = (a, b) => pair(a, b, (x, y) => x - y, (g) => [() => g, () => scaled(g, -1)]);
export const times = (a, b) => pair(a, b, (x, y) => x * y, (g) => [() => times(g, b), () => times(g, a)]);
export const scaled = (a, factor, shift = 0) => new Matrix(a.rows, a.columns, mapped(a.data, (x) => factor * x + shift), [a], (g) => [() => scaled(g, factor)]);
export const sine = (a) => each(a, Math.sin, cosine);
export const cosine = (a) => each(a, Math.cos, (x) => scaled(sine(x), -1));
export const sigmoid = (a) => each(a, (x) => 1 / (1 + Math.exp(-x)), (x) => { const s = sigmoid(x); return times(s, scaled(s, -1, 1)); });
export const softplus = (a) => each(a, (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))), sigmoid);
/** LeakyReLU; what it multiplies each number by is a constant of its own. */
export function leaky(a, slope = 0.2) {
  const [out, slopes, x] = [new Float32Array(a.data.length), new Float32Array(a.data.length), a.data];
  for (let i = 0; i < out.length; i += 1) {
    slopes[i] = x[i] > 0 ? 1 : slope;
    out[i] = slopes[i] * x[i];
  }
  return new Matrix(a.rows, a.columns, out, [a], (g) => [() => times(g, new Matrix(a.rows, a.columns, slopes))]);
}
/** Its slope is taken for a constant: it can be differentiated once. */
export const root = (a) => each(a, Math.sqrt, (x) => new Matrix(x.rows, x.columns, x.data.map((v) => 0.5 / Math.sqrt(v))));

/** Sums over rows [1, M], and a row for each of n. */
export function sumRows(a) {
  const out = new Float32Array(a.columns);
  for (let i = 0; i < a.data.length; i += a.columns) for (let j = 0; j < a.columns; j += 1) out[j] += a.data[i + j];
  return new Matrix(1, a.columns, out, [a], (g) => [() => spreadRows(g, a.rows)]);
}
export function spreadRows(a, n) {
  const out = new Float32Array(n * a.columns);
  for (let i = 0; i < n; i += 1) out.set(a.data, i * a.columns);
  return new Matrix(n, a.columns, out, [a], (g) => [() => sumRows(g)]);
}
/** Sums over each row [N, 1], and that number for each of m columns. */
export function sumColumns(a) {
  const out = new Float32Array(a.rows);
  a.data.forEach((x, i) => { out[Math.floor(i / a.columns)] += x; });
  return new Matrix(a.rows, 1, out, [a], (g) => [() => spreadColumns(g, a.columns)]);
}
export const spreadColumns = (a, m) => new Matrix(a.rows, m, Float32Array.from({ length: a.rows * m }, (_, i) => a.data[Math.floor(i / m)]), [a], (g) => [() => sumColumns(g)]);
export const sum = (a) => sumRows(sumColumns(a));
export const mean = (a) => scaled(sum(a), 1 / a.data.length);

/** A row added to every row. */
export function biased(a, row) {
  const out = a.data.slice();
  for (let i = 0; i < out.length; i += a.columns) for (let j = 0; j < a.columns; j += 1) out[i + j] += row.data[j];
  return new Matrix(a.rows, a.columns, out, [a, row], (g) => [() => g, () => sumRows(g)]);
}

/**
 * d(output)/d(input) of every input, summed over output's numbers.
 * @param {boolean} again the gradients can be differentiated themselves.
 */
export function gradients(output, inputs, again = false) {
  const order = [];
  const seen = new Set();
  const visit = (node) => {
    if (seen.has(node) || !node.open) return;
    seen.add(node);
    node.from.forEach(visit);
    order.push(node);
  };
  visit(output);
  const found = new Map([[output, new Matrix(output.rows, output.columns, new Float32Array(output.data.length).fill(1))]]);
  const walk = () => {
    for (const node of order.reverse()) {
      const g = found.get(node);
      if (!g || !node.pull) continue;
      node.pull(g).forEach((part, i) => {
        const to = node.from[i];
        if (!to.open) return;
        const more = part();
        found.set(to, found.has(to) ? plus(found.get(to), more) : more);
      });
    }
  };
  if (again) walk(); else plainly(walk);
  return inputs.map((input) => found.get(input) || new Matrix(input.rows, input.columns));
}

/** Adam (Kingma & Ba 2015, arXiv:1412.6980) on a list of matrices, in place. */
export class Adam {
  constructor(parameters, rate, betas) {
    Object.assign(this, { parameters, rate, betas, step: 0, moments: parameters.map((p) => [new Float32Array(p.data.length), new Float32Array(p.data.length)]) });
  }

  move(slopes) {
    this.step += 1;
    const [b1, b2] = this.betas;
    const [one, two] = [1 - b1 ** this.step, Math.sqrt(1 - b2 ** this.step)];
    this.parameters.forEach((parameter, k) => {
      const [m, v] = this.moments[k];
      const g = slopes[k].data;
      for (let i = 0; i < g.length; i += 1) {
        m[i] = b1 * m[i] + (1 - b1) * g[i];
        v[i] = b2 * v[i] + (1 - b2) * g[i] * g[i];
        parameter.data[i] -= (this.rate / one) * m[i] / (Math.sqrt(v[i]) / two + 1e-8);
      }
    });
  }
}
