"""LRP a second time: layer by layer, rule by rule, with neither autograd nor hooks, from the weights of the model.

Each function runs a model forward, keeps what each operation read and gave, and walks back through the same list with
relevance in hand. It returns the relevance of every embedding that the model added up, (seq, width) each.
"""

from types import SimpleNamespace as Kept

import torch
from torch.nn import functional as F

from glassbox.relevance_rules import (
    gate_rule,
    layer_norm_rule,
    linear_rule,
    matmul_rule,
    residual_rule,
    rotary_rule,
    softmax_rule,
    weighted_sum_rule,
)


@torch.no_grad()
def relevance_by_hand(model, ids, start, rule, epsilon):
    """Relevance of the embeddings by name, for relevance `start` at the logits (seq, vocabulary) or (classes,)."""
    walk = {"gpt2": _gpt2, "bert": _bert}.get(model.config.model_type, _llama)
    return walk(model, ids, start, rule, epsilon)


def _attention(q, k, v, scaling, window=None, causal=True, softcap=None):
    """Queries (head, seq, dim), keys and values (group, seq, dim), as they are multiplied."""
    seq, repeats = q.shape[1], q.shape[0] // k.shape[0]
    kept = Kept(repeats=repeats, scaling=scaling, q=q * scaling)
    kept.k, kept.v = (shared.repeat_interleave(repeats, dim=0) for shared in (k, v))
    kept.scores = kept.q @ kept.k.mT  # (head, query, key)
    if softcap is not None:
        kept.scores = softcap * (kept.scores / softcap).tanh()
    distance = torch.arange(seq)[:, None] - torch.arange(seq)
    seen = (distance >= 0) & (distance < (window or seq)) if causal else torch.ones(seq, seq, dtype=torch.bool)
    kept.weights = kept.scores.masked_fill(~seen, -torch.inf).softmax(-1)
    return kept.weights @ kept.v, kept  # (head, query, dim)


def _attention_back(kept, relevance, rule, epsilon):
    """Relevance of queries, keys and values, for that of their weighted sum (head, query, dim)."""
    if rule == "cp":
        of_values = weighted_sum_rule(kept.weights, kept.v, relevance, epsilon)
        of_queries, of_keys = torch.zeros_like(kept.q), torch.zeros_like(kept.k)
    else:
        of_weights, of_values = matmul_rule(kept.weights, kept.v, relevance, epsilon)
        of_scores = softmax_rule(kept.scores, kept.weights, of_weights)
        # A soft cap is an activation: the product before it has the same relevance.
        of_queries, of_keys = matmul_rule(kept.q, kept.k.mT, of_scores, epsilon)
        of_keys = of_keys.mT
    return of_queries, *(
        shared.unflatten(0, (-1, kept.repeats)).sum(dim=1) for shared in (of_keys, of_values)
    )  # (head, seq, dim) and twice (group, seq, dim)


def _split(x, heads):
    return x.unflatten(-1, (heads, -1)).transpose(0, 1)  # (head, seq, dim)


def _join(x):
    return x.transpose(0, 1).flatten(1)  # (seq, head · dim)


def _norm(module, x):
    return F.layer_norm(x, x.shape[-1:], module.weight, module.bias, module.eps)


def _norm_back(module, x, relevance, epsilon):
    return layer_norm_rule(x, module.weight, module.bias, relevance, epsilon, module.eps)


def _linear(module, x):
    return F.linear(x, module.weight, module.bias)


def _linear_back(module, x, relevance, epsilon):
    return linear_rule(x, module.weight, module.bias, relevance, epsilon)


def _conv(module, x):
    return x @ module.weight + module.bias


def _conv_back(module, x, relevance, epsilon):
    return linear_rule(x, module.weight.T, module.bias, relevance, epsilon)


def _gpt2(model, ids, start, rule, epsilon):
    base, layers = model.transformer, []
    words, places = base.wte.weight[ids[0]], base.wpe.weight[: ids.shape[1]]
    x = words + places
    for block in base.h:
        kept = Kept(block=block, x=x, normed=_norm(block.ln_1, x))
        q, k, v = (_split(part, block.attn.num_heads) for part in _conv(block.attn.c_attn, kept.normed).chunk(3, -1))
        mixed, kept.attention = _attention(q, k, v, block.attn.scaling)
        kept.mixed = _join(mixed)
        kept.attended = _conv(block.attn.c_proj, kept.mixed)
        kept.middle = x + kept.attended
        kept.read = _norm(block.ln_2, kept.middle)
        kept.active = block.mlp.act(_conv(block.mlp.c_fc, kept.read))
        kept.written = _conv(block.mlp.c_proj, kept.active)
        x = kept.middle + kept.written
        layers.append(kept)
    head = model.lm_head if hasattr(model, "lm_head") else model.score
    relevance = _linear_back(head, _norm(base.ln_f, x), start, epsilon)
    relevance = _norm_back(base.ln_f, x, relevance, epsilon)
    for kept in reversed(layers):
        block = kept.block
        straight, written = residual_rule(kept.middle, kept.written, relevance, epsilon)
        active = _conv_back(block.mlp.c_proj, kept.active, written, epsilon)
        read = _conv_back(block.mlp.c_fc, kept.read, active, epsilon)
        middle = straight + _norm_back(block.ln_2, kept.middle, read, epsilon)
        straight, attended = residual_rule(kept.x, kept.attended, middle, epsilon)
        mixed = _conv_back(block.attn.c_proj, kept.mixed, attended, epsilon)
        qkv = _attention_back(kept.attention, _split(mixed, block.attn.num_heads), rule, epsilon)
        normed = _conv_back(block.attn.c_attn, kept.normed, torch.cat([_join(part) for part in qkv], -1), epsilon)
        relevance = straight + _norm_back(block.ln_1, kept.x, normed, epsilon)
    words, places = residual_rule(words, places, relevance, epsilon)
    return {"tokens": words, "positions": places}


def _llama(model, ids, start, rule, epsilon):
    """Llama, Qwen 2 and 3, Mistral, Gemma 2 and 3. RMSNorm hands relevance back as it came: it shows forward only."""
    base, kind, layers = model.model, model.config.model_type, []
    positions = torch.arange(ids.shape[1])[None]
    x = base.embed_tokens(ids)[0]  # (seq, width), scaled already in Gemma
    for number, block in enumerate(base.layers):
        attn, mlp, sandwich = block.self_attn, block.mlp, kind.startswith("gemma")
        local = model.config.layer_types[number] if kind == "gemma3_text" else None
        cos, sin = (each[0] for each in base.rotary_emb(x[None], positions, *([local] if local else [])))
        kept = Kept(block=block, x=x, normed=block.input_layernorm(x), cos=cos, sin=sin)
        q, k, v = (
            _linear(part, kept.normed).unflatten(-1, (-1, attn.head_dim)).transpose(0, 1)
            for part in (attn.q_proj, attn.k_proj, attn.v_proj)
        )
        if hasattr(attn, "q_norm"):
            q, k = attn.q_norm(q), attn.k_norm(k)
        kept.q, kept.k = q, k
        q, k = _turned(q, cos, sin), _turned(k, cos, sin)
        softcap = model.config.attn_logit_softcapping if kind == "gemma2" else None
        window = getattr(attn, "sliding_window", None)
        mixed, kept.attention = _attention(q, k, v, attn.scaling, window, softcap=softcap)
        kept.mixed = _join(mixed)
        attended = _linear(attn.o_proj, kept.mixed)
        kept.attended = block.post_attention_layernorm(attended) if sandwich else attended
        kept.middle = x + kept.attended
        kept.read = (block.pre_feedforward_layernorm if sandwich else block.post_attention_layernorm)(kept.middle)
        kept.gated = mlp.act_fn(_linear(mlp.gate_proj, kept.read)) * _linear(mlp.up_proj, kept.read)
        written = _linear(mlp.down_proj, kept.gated)
        kept.written = block.post_feedforward_layernorm(written) if sandwich else written
        x = kept.middle + kept.written
        layers.append(kept)
    relevance = _linear_back(model.lm_head, base.norm(x), start, epsilon)
    for kept in reversed(layers):
        block, attn, mlp = kept.block, kept.block.self_attn, kept.block.mlp
        straight, written = residual_rule(kept.middle, kept.written, relevance, epsilon)
        gated = _linear_back(mlp.down_proj, kept.gated, written, epsilon)
        gate, up = gate_rule(gated) if rule == "attnlrp" else (torch.zeros_like(gated), gated)
        read = _linear_back(mlp.gate_proj, kept.read, gate, epsilon) + _linear_back(mlp.up_proj, kept.read, up, epsilon)
        straight, attended = residual_rule(kept.x, kept.attended, straight + read, epsilon)
        mixed = _linear_back(attn.o_proj, kept.mixed, attended, epsilon)
        heads = len(kept.attention.q)
        of_q, of_k, of_v = _attention_back(kept.attention, _split(mixed, heads), rule, epsilon)
        of_q = rotary_rule(kept.q, kept.cos, kept.sin, of_q, epsilon)
        of_k = rotary_rule(kept.k, kept.cos, kept.sin, of_k, epsilon)
        parts = [(attn.q_proj, of_q), (attn.k_proj, of_k), (attn.v_proj, of_v)]
        normed = sum(_linear_back(part, kept.normed, _join(each), epsilon) for part, each in parts)
        relevance = straight + normed
    return {"tokens": relevance}


def _turned(x, cos, sin):
    half = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], dim=-1) * sin


def _bert(model, ids, start, rule, epsilon):
    base, layers = model.bert, []
    tables = base.embeddings
    words, places = tables.word_embeddings.weight[ids[0]], tables.position_embeddings.weight[: ids.shape[1]]
    types = tables.token_type_embeddings.weight[0].expand_as(words)
    x = _norm(tables.LayerNorm, words + types + places)
    for block in base.encoder.layer:
        attn, heads = block.attention, block.attention.self.num_attention_heads
        kept = Kept(block=block, x=x)
        q, k, v = (_split(_linear(part, x), heads) for part in (attn.self.query, attn.self.key, attn.self.value))
        mixed, kept.attention = _attention(q, k, v, attn.self.scaling, causal=False)
        kept.mixed = _join(mixed)
        kept.attended = _linear(attn.output.dense, kept.mixed)
        kept.middle = _norm(attn.output.LayerNorm, kept.attended + x)
        kept.active = block.intermediate.intermediate_act_fn(_linear(block.intermediate.dense, kept.middle))
        kept.written = _linear(block.output.dense, kept.active)
        x = _norm(block.output.LayerNorm, kept.written + kept.middle)
        layers.append(kept)
    if hasattr(model, "classifier"):
        pooled = _linear(base.pooler.dense, x[0]).tanh()
        relevance = torch.zeros_like(x)
        of_pooled = _linear_back(model.classifier, pooled, start, epsilon)
        relevance[0] = _linear_back(base.pooler.dense, x[0], of_pooled, epsilon)
    else:
        head = model.cls.predictions
        active = head.transform.transform_act_fn(_linear(head.transform.dense, x))
        relevance = _linear_back(head.decoder, _norm(head.transform.LayerNorm, active), start, epsilon)
        relevance = _norm_back(head.transform.LayerNorm, active, relevance, epsilon)
        relevance = _linear_back(head.transform.dense, x, relevance, epsilon)
    for kept in reversed(layers):
        block, attn = kept.block, kept.block.attention
        relevance = _norm_back(block.output.LayerNorm, kept.written + kept.middle, relevance, epsilon)
        written, straight = residual_rule(kept.written, kept.middle, relevance, epsilon)
        active = _linear_back(block.output.dense, kept.active, written, epsilon)
        middle = straight + _linear_back(block.intermediate.dense, kept.middle, active, epsilon)
        middle = _norm_back(attn.output.LayerNorm, kept.attended + kept.x, middle, epsilon)
        attended, straight = residual_rule(kept.attended, kept.x, middle, epsilon)
        mixed = _linear_back(attn.output.dense, kept.mixed, attended, epsilon)
        qkv = _attention_back(kept.attention, _split(mixed, attn.self.num_attention_heads), rule, epsilon)
        parts = zip((attn.self.query, attn.self.key, attn.self.value), qkv, strict=True)
        relevance = straight + sum(_linear_back(part, kept.x, _join(each), epsilon) for part, each in parts)
    relevance = _norm_back(tables.LayerNorm, words + types + places, relevance, epsilon)
    both, places = residual_rule(words + types, places, relevance, epsilon)
    words, types = residual_rule(words, types, both, epsilon)
    return {"tokens": words, "positions": places, "token types": types}
