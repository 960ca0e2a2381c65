"""The provider of the assistant's tests, for servers that are processes of their own."""

from tests.assistant.conftest import provider

__all__ = ["provider"]
