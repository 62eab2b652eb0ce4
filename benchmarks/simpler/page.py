"""The page of results: tables, and sentences that state what the figures say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from benchmarks.simpler.curves import ADAPTED, BASE, CUT, HEALED, NGRAM, SMALL, Bench
from benchmarks.simpler.plots import picture
from benchmarks.store import Row

Rows = Mapping[str, Sequence[Row]]

_FAR = 2.0
"""From this ratio on, two figures are told as a multiple."""

_OPENING = """# How much simpler can the model be?

A person chooses among the options. The model need not know the next word, then: the word has to be among the few that
are offered. So each curve has two readings: bits per character (what the model knows; fewer is better), and how often
the next word is among the offered ones (what the person gets).

Phrases: COMM2, sentences for hypothetical situations, lower case, without punctuation; spread evenly over the set,
{phrases} for bits per character and {asked} for hit rates ({words} words). Each phrase stands alone after the everyday
frame, without a conversation. Brackets hold 95 %: of bits, phrases drawn again; of hit rates, Wilson's interval over
words. They are of each figure alone; all models get the same phrases, so differences of bits are surer than they look.
Models run as the program runs them, on llama.cpp.

    {command}
"""

_PARAMETERS = """## Against parameters

An adapter can be added into the weights, so its own numbers do not count. Those of the {ngram}
are its probabilities and backoff weights; it sees no frame, has no hit rate, and its file does not say what it was made
from.
"""

_DEPTH = """## Against depth

SmolLM2-135M as Q4_0 with only its first blocks, and the same with a LoRA that was trained on what is left
(`python -m benchmarks.simpler.heal`: the recipe of the conversational adapter, far shorter). That LoRA teaches how
people talk, too, which is no healing: one on all 30 blocks (`--keep 30`), where there is one, tells the two apart.
"""

_CONTEXT = """## Against context

Before the frame stand as many everyday lines as fit; the shortest prompts hold only the end of the frame. The lines
have nothing to do with the phrases: this is what knowing the style is worth, not what knowing the conversation is
worth. 1,000 tokens is the longest prompt that the program makes.
"""

_WORDS = """## Against the number of offered words

Of one search for eight words, the first 1, 3, 5 and 8.
"""


def write_page(rows: Rows, bench: Bench, folder: Path) -> Path:
    """Write ``simpler.md``.

    Parameters
    ----------
    rows
        Of each curve.
    bench
        Whose notes are told at the end.
    """
    parts = [
        _opening(rows, bench),
        *_section(_PARAMETERS.format(ngram=NGRAM), "parameters", folder, _parameters(rows["parameters"])),
        *_section(_DEPTH, "depth", folder, _depth(rows["depth"])),
        *_section(_CONTEXT, "context", folder, _context(rows["context"])),
        *_section(_WORDS, "words", folder, _words(rows["words"])),
    ]
    if bench.notes:
        parts.append("## Left out\n\n" + "".join(f"- {note}\n" for note in bench.notes))
    path = folder / "simpler.md"
    path.write_text("\n".join(parts), encoding="utf-8")
    return path


def _opening(rows: Rows, bench: Bench) -> str:
    known = [row for some in rows.values() for row in some]
    phrases, asked = (sorted({row[key] for row in known}) or ["no"] for key in ("phrases", "asked"))
    words = sorted({row["words"] for row in known if row.get("words")}) or ["no"]
    command = f"python -m benchmarks.simpler --data FOLDER --limit {len(bench.phrases)} --hits {len(bench.asked)}"
    given = {"phrases": phrases, "asked": asked, "words": words}
    texts = {key: " or ".join(map(str, values)) for key, values in given.items()}
    return _OPENING.format(**texts, command=command + " --healed FOLDER" * bool(bench.healed))


def _section(opening: str, name: str, folder: Path, lines: Sequence[str]) -> Iterator[str]:
    yield opening
    if not lines:
        yield "Nothing was measured.\n"
        return
    path = picture(folder, name)
    yield f"![{opening.splitlines()[0].lstrip('# ')}]({path.name})\n"
    table, *sentences = lines
    yield table
    if sentences:
        yield "".join(f"- {sentence[0].upper()}{sentence[1:]}\n" for sentence in sentences)


# The four tables, each with its sentences


def _parameters(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    cells = [
        [row["model"], _size(row["parameters"]), _ranged(row["bits"], row["bits_ci95"]), _hit(row)] for row in rows
    ]
    by_model = {row["model"]: row for row in rows}
    pairs = [(SMALL, BASE), (SMALL, ADAPTED), (NGRAM, SMALL), (NGRAM, BASE), (ADAPTED, BASE)]
    known = [(by_model[a], by_model[b]) for a, b in pairs if a in by_model and b in by_model]
    return [_table(["model", "parameters", "bits/char", "hits, 5 words"], cells), *(_compared(a, b) for a, b in known)]


def _compared(one: Row, other: Row) -> str:
    share = one["parameters"] / other["parameters"]
    size = "" if share == 1 else f" has {100 * share:.2g} % of the parameters of {other['model']} and"
    text = f"{one['model']}{size} needs {_bits(one['bits'], other['bits'], other['model'])}"
    if one.get("hit") is None or other.get("hit") is None:
        return f"{text}."
    return f"{text}; its 5 words hold the next one {_points(one['hit'], other['hit'])}."


def _depth(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    cells = [
        [row["blocks"], row["model"], _size(row["parameters"]), _ranged(row["bits"], row["bits_ci95"]), _hit(row)]
        for row in rows
    ]
    table = _table(["blocks", "model", "parameters", "bits/char", "hits, 5 words"], cells)
    most = max(row["blocks"] for row in rows)
    whole = {row["model"]: row for row in rows if row["blocks"] == most}
    sentences = [_lost(row, whole) for row in rows if row is not whole.get(CUT)] if CUT in whole else []
    return [table, *sentences]


def _lost(row: Row, whole: Mapping[str, Row]) -> str:
    """A model of fewer blocks against the whole one, healed against healed where that is there."""
    full, name = whole[CUT], f"all {whole[CUT]['blocks']}"
    if row["model"] == HEALED and whole.get(HEALED, row) is not row:
        full, name = whole[HEALED], f"{name} with one"
    healed = " with a healed LoRA" * (row["model"] == HEALED)
    return (
        f"Keeping {row['blocks']} of {full['blocks']} blocks{healed} takes {_bits(row['bits'], full['bits'], name)}; "
        f"the next word is among 5 offered {_points(row['hit'], full['hit'])}."
    )


def _context(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    cells = [
        [row["model"], f"{row['limit']:,}", row["tokens"], row["lines"], _ranged(row["bits"], row["bits_ci95"])]
        for row in rows
    ]
    table = _table(["model", "tokens at most", "tokens", "lines", "bits/char"], cells)
    sentences = []
    for before, row in pairwise(rows):
        if before["model"] == row["model"]:
            change = _bits(row["bits"], before["bits"], f"{before['limit']:,} tokens")
            sentences.append(f"{row['model']}, {row['limit']:,} tokens: {change}.")
    return [table, *sentences]


def _words(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    ranks = list(rows[0]["rates"])
    cells = [
        [row["model"], *(_ranged(row["rates"][k], ends, 100) for k, ends in zip(ranks, row["rates_ci95"], strict=True))]
        for row in rows
    ]
    table = _table(["model", *(f"{rank} offered" for rank in ranks)], cells)
    sentences = []
    for row in rows:
        gains = [f"from {a} to {b} offered, {_points(row['rates'][b], row['rates'][a])}" for a, b in pairwise(ranks)]
        sentences.append(f"{row['model']}: {'; '.join(gains)}.")
    return [table, *sentences, *_equals(rows, ranks)]


def _equals(rows: Sequence[Row], ranks: Sequence[str]) -> Iterator[str]:
    """How many words a model has to offer to hit as often as a better one does with fewer."""
    for one in rows:
        for other in rows:
            for rank in ranks[1:-1]:
                wanted = other["rates"][rank]
                if one["rates"][rank] >= wanted:
                    continue
                enough = next((k for k in ranks if one["rates"][k] >= wanted), None)
                answer = f"with {enough} words" if enough else f"not even with {ranks[-1]} words"
                hit = f"{other['model']} hits {100 * wanted:.0f} % with {rank} words"
                yield f"{hit}; {one['model']} reaches that {answer}."


# Figures as text


def _ranged(value: float, ends: Sequence[float], scale: int = 1) -> str:
    if scale == 1:
        return f"{value:.3f} [{ends[0]:.3f}, {ends[1]:.3f}]"
    return f"{scale * value:.0f} % [{scale * ends[0]:.0f}, {scale * ends[1]:.0f}]"


def _hit(row: Row) -> str:
    return "-" if row.get("hit") is None else _ranged(row["hit"], row["hit_ci95"], 100)


def _size(parameters: int) -> str:
    return f"{parameters / 1e6:.3g} M"


def _bits(one: float, other: float, name: str) -> str:
    """How two needs compare.

    >>> _bits(0.96, 1.0, "a")
    '4.0 % fewer bits per character than a'
    >>> _bits(2.2, 1.0, "a")
    '2.2 times the bits per character of a'
    """
    ratio = one / other
    if ratio >= _FAR:
        return f"{ratio:.1f} times the bits per character of {name}"
    return f"{100 * abs(ratio - 1):.1f} % {'more' if ratio > 1 else 'fewer'} bits per character than {name}"


def _points(one: float, other: float) -> str:
    """How two shares compare.

    >>> _points(0.4, 0.5)
    '10 points less often (40 % against 50 %)'
    """
    part = round(100 * (one - other))
    texts = f"({100 * one:.0f} % against {100 * other:.0f} %)"
    if not part:
        return f"as often {texts}"
    return f"{abs(part)} point{'s' * (abs(part) > 1)} {'more' if part > 0 else 'less'} often {texts}"


def _table(columns: Sequence[str], cells: Sequence[Sequence[object]]) -> str:
    lines = [columns, ["---"] * len(columns), *cells]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)
