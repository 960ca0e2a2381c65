"""The directory of rooms that anybody may join."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from parley.http.answers import RoomList, listed
from parley.http.deps import CurrentActor
from parley.http.services import TheConversations

router = APIRouter()


@router.get("/rooms", response_model=RoomList)
async def list_rooms(
    actor: CurrentActor,
    conversations: TheConversations,
    q: Annotated[str, Query(max_length=100, description="How the name or the title begins")] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[
        str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="`next` of the page before")
    ] = None,
) -> Response:
    """Open rooms by name. The lobby is not among them: everybody is in it."""
    rooms, following = await conversations.rooms(actor, q, limit, after)
    return listed(
        [
            {
                "id": str(room.id),
                "name": room.name,
                "title": room.title,
                "member_count": room.member_count,
                "joined": room.joined,
            }
            for room in rooms
        ],
        following,
    )
