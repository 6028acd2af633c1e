"""The coach: reads a run's log as training goes and says in plain words what goes wrong and what to change.

It is a pure function of the records in log.jsonl, so that it can be tried on recorded logs of good and bad runs. A sign
must last before it is called: one odd moment is no illness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gansmith.data.planning import FEW
from gansmith.health.signs import Record, best, every, lasting, latest, rising

BELIEVABLE = 0.6
"""Share of samples that should look real at the end of a run. 256 real digits or clothes against others have 95 to 97 %; `dcgan` on digits has none
after 300 steps and 67 % after 1,500; r3gan of FD 6 on clothes has 94 %."""

COPIES = 0.15
"""Share of samples that may be copies: of real pictures that a model has not seen, up to 4 % are called so."""

WARM_UP = 15_000
"""Images before which samples that are all alike, or all new at each check, may just be a beginning."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a run.

    Attributes:
        kind: ``collapse``, ``discriminator-wins``, ``missing-classes``, ``oscillation``, ``memorising``, ``copies``, ``leaking``,
            ``undertrained`` or ``few-pictures``.
        images: the clock when it could first be told.
        headline: a few words for the progress display.
        advice: what to change, for the report.
    """

    kind: str
    images: int
    headline: str
    advice: str


def diagnose(records: Sequence[Record]) -> list[Finding]:
    """Everything that is wrong now, the worst first; empty for a healthy run.

    Args:
        records: the lines of log.jsonl so far, oldest first.
    """
    if not records:
        return []
    checks = (
        _collapse,
        _discriminator_wins,
        _copying,
        _memorising,
        _leaking,
        _missing_classes,
        _oscillation,
        _undertrained,
    )
    found = (check(records) for check in checks)
    return [finding for finding in found if finding is not None]


def history(records: Sequence[Record]) -> list[Finding]:
    """Everything that was wrong at some time, in the order in which it could first be told; each kind once."""
    found: dict[str, Finding] = {}
    for end in range(1, len(records) + 1):
        for finding in diagnose(records[:end]):
            found.setdefault(finding.kind, finding)
    return list(found.values())


def _collapse(records: Sequence[Record]) -> Finding | None:
    """The pictures of a fixed batch of latents are all alike: copies of each other, or all of one kind."""
    return _copies(records) or _moving_collapse(records)


def _copies(records: Sequence[Record]) -> Finding | None:
    """The pictures of a fixed batch of latents have become nearly the same."""
    # every generator starts with one grey picture for all latents, so a low value alone proves nothing: it must have
    # been higher before, or not be rising any more
    recent, copies = lasting(records, "diversity"), lasting(records, "spread")
    if every(recent, "diversity", lambda value: value < 0.35) and (
        best(records, "diversity") >= 0.5 or (recent[-1]["images"] >= WARM_UP and not rising(records, "diversity"))
    ):
        sign = f"samples differ by {100 * recent[-1]['diversity']:.0f}% of what real pictures do"
    elif every(copies, "spread", lambda value: value < 0.2) and (
        best(records, "spread") >= 0.4 or (copies[-1]["images"] >= 10 * WARM_UP and not rising(records, "spread"))
    ):
        recent, sign = copies, "many samples are copies of each other"
    else:
        return None
    return Finding(
        "collapse",
        recent[0]["images"],
        f"mode collapse: {sign}",
        "The generator makes nearly the same picture from every latent. More training will not bring it back: go back to an "
        "earlier checkpoint or start again with both learning rates alike and lower (--lr 1e-4), with a gradient penalty "
        "(--r1 where the family has it), with --pack 2, or with a family made against it: r3gan or wgan-gp. With --conditional and few "
        "pictures of each class, let classes fade in: --class-fade 0.6.",
    )


def _moving_collapse(records: Sequence[Record]) -> Finding | None:
    """There is one kind of picture at a time, and another one soon, as D learns to reject it.

    Pictures of one kind differ by half of what pictures of all kinds do, so each sign by itself would prove little.
    """
    recent = lasting(records, "diversity")
    if (
        not every(recent, "diversity", lambda value: value < 0.6)
        or not every(lasting(records, "spread"), "spread", lambda value: value < 0.5)
        or not every(lasting(records, "churn"), "churn", lambda value: value > 0.7)
        or recent[-1]["images"] < 2 * WARM_UP
        or (rising(records, "diversity") and rising(records, "spread"))
    ):
        return None
    return Finding(
        "collapse",
        recent[0]["images"],
        "mode collapse: samples are alike, and all change together",
        "The generator makes one kind of picture at a time, and goes on to another when the discriminator has learnt to "
        "reject it. Many small steps get out of that: take smaller batches (--batch 8). So does a discriminator that learns "
        "four times as fast as the generator (for stylegan2, --lr 6e-4 --lr-discriminator 2.5e-3, and --path-weight 0 "
        "--style-mixing 0). Or take --pack 2, or r3gan, whose loss compares real pictures with fakes.",
    )


def _discriminator_wins(records: Sequence[Record]) -> Finding | None:
    """D tells every picture rightly and surely, so the generator has nothing to learn from."""
    recent = lasting(records, "sign_real")
    recent = [record for record in recent if "loss/generator" in record]
    sure = every(recent, "sign_real", lambda value: value > 0.97) and every(
        recent, "sign_fake", lambda value: value < -0.97
    )
    if not sure or not every(recent, "loss/generator", lambda value: value > 6):
        return None
    return Finding(
        "discriminator-wins",
        recent[0]["images"],
        f"the discriminator wins outright (generator's loss {recent[-1]['loss/generator']:.1f})",
        "The discriminator is right about every picture and sure of it, which leaves the generator no direction to go. Lower "
        "its learning rate (--lr-discriminator 1e-4 or less), add a gradient penalty (--r1) or --augment ada, or take "
        "r3gan or wgan-gp, whose losses do not saturate.",
    )


def _missing_classes(records: Sequence[Record]) -> Finding | None:
    """Whole classes of the real pictures are no longer made."""
    recent = lasting(records, "classes_missing")
    if not recent or recent[-1]["progress"] < 0.3 or recent[-1]["images"] < 4 * WARM_UP:
        return None
    missing = min(record["classes_missing"] for record in recent)
    fewest = min(record["classes_missing"] for record in records if "classes_missing" in record)
    # classes come one by one: what a young run has not made yet is not missing, what it made before is
    if missing < (1 if recent[-1]["progress"] >= 0.5 else fewest + 2):
        return None
    return Finding(
        "missing-classes",
        recent[0]["images"],
        f"{recent[-1]['classes_missing']:.0f} of the data's classes are missing from the samples",
        "Some classes are no longer made: the beginning of mode collapse. Use --conditional if the data has labels, --pack 2, a "
        "gradient penalty (--r1), or r3gan.",
    )


def _oscillation(records: Sequence[Record]) -> Finding | None:
    """The same latents give unrelated pictures from one check to the next, long after the start."""
    recent = lasting(records, "churn", least=5)
    young = not recent or recent[-1]["progress"] < 0.15 or recent[-1]["images"] < WARM_UP
    # what comes nearer to the real pictures' spread is getting somewhere
    if young or not every(recent, "churn", lambda value: value > 0.9) or rising(records, "spread"):
        return None
    return Finding(
        "oscillation",
        recent[0]["images"],
        "oscillation: the samples change completely between checks",
        "The two networks chase each other without getting anywhere. Lower both learning rates (--lr), lower --beta1 to 0, add "
        "a gradient penalty (--r1), or take r3gan.",
    )


def _undertrained(records: Sequence[Record]) -> Finding | None:
    """At the end, samples are as different as real pictures, and few of them look real. A collapse is the opposite."""
    recent = lasting(records, "believable")[-3:]
    if not recent or recent[-1]["progress"] < 0.95 or _collapse(records) is not None:
        return None
    share = sum(record["believable"] for record in recent) / len(recent)
    if share >= BELIEVABLE or min(latest(records, "diversity"), latest(records, "spread")) < 0.5:
        return None
    headline = f"undertrained: {share:.0%} of the samples look real"
    if rising(records, "believable"):
        advice = (
            "The samples are different enough, and there is no collapse: they are not finished. Their quality was still rising when the run "
            "ended, so more time helps most (train --resume with a longer goal)."
        )
    else:
        advice = (
            "The samples are different enough, and there is no collapse: they are not finished, and their quality no longer rises. Another "
            "family, labels where there are some, or a smaller --size gets further in the same time: r3gan, or projected for few colour pictures."
        )
    return Finding("undertrained", recent[0]["images"], headline, advice)


def _memorising(records: Sequence[Record]) -> Finding | None:
    """D likes training pictures much better than other real ones: it knows them by heart."""
    recent = lasting(records, "memorising")
    if not every(recent, "memorising", lambda value: value > 0.5):
        return None
    return Finding(
        "memorising",
        recent[0]["images"],
        "the discriminator knows the training pictures by heart",
        "On real pictures that it has not trained on, the discriminator is nearer to 'fake' than to 'real': there are too few "
        "pictures for it. Add --augment ada (or diffaugment), --flip where mirrored pictures make sense, or more pictures.",
    )


def _copying(records: Sequence[Record]) -> Finding | None:
    """Samples repeat training pictures: much nearer to one than that one is to any other."""
    recent = lasting(records, "copies")
    if not every(recent, "copies", lambda value: value > COPIES):
        return None
    return Finding(
        "copies",
        recent[0]["images"],
        f"{recent[-1]['copies']:.0%} of the samples are copies of training pictures",
        "The generator repeats pictures that it was trained on. There are too few of them for so long a run: stop earlier, use more "
        "pictures, --flip where mirrored ones make sense, --augment ada, or start from a trained model with --init. gansmith evaluate "
        "RUN --data DATA --memorisation copies.png shows the samples beside the pictures that they repeat.",
    )


def few_pictures(count: int) -> Finding | None:
    """The finding about a run on few pictures, before it begins; None if there are enough."""
    if count >= FEW:
        return None
    return Finding(
        "few-pictures",
        0,
        f"only {count} pictures",
        f"With fewer than {FEW} pictures, most of what is made from noise are copies of them or mixtures of two. More pictures help most. "
        "--init with a trained model, --freeze-d and --flip help too, and so does --augment ada.",
    )


def _leaking(records: Sequence[Record]) -> Finding | None:
    """So much augmentation that the generator starts to imitate it."""
    recent = lasting(records, "augment_p")
    if not every(recent, "augment_p", lambda value: value > 0.85):
        return None
    return Finding(
        "leaking",
        recent[0]["images"],
        f"augmentation at {recent[-1]['augment_p']:.2f} may leak into the samples",
        "Above 0.85 the augmented pictures no longer tell how the real ones look, and rotations or colours may show in the "
        "samples. Lower --augment-target, or find more pictures.",
    )
