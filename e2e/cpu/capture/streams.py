"""Raw answers of the endpoints that the load client speaks to: head and body, as they came."""

import json
import re
import socket

import engines as e

PROMPT = [(7 * i) % 4000 + 1 for i in range(12)]
USAGE = {"include_usage": True}


def completions(**more):
    return "/v1/completions", {"model": e.SERVED, "prompt": PROMPT, "temperature": 0, "ignore_eos": True, "seed": 1, **more}


def chat(**more):
    messages = [{"role": "user", "content": "aa bb cc"}]
    return "/v1/chat/completions", {"model": e.SERVED, "messages": messages, "temperature": 0, "ignore_eos": True, "seed": 1, **more}


def cases():
    """Name → endpoint and body; the bodies are those of internal/bench, and some that a server must refuse."""
    stream = {"stream": True, "stream_options": USAGE}
    return {
        "completion": completions(max_tokens=6, stream=False),
        "completion_stream": completions(max_tokens=6, **stream),
        "completion_stream_one": completions(max_tokens=1, **stream),
        "completion_stream_logprobs": completions(max_tokens=3, logprobs=1, **stream),
        "completion_stream_no_usage": completions(max_tokens=3, stream=True),
        "completion_text": ("/v1/completions", {
            "model": e.SERVED, "prompt": "aa bb cc", "max_tokens": 3, "temperature": 0, "ignore_eos": True, **stream}),
        "chat": chat(max_tokens=6, stream=False),
        "chat_stream": chat(max_tokens=6, **stream),
        "chat_stream_one": chat(max_tokens=1, **stream),
        "chat_stream_logprobs": chat(max_tokens=3, logprobs=True, **stream),
        "too_long": ("/v1/completions", {
            "model": e.SERVED, "prompt": [5] * (e.CONTEXT + 100), "max_tokens": 6, "temperature": 0, "ignore_eos": True, **stream}),
        "too_much_wanted": completions(max_tokens=e.CONTEXT + 100, **stream),
        "unknown_model": ("/v1/completions", {"model": "other", "prompt": PROMPT, "max_tokens": 2, **stream}),
        "no_tokens": completions(max_tokens=0, **stream),
        "bad_json": ("/v1/completions", "{\"model\": "),
        "unknown_path": ("/v1/nothing", {}),
    }


# UNKNOWN_ID is a token that the vocabulary does not hold: vLLM refuses it, SGLang dies of it.
UNKNOWN_ID = ("/v1/completions", {"model": e.SERVED, "prompt": [5, 9999999], "max_tokens": 2, "stream": True})


def generate():
    """SGLang's own endpoint."""
    ask = {"input_ids": PROMPT, "sampling_params": {"max_new_tokens": 5, "ignore_eos": True, "temperature": 0}}
    return {"generate": ("/generate", {**ask, "stream": False}), "generate_stream": ("/generate", {**ask, "stream": True}),
            "generate_stream_logprobs": ("/generate", {**ask, "stream": True, "return_logprob": True})}


def raw(port, path, body, limit=120):
    """One request on a connection of its own; every byte of the answer."""
    text = body if isinstance(body, str) else json.dumps(body)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nAccept: */*\r\nConnection: close\r\nContent-Length: {len(text)}\r\n\r\n"
    out = b""
    with socket.create_connection(("127.0.0.1", port), timeout=limit) as s:
        s.sendall((head + text).encode())
        try:
            while piece := s.recv(1 << 16):
                out += piece
        except ConnectionResetError:
            pass
    return out


def resized(answer):
    """An answer whose length is told again: scrubbing may have changed it."""
    head, blank, body = answer.partition("\r\n\r\n")
    return re.sub(r"(?i)(content-length: )\d+", lambda m: m[1] + str(len(body.encode())), head) + blank + body


def capture(engines, server, suffix=""):
    """Writes sse/<engine>/<case>.http and what was asked."""
    asked = {}
    every = {**cases(), **(generate() if server.engine == "sglang" else {})}
    if suffix:
        every = {k: v for k, v in every.items() if k in ("completion_stream", "chat_stream", "generate_stream")}
    for name, (path, body) in every.items():
        answer = resized(engines.scrub(raw(server.port, path, body).decode()))
        with open(engines.path("sse", server.engine, name + suffix + ".http"), "w", encoding="utf-8", newline="") as f:
            f.write(answer)
        asked[name + suffix] = {"path": path, "want": body.get("max_tokens") if isinstance(body, dict) else None}
    return asked
