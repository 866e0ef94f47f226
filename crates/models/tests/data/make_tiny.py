"""Writes the tiny random models and their logits that tests/it/parity.rs compares with.

Run by hand, in crates/models/tests/data:  python make_tiny.py
Needs: pip install torch transformers tokenizers safetensors (versions in README.md here).
"""

import json
import pathlib

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

HERE = pathlib.Path(__file__).parent
SPECIAL = ["<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + "
    "message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SHARED = dict(
    vocab_size=260, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
    num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
    eos_token_id=257, bos_token_id=256,
)


def byte_tokenizer():
    """256 bytes, then the special tokens; no merges."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


def write(name, model, dtype):
    folder = HERE / name
    with torch.no_grad():
        for key, weight in model.named_parameters():
            # Far from the small first weights: attention and gates must be non-linear.
            if key.endswith("norm.weight"):
                weight.uniform_(0.5, 1.5)
            elif key.endswith("bias"):
                weight.uniform_(-0.5, 0.5)
            else:
                weight.normal_(0.0, 0.25)
    model = model.to(dtype)
    size = "60KB" if name.startswith("qwen2") else "5GB"
    model.save_pretrained(folder, max_shard_size=size)
    # Read back as a user would; `.to` would leave rounded rotary frequencies behind.
    model = type(model).from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = byte_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"bos_token": SPECIAL[0], "eos_token": SPECIAL[1], "chat_template": TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n")
    for extra in ["generation_config.json"]:
        (folder / extra).unlink(missing_ok=True)

    messages = [{"role": "user", "content": "Who goes there?"}]
    prompt = "<|im_start|>user\nWho goes there?<|im_end|>\n<|im_start|>assistant\n"
    answer = "Nobody, 'tis but the wind: \u00e9t\u00e9."
    ids = tokenizer.encode(prompt).ids
    answer_ids = tokenizer.encode(answer, add_special_tokens=False).ids
    with torch.no_grad():
        logits = model(torch.tensor([ids + answer_ids])).logits[0]
        greedy = model.generate(torch.tensor([ids]), max_new_tokens=12, do_sample=False,
                                pad_token_id=0)[0, len(ids):].tolist()
    steps = torch.log_softmax(logits.double(), dim=-1)
    scores = [steps[len(ids) - 1 + i, t].item() for i, t in enumerate(answer_ids)]
    expected = {
        "messages": messages,
        "answer": answer,
        "tokens": ids + answer_ids,
        "n_prompt": len(ids),
        # Every 7th position, all of the vocabulary.
        "logit_positions": list(range(0, len(logits), 7)),
        "logits": [[round(x, 5) for x in row] for row in logits[::7].tolist()],
        "token_log_likelihoods": scores,
        "greedy": tokenizer.decode(greedy, skip_special_tokens=True),
    }
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")


torch.manual_seed(20)
write("llama-tied-bf16", LlamaForCausalLM(LlamaConfig(tie_word_embeddings=True, **SHARED)), torch.bfloat16)
write("llama3-rope-f16", LlamaForCausalLM(LlamaConfig(
    tie_word_embeddings=False, attention_bias=True, head_dim=10, **SHARED,
    rope_parameters={"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0,
                  "high_freq_factor": 4.0, "original_max_position_embeddings": 64})), torch.float16)
write("qwen2-sharded-f32", Qwen2ForCausalLM(Qwen2Config(
    tie_word_embeddings=False, use_sliding_window=False, **SHARED)), torch.float32)
