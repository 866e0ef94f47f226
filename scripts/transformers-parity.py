#!/usr/bin/env python3
"""Compares a case's stored scores with those of `transformers` for the same model folder.

    pip install torch transformers
    scripts/transformers-parity.py MODEL_FOLDER EXPOSURES.jsonl CASE/scores.csv [N]

Renders the prompt by the folder's own chat template, tokenises the answer apart from it, sums the
log-probabilities of the answer's tokens in float64, and prints the largest difference to the scores that
`stillwatch audit` stored, over the first N exposures (default 50). Exit code 1 above 1e-3 nats per text.
"""
import csv, json, sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, exposures, scores = sys.argv[1:4]
n = int(sys.argv[4]) if len(sys.argv) > 4 else 50
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
stored = {row["id"]: row for row in csv.DictReader(open(scores))}


def log_likelihood(messages, answer):
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    head = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    tail = tokenizer(answer, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = model(torch.tensor([head + tail])).logits[0].double()
    picked = torch.log_softmax(logits, -1)[len(head) - 1 : -1]
    return picked[range(len(tail)), tail].sum().item(), len(tail)


worst, texts, worst_per_token = 0.0, 0, 0.0
for line in list(open(exposures))[:n]:
    exposure = json.loads(line)
    row = stored.get(exposure["id"])
    if row is None:
        continue
    names = ["withheld"] if "suspect_withheld" in row else [f"withheld_{i+1}" for i in range(len(exposure["withheld"]))]
    for name, answer in zip(["released"] + names, [exposure["released"]] + exposure["withheld"]):
        value, tokens = log_likelihood(exposure["messages"], answer)
        difference = abs(value - float(row[f"suspect_{name}"]))
        worst, worst_per_token, texts = max(worst, difference), max(worst_per_token, difference / tokens), texts + 1
print(f"{texts} texts: largest difference {worst:.2e} nats per text, {worst_per_token:.2e} per token")
sys.exit(0 if texts and worst < 1e-3 else 1)
