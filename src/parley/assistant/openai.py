"""`Provider` over any endpoint of the OpenAI kind (chat completions, streamed)."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import openai
from openai import AsyncOpenAI

from parley.assistant.interface import Ending, Failed, Failure, Line, Piece

CONNECT_S = 10.0
RETRY_AFTER_S = 3600.0
"""A longer wait than this is not believed."""
KINDS = {401: Failure.REFUSED, 403: Failure.REFUSED, 408: Failure.TIMEOUT, 429: Failure.RATE_LIMITED}


class OpenAIProvider:
    """One endpoint, one model."""

    def __init__(
        self, *, base_url: str, api_key: str, model: str, temperature: float, max_tokens: int, timeout_s: float
    ) -> None:
        """`timeout_s`: how long it may be silent, before the first piece and between any two."""
        self._asked: dict[str, Any] = {"model": model, "temperature": temperature, "max_tokens": max_tokens}
        self._timeout_s = timeout_s
        # Its own retries would begin an answer again that was half shown, and its own errors quote the key.
        self._client = AsyncOpenAI(
            base_url=base_url,
            api_key=api_key or "none",
            organization="",
            project="",
            max_retries=0,
            timeout=openai.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s)),
        )

    async def answer(self, lines: Sequence[Line]) -> AsyncGenerator[Piece | Ending]:
        # `from None` throughout: what the library says of an error may hold the key and the request.
        create: Any = self._client.chat.completions.create
        try:
            async with asyncio.timeout(self._timeout_s):
                stream = await create(
                    messages=[{"role": line.role, "content": line.text} for line in lines],
                    stream=True,
                    stream_options={"include_usage": True},
                    **self._asked,
                )
        except Exception as error:
            raise _failed(error) from None
        try:
            async for part in self._pieces(stream):
                yield part
        except GeneratorExit:
            raise
        except Exception as error:
            raise _failed(error, begun=True) from None
        finally:
            await stream.close()

    async def _pieces(self, stream: Any) -> AsyncGenerator[Piece | Ending]:
        """Each wait has its own timeout. A stream that stops without having said why has broken off."""
        whole = Surrogates()
        reason, usage = None, None
        chunks = stream.__aiter__()
        while True:
            try:
                async with asyncio.timeout(self._timeout_s):
                    chunk = await chunks.__anext__()
            except StopAsyncIteration:
                break
            usage = chunk.usage or usage
            for choice in chunk.choices[:1]:
                if text := whole.add(choice.delta.content or ""):
                    yield Piece(text)
                reason = choice.finish_reason or reason
        if text := whole.rest():
            yield Piece(text)
        if reason is None:
            raise Failed(Failure.CUT)
        counted = (usage.prompt_tokens, usage.completion_tokens) if usage is not None else (None, None)
        yield Ending(str(reason)[:64], *map(_count, counted))

    async def close(self) -> None:
        await self._client.close()


def _count(value: Any) -> int | None:
    """Its own figures are used for budgets, so nothing but a sound number is taken for one."""
    return value if type(value) is int and 0 <= value < 1 << 40 else None


def _failed(error: Exception, *, begun: bool = False) -> Failed:
    if isinstance(error, Failed):
        return error
    if isinstance(error, TimeoutError | openai.APITimeoutError):
        return Failed(Failure.TIMEOUT)
    if isinstance(error, openai.APIStatusError):
        status = error.status_code
        kind = KINDS.get(status) or (Failure.UNAVAILABLE if status >= 500 else Failure.BAD_REQUEST)
        return Failed(kind, status, _retry_after(error.response.headers.get("retry-after")))
    if isinstance(error, openai.APIConnectionError):
        return Failed(Failure.CUT if begun else Failure.UNAVAILABLE)
    # In a stream: an error told in it, or a chunk that is no JSON or not of the shape.
    return Failed(Failure.GARBLED if begun else Failure.UNAVAILABLE)


def _retry_after(header: str | None) -> float | None:
    """Seconds; the form with a date is not used by anybody of this kind."""
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds <= RETRY_AFTER_S else None


class Surrogates:
    """Text that can be stored, of pieces that a provider may have cut in the middle of a surrogate pair."""

    def __init__(self) -> None:
        self._half = ""

    def add(self, text: str) -> str:
        text = self._half + text
        self._half = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return _storable(text)

    def rest(self) -> str:
        half, self._half = self._half, ""
        return _storable(half)


def _storable(text: str) -> str:
    if not text.isascii():
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\x00", "")
