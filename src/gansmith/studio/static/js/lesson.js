// The ten minutes: what is set up beside each chapter. What is said stands in the languages' files.

export const NAMES = { gan: "GAN", "wgan-gp": "WGAN-GP", r3gan: "R3GAN" };

const ALL = { landscape: true, push: false, real: true };

/** Chapters with the number of their paragraphs (lesson.1.text.1, ...). */
export const CHAPTERS = [
  { paragraphs: 3, scene: { world: "ring", families: ["gan"], show: ALL, running: false } },
  { paragraphs: 2, scene: { world: "ring", families: ["gan"], show: { ...ALL, push: true }, running: false } },
  { paragraphs: 2, scene: { world: "ring", families: ["gan"], show: ALL, running: true } },
  { paragraphs: 3, scene: { world: "ring", families: ["gan"], show: ALL, running: true } },
  { paragraphs: 2, scene: { world: "ring", families: ["gan", "wgan-gp"], show: { ...ALL, push: true }, running: true } },
  { paragraphs: 3, scene: { world: "ring", families: ["gan", "wgan-gp", "r3gan"], show: ALL, running: true } },
  { paragraphs: 2, scene: { world: "drawn", families: ["gan", "wgan-gp", "r3gan"], show: ALL, running: true }, last: true },
];
