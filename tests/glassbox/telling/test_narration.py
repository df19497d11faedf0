"""Explanations in words: from the form, from a server that answers well, badly, late or never, from a model here."""

import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from transformers import GPT2Config, GPT2LMHeadModel

import glassbox as gb
from glassbox.errors import InputError, ModelError
from glassbox.telling import narration

FACTS = narration.Facts(
    "the film was superb despite a weak plot", "positive", ["superb", "despite"], ("the film was dull", "negative")
)


class Server:
    """A stand-in for a language model's server, which keeps what it was asked."""

    def __init__(self, answer):
        self.asked = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked.append((self.path, self.headers, json.loads(body)))
                answer(self)

            def log_message(self, *words):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.http.server_port}/v1"

    def __enter__(self):
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.http.shutdown()
        self.http.server_close()


def saying(body: bytes, status: int = 200):
    def answer(request):
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


def completion(text) -> bytes:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()


def drip(request):
    """A byte now and then: no pause is long, the whole is."""
    request.send_response(200)
    request.end_headers()
    try:
        for _ in range(100):
            request.wfile.write(b" ")
            request.wfile.flush()
            time.sleep(0.1)
    except OSError:
        pass


def test_the_form_names_all_words_and_nothing_else():
    said, checked = narration.narrate(FACTS)
    assert said == (
        'The model answered "positive". The words that counted most for it are "superb" and "despite". '
        'Had the text been "the film was dull", it would have answered "negative".'
    )
    assert checked.holds


def test_the_facts_come_from_the_attribution_and_the_change(smallworld_model):
    model, tokenizer = smallworld_model
    text = "The Eiffel Tower is located in the city of"
    explained = gb.explain(model, tokenizer, text, method="gradient")
    change = gb.counterfactual(model, tokenizer, text, choices={2: [" Gold"]}, most=1)
    known = narration.facts(tokenizer, text, explained, change)
    assert known.answer == "Paris" and "Eiffel" in known.important and "<|start|>" not in known.important
    assert known.changed == ("The Gold Tower is located in the city of", change.instead.strip())
    assert narration.narrate(known)[1].holds
    assert narration.facts(tokenizer, text, explained).changed is None


def test_a_server_that_answers():
    with Server(saying(completion(' Because of "superb" and "despite". '))) as server:
        said, checked = narration.narrate(FACTS, narration.endpoint(server.address, "some-model", key="a key"))
    assert said == 'Because of "superb" and "despite".' and checked.holds
    ((path, headers, question),) = server.asked
    assert path == "/v1/chat/completions" and headers["Authorization"] == "Bearer a key"
    assert question["model"] == "some-model" and question["temperature"] == 0
    told = question["messages"][1]["content"]
    assert all(word in told for word in (FACTS.text, FACTS.answer, *FACTS.important, *FACTS.changed))


def test_what_it_makes_up_is_seen():
    with Server(saying(completion('Because of "superb" and the "brilliant" cast.'))) as server:
        _, checked = narration.narrate(FACTS, narration.endpoint(server.address, "some-model"))
    assert (checked.missed, checked.unsupported) == (("despite",), ("brilliant",))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (saying(b"<html>not json"), "no chat completion; it starts with '<html>not json'"),
        (saying(b'{"choices": []}'), "no chat completion"),
        (saying(b"[1]"), "no chat completion"),
        (saying(completion(None)), "without a text"),
        (saying(completion("  ")), "without a text"),
        (saying(b"no such model", 404), "status 404: 'no such model'"),
        (saying(b" " * 1_000_001), "more than 1000000 bytes"),
        (drip, "did not answer within 0.5 seconds"),
        (lambda request: time.sleep(2), "did not answer within 0.5 seconds"),
        (lambda request: request.connection.close(), "can't be reached"),
    ],
    ids=["page", "empty", "list", "none", "blank", "refused", "flood", "drip", "silence", "hung up"],
)
def test_a_server_that_does_not(answer, words):
    begun = time.monotonic()
    with Server(answer) as server, pytest.raises(ModelError, match=words):
        narration.endpoint(server.address, "some-model", seconds=0.5)(FACTS)
    assert time.monotonic() - begun < 10


def test_nobody_there():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with pytest.raises(ModelError, match="can't be reached .* is the server running there"):
            narration.endpoint(address, "some-model", seconds=5)(FACTS)


def test_an_address_that_is_none():
    with pytest.raises(InputError, match="starts with http"):
        narration.endpoint("localhost:11434", "some-model")


def test_a_model_that_runs_here(tokenizer):
    """A random model writes nothing worth reading; it is asked, it answers, and its answer is checked."""
    sizes = dict(n_positions=2048, n_embd=16, n_layer=1, n_head=2, vocab_size=len(tokenizer))
    model = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)).eval()
    said, checked = narration.narrate(FACTS, narration.local(model, tokenizer))
    assert said and checked.missed == ("superb", "despite")
    assert said == narration.local(model, tokenizer)(FACTS), "the most probable words, so the same each time"


def test_a_model_whose_window_is_too_short(build, tokenizer):
    with pytest.raises(ModelError, match="need more"):
        narration.local(build("gpt2"), tokenizer)(FACTS)
