// GAN, WGAN-GP and R3GAN on points in the plane, computed in the browser: the same networks, losses and turns as the studio's server plays.
import { Adam, Matrix, asVariable, biased, cosine, detached, gradients, leaky, mean, minus, plainly, plus, product, root, scaled, sine, softplus, spreadColumns, sumColumns, times, variable } from "./numbers.js";

/** Random numbers of a seed: uniform, and normal by pairs (Box and Muller 1958). */
export class Random {
  constructor(seed) { this.state = (seed * 2654435761 + 1) >>> 0; for (let i = 0; i < 8; i += 1) this.uniform(); }

  uniform() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  }

  normal() { return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform()); }

  normals(rows, columns) { return new Matrix(rows, columns, Float32Array.from({ length: rows * columns }, () => this.normal())); }
}

/** Real points: `base` places [[x, y], ...], `sigma` around each; `counted` where the places found can be counted. */
export class World {
  constructor({ base, sigma, counted }, near) {
    Object.assign(this, { base, sigma, counted, near });
    this.spots = this.draw(400, new Random(0));
  }

  draw(n, random, unit = 1) {
    const out = new Float32Array(2 * n);
    for (let i = 0; i < n; i += 1) {
      const place = this.base[Math.floor(random.uniform() * this.base.length)];
      for (const k of [0, 1]) out[2 * i + k] = unit * (place[k] + this.sigma * random.normal());
    }
    return new Matrix(n, 2, out);
  }

  /** Share of the samples near a real place, and how much of the real places they reach. */
  judge(samples) {
    const places = this.counted ? this.base : Array.from({ length: 400 }, (_, i) => [this.spots.data[2 * i], this.spots.data[2 * i + 1]]);
    const hits = new Int32Array(places.length);
    const reached = new Uint8Array(places.length);
    let good = 0;
    for (let i = 0; i < samples.rows; i += 1) {
      let [best, at] = [Infinity, 0];
      places.forEach(([x, y], k) => {
        const far = Math.hypot(samples.data[2 * i] - x, samples.data[2 * i + 1] - y);
        if (far < this.near) reached[k] = 1;
        if (far < best) [best, at] = [far, k];
      });
      if (best < this.near) { good += 1; hits[at] += 1; }
    }
    const fair = samples.rows / places.length;
    if (this.counted) return { good: good / samples.rows, found: hits.filter((n) => n > fair / 4).length, of: places.length };
    return { good: good / samples.rows, found: Math.round((100 * reached.reduce((a, b) => a + b, 0)) / places.length), of: 100 };
  }
}

/** A layer's weights [outputs, inputs] and bias, as torch begins them: uniform within 1 / sqrt(inputs). */
function layer(random, outputs, inputs, parts = [inputs]) {
  const bound = 1 / Math.sqrt(inputs);
  const uniform = (n) => Float32Array.from({ length: n }, () => bound * (2 * random.uniform() - 1));
  return [...parts.map((width) => variable(outputs, width, uniform(outputs * width))), variable(1, outputs, uniform(outputs))];
}

export const generator = (random, { latent, width }) => [...layer(random, width, latent), ...layer(random, width, width), ...layer(random, 2, width)];
/** The first layer's weights in three parts: for the place itself, for sines and for cosines of it. */
export const discriminator = (random, { width }) => [...layer(random, width, 10, [2, 4, 4]), ...layer(random, width, width), ...layer(random, 1, width)];

const linear = (x, weight, bias) => biased(product(x, weight, false, true), bias);
const WAVES = new Matrix(2, 4, Float32Array.from([1, 2, 0, 0, 0, 0, 1, 2]));

/** z [N, latent] -> points [N, 2]. */
export const generate = ([w1, b1, w2, b2, w3, b3], z) => linear(leaky(linear(leaky(linear(z, w1, b1)), w2, b2)), w3, b3);

/** Points [N, 2] -> logits [N, 1]. */
export function judge([wx, ws, wc, b1, w2, b2, w3, b3], x) {
  const angles = product(x, WAVES);
  const waves = plus(product(sine(angles), ws, false, true), product(cosine(angles), wc, false, true));
  const hidden = leaky(biased(plus(product(x, wx, false, true), waves), b1));
  return linear(leaky(linear(hidden, w2, b2)), w3, b3);
}

/** |dD/dx|^2 of each point, [N, 1], to be differentiated again. */
const steepness = (logits, x) => { const [g] = gradients(logits, [x], true); return sumColumns(times(g, g)); };

/** What each family's discriminator minimises; as in its file in gans/. `drawn` are fakes [N, 2], `mixing` weights [N, 1]. */
export const DISCRIMINATOR = {
  gan: (d, real, drawn) => plus(mean(softplus(scaled(judge(d, real), -1))), mean(softplus(judge(d, drawn)))),
  "wgan-gp": (d, real, drawn, { penalty }, { mixing }) => {
    const weight = spreadColumns(mixing, 2);
    const between = asVariable(plus(real, times(weight, minus(drawn, real))));
    const far = scaled(root(scaled(steepness(judge(d, between), between), 1, 1e-12)), 1, -1);
    return plus(minus(mean(judge(d, drawn)), mean(judge(d, real))), scaled(mean(times(far, far)), penalty));
  },
  r3gan: (d, real, drawn, { gamma, penalty_every }, { penalised }) => {
    const [x, y] = [asVariable(real), asVariable(drawn)];
    const [a, b] = [judge(d, x), judge(d, y)];
    const loss = mean(softplus(minus(b, a)));
    return penalised ? plus(loss, scaled(plus(mean(steepness(a, x)), mean(steepness(b, y))), 0.5 * gamma * penalty_every)) : loss;
  },
};
/** What each family's generator minimises. */
export const GENERATOR = {
  gan: (d, drawn) => mean(softplus(scaled(judge(d, drawn), -1))),
  "wgan-gp": (d, drawn) => scaled(mean(judge(d, drawn)), -1),
  r3gan: (d, drawn, real) => mean(softplus(minus(plainly(() => judge(d, real)), judge(d, drawn)))),
};

/** One family at play. */
export class Player {
  constructor(family, world, settings, facts, seed, speed) {
    Object.assign(this, { family, world, settings, facts, step: 0, failed: false, random: new Random(seed + 17) });
    this.g = generator(this.random, facts);
    this.d = discriminator(this.random, facts);
    const betas = [settings.beta1, settings.beta2];
    this.moveG = new Adam(this.g, settings.lr * speed, betas);
    this.moveD = new Adam(this.d, settings.lr * speed, betas);
    this.fixed = new Random(1).normals(500, facts.latent);
  }

  latents() { return this.random.normals(this.facts.batch, this.facts.latent); }

  real() { return this.world.draw(this.facts.batch, this.random, this.facts.unit); }

  /** One step of the game: the discriminator's turn, then the generator's where it is due. */
  play() {
    const { family, settings, facts } = this;
    this.step += 1;
    const real = this.real();
    const together = family === "gan"; // one pass of the generator serves both
    const drawn = together ? generate(this.g, this.latents()) : plainly(() => generate(this.g, this.latents()));
    const more = { penalised: this.step % (settings.penalty_every || 1) === 0, mixing: new Matrix(facts.batch, 1, Float32Array.from({ length: facts.batch }, () => this.random.uniform())) };
    const loss = DISCRIMINATOR[family](this.d, real, detached(drawn), settings, more);
    this.moveD.move(gradients(loss, this.d));
    if (this.step % (settings.critic_steps || 1) === 0) {
      const made = together ? drawn : generate(this.g, this.latents());
      this.moveG.move(gradients(GENERATOR[family](this.d, made, this.real()), this.g));
    }
    if (!Number.isFinite(loss.data[0])) this.failed = true;
  }

  /** Everything to draw: samples [500, 2] in the plane, logits on the grid of places, and the push of the first samples. */
  look(places) {
    const drawn = plainly(() => generate(this.g, this.fixed));
    const pushed = variable(this.facts.arrows, 2, drawn.data.slice(0, 2 * this.facts.arrows));
    const [push] = gradients(judge(this.d, pushed), [pushed]);
    const samples = new Matrix(drawn.rows, 2, drawn.data.map((v) => v / this.facts.unit));
    return { samples, heights: plainly(() => judge(this.d, places)).data, push: push.data, ...this.world.judge(samples) };
  }
}
