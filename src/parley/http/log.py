"""The log of a conversation, entry by entry, exactly as it is stored."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Response

from parley.http.answers import LogAnswer, reply
from parley.http.deps import CurrentActor
from parley.http.fields import LARGEST_SEQ, InConversation
from parley.http.services import TheHistory
from parley.services.history import LOG_LIMIT

router = APIRouter()


@router.get("/conversations/{id}/log", response_model=LogAnswer)
async def read_log(
    actor: CurrentActor,
    history: TheHistory,
    conversation: InConversation,
    after: Annotated[int, Query(ge=0, le=LARGEST_SEQ)] = 0,
    epoch: Annotated[str | None, Query(max_length=64, description="Of the history that `after` belongs to")] = None,
    limit: Annotated[int, Query(ge=1, le=LOG_LIMIT)] = 200,
) -> Response:
    """Entries after a seq, to the end of the page or 256 KiB.

    If `epoch` is not the database's, history was restored and the cursor means nothing: there are no entries, and the
    answer carries the present epoch. Take a snapshot of the conversation and its messages then.
    """
    page = await history.log_page(actor, conversation, after, limit, epoch=epoch)
    return reply(
        {
            "conversation_id": str(conversation),
            "epoch": page.epoch,
            "head": page.head,
            "entries": raw(page.entries),
            "next_after": page.next_after,
        }
    )


def raw(entries: Sequence[bytes]) -> list[msgspec.Raw]:
    """JSON that goes out as it is."""
    return [msgspec.Raw(entry) for entry in entries]
