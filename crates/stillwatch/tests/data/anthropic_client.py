"""The official Anthropic client against a gateway: ANTHROPIC_CLIENT.py BASE_URL MODEL [REQUESTS]

Prints one JSON line of what it saw; raises where anything isn't as the API says.
"""

import json
import sys

import anthropic

base, model = sys.argv[1], sys.argv[2]
requests = int(sys.argv[3]) if len(sys.argv) > 3 else 0
client = anthropic.Anthropic(base_url=base, api_key="sk-ant-python", max_retries=0, timeout=300)
seen = {"client": anthropic.__version__}
# This client has no such argument any more; servers of other makers still know it.
GREEDY = {"temperature": 0}

question = [{"role": "user", "content": "Name a colour and say where one sees it."}]
answer = client.messages.create(
    model=model, messages=question, max_tokens=12, system="Answer shortly.", extra_body=GREEDY)
assert answer.type == "message" and answer.content[0].text, answer
assert answer.usage.output_tokens > 0, answer
seen["message"] = answer.content[0].text

with client.messages.stream(
        model=model, messages=question, max_tokens=12, system="Answer shortly.",
        extra_body=GREEDY) as stream:
    streamed = "".join(stream.text_stream)
    final = stream.get_final_message()
assert streamed == seen["message"], (streamed, seen["message"])
assert final.stop_reason in ("end_turn", "max_tokens"), final

try:
    client.messages.create(model=model, messages="no list", max_tokens=3)
    raise AssertionError("a bad request was answered")
except anthropic.BadRequestError as error:
    seen["error"] = error.status_code

receipts = 0
for number in range(requests):
    raw = client.messages.with_raw_response.create(
        model=model, max_tokens=24,
        messages=[{"role": "user", "content": f"Write a line about the month number {number}."}])
    receipts += "stillwatch-receipt" in raw.headers
    assert raw.parse().content, number
seen["receipts"] = receipts
print(json.dumps(seen))
