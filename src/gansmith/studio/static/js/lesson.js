// The ten minutes: what is said, and what is set up beside it.

export const NAMES = { gan: "GAN", "wgan-gp": "WGAN-GP", r3gan: "R3GAN" };

export const ABOUT = {
  gan: "D answers real or made up. 2014, Goodfellow.",
  "wgan-gp": "D gives a score, and its slope is held near 1. 2017, Gulrajani.",
  r3gan: "D compares pairs, and is kept flat where the game is over. 2024, Huang.",
};

const ALL = { landscape: true, push: false, real: true };

export const CHAPTERS = [
  {
    title: "Two players",
    text: [
      "The crosses are real examples: here points in the plane, elsewhere photographs. We want a machine that makes more of them.",
      "The dots are what the generator makes of random numbers. It has never seen a cross, and it never will.",
      "The discriminator sees both and colours the plane: warm where it takes a point for real, blue where it takes it for made up. Right now neither knows anything.",
    ],
    scene: { world: "ring", families: ["gan"], show: ALL, running: false },
  },
  {
    title: "Learning from a critic",
    text: [
      "Each arrow points to where the discriminator would take that dot for more real. These arrows are all that the generator ever learns from.",
      "One step of the game: the discriminator learns to tell dots from crosses a little better, then every dot moves a little along its arrow. Press Step a few times and watch both.",
    ],
    scene: { world: "ring", families: ["gan"], show: { ...ALL, push: true }, running: false },
  },
  {
    title: "The chase",
    text: [
      "Now let them run. Dots move to warm places; the discriminator notices and cools those places down; the dots move on.",
      "If the generator ever became perfect, dots and crosses could not be told apart, the whole plane would lose its colour, and there would be no arrows left. That is the goal of the game, and nobody has to write down what a good picture is.",
    ],
    scene: { world: "ring", families: ["gan"], show: ALL, running: true },
  },
  {
    title: "Mode collapse",
    text: [
      "Watch the number of places found. Most games end with some of the eight empty, and stay there.",
      "Why? The dots sit on real places, so each single dot fools the discriminator. No arrow says: somebody should go over there. With pictures this looks like a generator of digits that never draws a 4.",
      "Press Start again: another seed leaves out other places.",
    ],
    scene: { world: "ring", families: ["gan"], show: ALL, running: true },
  },
  {
    title: "A critic with a slope",
    text: [
      "WGAN-GP changes the question. Instead of a verdict, the critic gives a score, and a penalty keeps the landscape’s slope near 1 between real and made points. So there is a slope everywhere, and arrows everywhere, however far off the dots are.",
      "It learns more slowly, since the critic moves three times for each move of the generator, but it seldom gives a place up.",
    ],
    scene: { world: "ring", families: ["gan", "wgan-gp"], show: { ...ALL, push: true }, running: true },
  },
  {
    title: "Compared in pairs",
    text: [
      "R3GAN asks: is this real point more real than that made one? A place that nobody fills always wins its comparisons, so the push towards it never stops.",
      "Two small penalties flatten the landscape at real and at made points. When the two agree, the game comes to rest instead of running in circles.",
      "Same data, same networks, same number of steps. Compare how many places each one finds.",
    ],
    scene: { world: "ring", families: ["gan", "wgan-gp", "r3gan"], show: ALL, running: true },
  },
  {
    title: "Your turn",
    text: [
      "Draw your own data, try twenty-five places or a spiral, make learning faster until it breaks.",
      "Then train on pictures: it is the same game, with the same losses from the same files, only with more numbers per point.",
    ],
    scene: { world: "drawn", families: ["gan", "wgan-gp", "r3gan"], show: ALL, running: true },
    last: true,
  },
];
