"""``volition propose``: what the generator offers after a text."""

from __future__ import annotations

import math
from typing import Annotated, Any

import typer

from volition.cli import show


def propose(
    text: Annotated[str, typer.Argument(help="What has been written so far; may be empty.")] = "",
    options: Annotated[int, typer.Option("--options", "-k", help="How many to offer.", min=1, max=8)] = 5,
    words: Annotated[int, typer.Option(help="Most words of an option.", min=1, max=8)] = 3,
    model: Annotated[str, typer.Option("--model", "-m", help="A .gguf file or a known model.")] = "smollm2-135m",
    turn: Annotated[list[str] | None, typer.Option(help="What was said before, oldest first; repeat.")] = None,
    adapter: show.Adapters = None,
    half_typed: Annotated[bool, typer.Option("--half-typed", help="The last word is not complete.")] = False,
    threads: Annotated[int, typer.Option(help="Of the language model; 0 chooses.", min=0)] = 0,
    json: show.Json = False,
) -> None:
    """Offer continuations of a text, with probabilities and what they cost.

    Examples:

      volition propose "I would like" -k 5

      volition propose "it was" --turn "how was your day?" --json
    """
    from volition.nodes.text.find import chosen_adapters
    from volition.nodes.text.process import ModelProcess
    from volition.nodes.text.proposals import Limits
    from volition.nodes.text.proposer import FALLBACK, Settings
    from volition.nodes.text.requests import Request
    from volition.nodes.text.steering import Steering

    with show.sentences():
        steering = Steering.of(chosen_adapters(model, adapter))
        request = Request(text, half_typed, tuple(turn or ()), steering=steering)
        settings = Settings(model, Limits(k=options, n_words=words), threads, explain=True, steering=steering)
        process = ModelProcess(settings, deadline=None, ahead=False)
        try:
            answer = process.ask(request, timed=True)
        finally:
            process.close()
        for sentence in process.idle:
            show.say(f"note: {sentence}")
        if answer.model == FALLBACK:
            show.fail(answer.problem, 2)
        offered = [
            {
                "text": o.text,
                "logp": o.log_probability,
                "p": math.exp(o.log_probability),
                "why": dict(o.why),
            }
            for o in answer.options
        ]
        result: dict[str, Any] = {
            "options": offered,
            "covered_mass": answer.covered_mass,
            "p_none": answer.p_none,
            "ms": process.ms["cached"],
            "ms_cold": process.ms["cold"],
            "ms_cached": process.ms["cached"],
            "model": model,
            "adapters": dict(steering.adapters),
        }
        show.result(result, json, _table(text, result))


def _table(text: str, result: dict[str, Any]) -> str:
    lines = [f"{option['p']:6.1%}  {text}|{option['text']}" for option in result["options"]]
    lines.append(f"{result['p_none']:6.1%}  none of these")
    lines.append(f"covered {result['covered_mass']:.1%}; {result['ms_cached']:.0f} ms, {result['ms_cold']:.0f} ms cold")
    return "\n".join(lines)
