"""Who puts an explanation into words: a template, or a language model that is asked to.

A narrator is a function from the facts to a text. `template` needs nothing and never adds anything. `endpoint` asks a
server that speaks OpenAI's protocol, wherever it stands, and `local` a model of transformers. The two can make things
up, so whatever they say is held against the attribution (`glassbox.wording`) before anybody reads it.

What it can't tell you: anything that is not in the facts. A narrator that sounds sure has not looked into the model.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from glassbox.attribution import Attribution
from glassbox.counterfactual import Counterfactual
from glassbox.errors import InputError, ModelError
from glassbox.telling.wording import Wording, important_words, wording

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MOST_BYTES = 1_000_000
MOST_TOKENS = 200


@dataclass(frozen=True)
class Facts:
    """What may be said: the text, the model's answer, the words in front, and what would change the answer."""

    text: str
    answer: str
    important: Sequence[str]
    changed: tuple[str, str] | None = None  # the counterfactual text, and the answer to it


Narrator = Callable[[Facts], str]


def facts(
    tokenizer: PreTrainedTokenizerBase, text: str, attribution: Attribution, change: Counterfactual | None = None
) -> Facts:
    """The facts of one decision, from an attribution and, where one was found, the smallest change of the text."""
    changed = None
    if change is not None:
        changed = (tokenizer.decode(change.ids, skip_special_tokens=True).strip(), change.instead.strip())
    return Facts(text, attribution.target_token.strip(), important_words(attribution, tokenizer), changed)


def narrate(known: Facts, narrator: Narrator | None = None) -> tuple[str, Wording]:
    """An explanation in words, and what came of holding it against the attribution."""
    said = (narrator or template)(known)
    return said, wording(said, known.important, allowed=(known.answer, *(known.changed or ())))


def template(known: Facts) -> str:
    """The explanation from a form: always there, always the same, and never more than the facts."""
    words = [f'"{word}"' for word in known.important]
    listed = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
    said = [f'The model answered "{known.answer}". The words that counted most for it are {listed}.']
    if known.changed is not None:
        said.append(f'Had the text been "{known.changed[0]}", it would have answered "{known.changed[1]}".')
    return " ".join(said)


def endpoint(address: str, model: str, *, key: str | None = None, seconds: float = 60) -> Narrator:
    """A narrator behind an OpenAI-compatible address such as "http://localhost:11434/v1".

    seconds:  how long the whole answer may take.

    The narrator raises ModelError where no answer comes, or one that can't be read, and says which.
    """
    if not address.startswith(("http://", "https://")):
        raise InputError(f"the address is {address!r}; allowed: one that starts with http:// or https://")

    def narrator(known: Facts) -> str:
        question = {"model": model, "temperature": 0, "max_tokens": MOST_TOKENS, "messages": _messages(known)}
        body = _posted(f"{address.rstrip('/')}/chat/completions", question, key, seconds)
        try:
            said = json.loads(body)["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError):
            shown = body[:100].decode(errors="replace")
            raise ModelError(f"{address} gave an answer that is no chat completion; it starts with {shown!r}") from None
        if not isinstance(said, str) or not said.strip():
            raise ModelError(f"{address} answered without a text")
        return said.strip()

    return narrator


def local(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Narrator:
    """A narrator that runs here: a causal model of transformers, its most probable words one after the other."""

    def narrator(known: Facts) -> str:
        messages = _messages(known)
        if getattr(tokenizer, "chat_template", None):
            ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
        else:
            ids = tokenizer("\n".join(message["content"] for message in messages))["input_ids"]
        ids = torch.tensor([ids], device=model.device)  # (1, seq)
        room = getattr(model.config, "max_position_embeddings", None)
        if room is not None and ids.shape[1] + MOST_TOKENS > room:
            raise ModelError(f"this narrator reads {room} tokens; the question and its answer need more")
        with torch.no_grad():
            written = model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=MOST_TOKENS, do_sample=False,
                pad_token_id=tokenizer.eos_token_id,
            )  # fmt: skip
        said = tokenizer.decode(written[0, ids.shape[1] :], skip_special_tokens=True).strip()
        if not said:
            raise ModelError("this narrator answered without a text")
        return said

    return narrator


def _messages(known: Facts) -> list[dict[str, str]]:
    listed = ", ".join(f'"{word}"' for word in known.important)
    lines = [f'A language model read: "{known.text}"', f'It answered: "{known.answer}"']
    lines.append(f"An attribution method found these words to count most, the most important first: {listed}")
    if known.changed is not None:
        lines.append(f'For the text "{known.changed[0]}" it would have answered "{known.changed[1]}".')
    task = (
        "Explain the answer to somebody who has never heard of language models, in two or three plain sentences. Use "
        "only the facts given. Put each word of the text that you name in double quotation marks, name all of the "
        "important words, and put nothing else in quotation marks."
    )
    return [{"role": "system", "content": task}, {"role": "user", "content": "\n".join(lines)}]


def _posted(address: str, question: dict[str, Any], key: str | None, seconds: float) -> bytes:
    import httpx

    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    slow = ModelError(f"{address} did not answer within {seconds:g} seconds; allow more, or look at the server")
    deadline, body = time.monotonic() + seconds, b""
    try:
        with httpx.stream("POST", address, json=question, headers=headers, timeout=seconds) as answer:
            for piece in answer.iter_bytes():
                body += piece
                if time.monotonic() > deadline:
                    raise slow
                if len(body) > MOST_BYTES:
                    raise ModelError(f"{address} answered with more than {MOST_BYTES} bytes")
    except httpx.TimeoutException:
        raise slow from None
    except httpx.HTTPError as error:
        raise ModelError(f"{address} can't be reached ({error}); is the server running there?") from None
    if answer.status_code != 200:
        shown = body[:200].decode(errors="replace")
        raise ModelError(f"{address} refused with status {answer.status_code}: {shown!r}")
    return body
