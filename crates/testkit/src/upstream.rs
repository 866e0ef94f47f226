//! A model server that answers as told: OpenAI and Anthropic shapes, streams, faults.
