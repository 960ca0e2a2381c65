"""The services that the routes about conversations and messages call, by their own types."""

from typing import Annotated, cast

from fastapi import Depends, Request

from parley.dispatch import Dispatch
from parley.http.deps import the_parley
from parley.services.conversations import Conversations
from parley.services.history import History


def _conversations(request: Request) -> Conversations:
    return cast(Conversations, the_parley(request).conversations)


def _history(request: Request) -> History:
    return cast(History, the_parley(request).history)


def _dispatch(request: Request) -> Dispatch:
    return cast(Dispatch, the_parley(request).dispatch)


TheConversations = Annotated[Conversations, Depends(_conversations)]
TheHistory = Annotated[History, Depends(_history)]
TheDispatch = Annotated[Dispatch, Depends(_dispatch)]
