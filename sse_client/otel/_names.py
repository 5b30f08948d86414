"""
The names of attributes and metrics: those of the semantic conventions, which still change, and our own.

The GenAI conventions are in development. If they rename something, it changes here and nowhere else.
"""

from typing import Final

# General and HTTP conventions, which are stable.
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
METHOD: Final = "http.request.method"
PATH: Final = "url.path"
STATUS_CODE: Final = "http.response.status_code"
RESEND_COUNT: Final = "http.request.resend_count"
ERROR_TYPE: Final = "error.type"

# GenAI conventions.
OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
RESPONSE_ID: Final = "gen_ai.response.id"
RESPONSE_MODEL: Final = "gen_ai.response.model"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_write.input_tokens"
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
TYPE_OF_TOKENS: Final = "gen_ai.token.type"

GEN_AI_DURATION: Final = "gen_ai.client.operation.duration"
GEN_AI_TIME_TO_FIRST_CHUNK: Final = "gen_ai.client.operation.time_to_first_chunk"
GEN_AI_TIME_PER_CHUNK: Final = "gen_ai.client.operation.time_per_output_chunk"
GEN_AI_TOKENS: Final = "gen_ai.client.token.usage"

# Our own.
OUTCOME: Final = "sse_client.outcome"
EVENTS: Final = "sse_client.events"
UNKNOWN_EVENTS: Final = "sse_client.unknown_events"
COMMENTS: Final = "sse_client.comments"
BYTES: Final = "sse_client.bytes"
ATTEMPTS: Final = "sse_client.attempts"
CONNECTIONS: Final = "sse_client.connections"
TIME_TO_HEADERS: Final = "sse_client.time_to_headers"
TIME_TO_FIRST_EVENT: Final = "sse_client.time_to_first_event"
LONGEST_GAP: Final = "sse_client.longest_gap"
CLOCK: Final = "sse_client.clock"

RETRY: Final = "sse_client.retry"
RETRY_ATTEMPT: Final = "sse_client.attempt"
RETRY_DELAY: Final = "sse_client.delay"

DURATION: Final = "sse_client.stream.duration"
STREAM_TIME_TO_FIRST_EVENT: Final = "sse_client.stream.time_to_first_event"
TIME_PER_EVENT: Final = "sse_client.stream.time_per_event"
STREAM_EVENTS: Final = "sse_client.stream.events"
RETRIES: Final = "sse_client.stream.retries"
ACTIVE: Final = "sse_client.stream.active"

# The conventions' buckets. A stream of our own may be longer than a reply of a model.
SECONDS: Final = tuple(0.01 * 2**n for n in range(14))
MORE_SECONDS: Final = tuple(0.01 * 2**n for n in range(17))
TOKENS: Final = tuple(4**n for n in range(14))

# The operation and provider that a dialect's reader stands for. The provider is the one whose protocol it is: others
# serve the same protocol, and `server.address` tells them apart.
KNOWN_READERS: Final = {
    ("sse_client.dialects._anthropic", "AnthropicReader"): ("chat", "anthropic"),
    ("sse_client.dialects._chat", "ChatReader"): ("chat", "openai"),
    ("sse_client.dialects._cohere", "CohereReader"): ("chat", "cohere"),
    ("sse_client.dialects._gemini", "GeminiReader"): ("generate_content", "gcp.gemini"),
    ("sse_client.dialects._responses", "ResponsesReader"): ("chat", "openai"),
}
