"""One digit of mnist10k cut to 50 pictures: does ``--balance`` raise its recall?

    python benchmarks/imbalanced_digits.py --minutes 30 --work runs/imbalanced-digits

Tested on 200 pictures of each digit that nothing learns from, with 5 seeds. The study also repeats the 50 real pictures
as often as synthetic ones are added, so that it shows what the new pictures do beyond being more. Writes
benchmarks/results/imbalanced_digits.json; the report with its plots is in WORK/made-study.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from gansmith.study.comparison import BOTH, CLASSIC, RESAMPLED, StudySettings
from gansmith.study.study import study
from gansmith.synthetic.making import resolve
from study_fashion import add_options, by_class, everything, pictures_of, record, save_npz


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--digit", type=int, default=8, help="the digit that is cut")
    parser.add_argument("--rare", type=int, default=50, help="pictures of it that are left")
    parser.add_argument("--most", type=int, default=0, help="at most so many of every other digit; 0 takes all")
    parser.add_argument("--test", type=int, default=200, help="test pictures of each digit")
    parser.add_argument("--ratio", type=float, default=0.5)
    parser.add_argument("--result", type=Path, help="another file for the result")
    args = parser.parse_args()
    digits = everything("mnist10k")
    assert digits.y is not None
    labels = digits.y.numpy()
    (tested,), left = by_class(labels, [args.test], args.seed)
    kept = []
    for digit in range(10):
        rows = np.random.default_rng(args.seed + digit).permutation(left[labels[left] == digit])
        kept.append(rows[: args.rare if digit == args.digit else args.most or None])
    data = save_npz(digits, np.sort(np.concatenate(kept)), args.work / "data.npz")
    test = save_npz(digits, tested, args.work / "test.npz")
    made, facts = pictures_of(args, data, test=test, balance=True)
    settings = StudySettings(args.seeds, args.classifier, args.classifier_steps, args.ratio)
    source = everything(data)
    found = study(source, made, settings, flip=args.flip, seed=args.seed, device=resolve(args.device), say=print)
    recall = {}
    for base in (CLASSIC, RESAMPLED):
        if (BOTH, base) in found.comparisons:
            change = found.comparisons[BOTH, base].recalls[args.digit]
            size = f"{100 * change.mean:+.2f} ± {100 * change.half:.2f} points, p {change.p:.2g}"
            print(f"recall of {args.digit} against '{base}': {size}")
            values = {"change": change.mean, "low": change.low, "high": change.high, "p_holm": change.p}
            recall[f"against {base}"] = values
    record("imbalanced_digits", found, facts, args, digit=args.digit, recall_of_the_rare_digit=recall)


if __name__ == "__main__":
    main()
