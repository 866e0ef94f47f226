"""The official OpenAI client against a gateway: OPENAI_CLIENT.py BASE_URL [REQUESTS]

Prints one JSON line of what it saw; raises where anything isn't as the API says.
"""

import json
import sys

import openai

base, requests = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0
client = openai.OpenAI(base_url=base + "/v1", api_key="sk-python-client", max_retries=0, timeout=300)
seen = {"client": openai.__version__}

model = client.models.list().data[0].id
seen["model"] = model

question = [{"role": "user", "content": "Name a colour and say where one sees it."}]
answer = client.chat.completions.create(
    model=model, messages=question, max_tokens=12, temperature=0)
assert answer.choices[0].message.content, answer
assert answer.usage.completion_tokens > 0, answer
seen["chat"] = answer.choices[0].message.content

# Streamed, with usage at the end; greedy, so that it must say the same.
streamed, usage = "", None
for chunk in client.chat.completions.create(
        model=model, messages=question, max_tokens=12, temperature=0, stream=True,
        stream_options={"include_usage": True}):
    if chunk.choices:
        streamed += chunk.choices[0].delta.content or ""
    usage = chunk.usage or usage
assert streamed == seen["chat"], (streamed, seen["chat"])
assert usage is not None and usage.completion_tokens > 0, usage

text = client.completions.create(model=model, prompt="The sky is", max_tokens=4, temperature=0)
seen["completion"] = text.choices[0].text

response = client.responses.create(
    model=model, input="Name a fruit.", max_output_tokens=8, temperature=0)
assert response.output_text, response
seen["response"] = response.output_text

kinds = [event.type for event in client.responses.create(
    model=model, input="Name a fruit.", max_output_tokens=8, temperature=0, stream=True)]
assert kinds[0] == "response.created" and kinds[-1] in (
    "response.completed", "response.incomplete"), kinds

try:
    client.chat.completions.create(model=model, messages="no list")
    raise AssertionError("a bad request was answered")
except openai.BadRequestError as error:
    seen["error"] = error.status_code

# What may be exposed: every prompt is another one; half of them streamed.
things = ["river", "lamp", "violin", "harbour", "orchard", "glacier", "button", "market",
          "ladder", "meadow", "engine", "kettle", "island", "window", "compass", "bakery"]
receipts = 0
for number in range(requests):
    messages = [{"role": "user", "content":
                 f"Write a sentence about a {things[number % len(things)]}, number {number}."}]
    raw = client.chat.completions.with_raw_response.create(
        model=model, messages=messages, max_tokens=24, temperature=1, stream=number % 2 == 1)
    receipts += "stillwatch-receipt" in raw.headers
    if number % 2 == 1:
        text = "".join(c.choices[0].delta.content or "" for c in raw.parse() if c.choices)
    else:
        text = raw.parse().choices[0].message.content
    assert isinstance(text, str), text
seen["receipts"] = receipts
print(json.dumps(seen))
