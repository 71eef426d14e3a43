"""Templates that a new project can start from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StarterLabel:
    """A label as a template proposes it."""

    value: str
    title: str
    severity: str = ""
    sensitive: bool = False


@dataclass(frozen=True)
class Starter:
    """A template: a kind of work with its labels and its question.

    Attributes:
        key: Its name in addresses.
        title: What people choose by.
        description: One sentence more.
        question: Stands above each item.
        instruction: Shown before somebody begins.
        labels: Proposed labels; all can be changed.
    """

    key: str
    title: str
    description: str
    question: str
    instruction: str
    labels: tuple[StarterLabel, ...]


STARTERS = (
    Starter(
        "topic",
        "Topic with your own labels",
        "One label from a list that you write.",
        "What is this text about?",
        "Choose the one topic that fits best.",
        (
            StarterLabel("topic-a", "Topic A"),
            StarterLabel("topic-b", "Topic B"),
            StarterLabel("other", "Other"),
        ),
    ),
    Starter(
        "sentiment",
        "Sentiment",
        "Positive, neutral or negative.",
        "How does the writer feel?",
        "Judge the writer's feeling, not your own. Mixed feelings without a clear lean are neutral.",
        (
            StarterLabel("positive", "Positive"),
            StarterLabel("neutral", "Neutral"),
            StarterLabel("negative", "Negative"),
        ),
    ),
    Starter(
        "spam",
        "Spam",
        "Unwanted advertising or fraud, or not.",
        "Is this spam?",
        "Spam is unasked advertising, fraud, or the same text sent to many.",
        (StarterLabel("spam", "Spam"), StarterLabel("not-spam", "Not spam")),
    ),
    Starter(
        "policy",
        "Policy violation with severity",
        "Which rule a text breaks; grave ones first, blurred until opened.",
        "Which rule does this break?",
        "If several rules are broken, choose the gravest. If in doubt, choose None of these.",
        (
            StarterLabel("self-harm", "Self-harm", "critical", sensitive=True),
            StarterLabel("violence", "Violence", "high", sensitive=True),
            StarterLabel("harassment", "Harassment", "medium"),
            StarterLabel("spam", "Spam", "low"),
            StarterLabel("none", "None of these"),
        ),
    ),
)


def starter(key: str) -> Starter:
    """The template of that name, the first where there is none."""
    return next((one for one in STARTERS if one.key == key), STARTERS[0])
