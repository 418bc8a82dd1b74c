"""Makes a tiny model of a real architecture: Qwen3, 4 layers, random weights, and a tokenizer whose every id is a word.

    model.py FOLDER

Both engines load the same weights from one safetensors file (with --load-format dummy each would draw its own, and their
outputs could not be compared). The tokenizer is a word list: every id decodes to its own three visible letters, so that
no streamed token is empty or merges with its neighbour, and the special ids are the last three.
"""

import json
import pathlib
import string
import sys

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

SEED = 20261123
VOCABULARY = 4096
LETTERS = string.ascii_letters + string.digits
CONFIG = {
    "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "torch_dtype": "bfloat16",
    "hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 64,
    "vocab_size": VOCABULARY, "max_position_embeddings": 4096, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0, "hidden_act": "silu",
    "attention_bias": False, "tie_word_embeddings": False, "initializer_range": 0.02,
    "bos_token_id": VOCABULARY - 2, "eos_token_id": VOCABULARY - 1,
}


def word(i):
    return LETTERS[i % 62] + LETTERS[i // 62 % 62] + LETTERS[i // 62 // 62]


def make_tokenizer(folder):
    special = ["<unk>", "<bos>", "<eos>"]
    words = [word(i) for i in range(VOCABULARY - len(special))] + special
    tokenizer = Tokenizer(WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>", "bos_token": "<bos>", "eos_token": "<eos>",
        "model_max_length": CONFIG["max_position_embeddings"], "clean_up_tokenization_spaces": False,
        "chat_template": "{% for m in messages %}{{ m['content'] }} {% endfor %}",
    }, indent=1))


def make_weights(folder):
    draw = torch.Generator().manual_seed(SEED)
    hidden, inner, head = CONFIG["hidden_size"], CONFIG["intermediate_size"], CONFIG["head_dim"]
    queries, keys = CONFIG["num_attention_heads"] * head, CONFIG["num_key_value_heads"] * head

    def normal(*shape, std=CONFIG["initializer_range"]):
        return (torch.randn(*shape, generator=draw) * std).to(torch.bfloat16)

    def ones(n):
        return torch.ones(n, dtype=torch.bfloat16)

    weights = {"model.embed_tokens.weight": normal(VOCABULARY, hidden, std=1.0), "lm_head.weight": normal(VOCABULARY, hidden), "model.norm.weight": ones(hidden)}
    for i in range(CONFIG["num_hidden_layers"]):
        layer = {
            "self_attn.q_proj": normal(queries, hidden), "self_attn.k_proj": normal(keys, hidden), "self_attn.v_proj": normal(keys, hidden),
            "self_attn.o_proj": normal(hidden, queries), "self_attn.q_norm": ones(head), "self_attn.k_norm": ones(head),
            "mlp.gate_proj": normal(inner, hidden), "mlp.up_proj": normal(inner, hidden), "mlp.down_proj": normal(hidden, inner),
            "input_layernorm": ones(hidden), "post_attention_layernorm": ones(hidden),
        }
        weights |= {f"model.layers.{i}.{name}.weight": w for name, w in layer.items()}
    save_file(weights, str(folder / "model.safetensors"), metadata={"format": "pt"})


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=1))
    make_tokenizer(folder)
    make_weights(folder)


if __name__ == "__main__":
    main()
