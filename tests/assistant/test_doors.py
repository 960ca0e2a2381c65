"""The older clients' doors, and HTTP: each is answered in its own words."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
from tests.assistant.conftest import Serving
from tests.assistant.listener import Listener
from tests.assistant.provider_process import Provider
from tests.gateway.live import Live, Person, Template, live_server
from tests.legacy.client import Client, Doors

SORRY = "抱歉，我现在无法回答您的问题，请稍后重试。"
AWAY = "AI服务暂时不可用，请稍后重试"
ARK = "豆包AI"


def is_answer(frame: Any) -> bool:
    return isinstance(frame, dict) and frame.get("message", {}).get("userid") == "ai"


async def until(client: Client, wanted: Any) -> Any:
    while not wanted(frame := await client.one()):
        pass
    return frame


async def test_the_lobby_gets_the_whole_answer(serving: Serving) -> None:
    """Guests ask, in either form; everybody is told once, when it is complete; chat goes on meanwhile."""
    async with serving(name=ARK) as server, AsyncExitStack() as stack:
        doors = Doors(server, stack)
        one, two = await doors.connect("/ws"), await doors.connect("/ws")

        await one.send("@ai count to 3")
        first = await until(two, is_answer)
        await two.send(
            {"message": {"userid": "w", "userphone": "Zoe", "message": "/ai hello", "time": "", "filelink": ""}}
        )
        second = await until(one, lambda frame: is_answer(frame) and frame["message"]["message"] == "an answer")
        await one.send("@ai break down")
        failed = await until(two, lambda frame: is_answer(frame) and frame["message"]["message"] != "an answer")

        assert first == {
            "message": {**first["message"], "userid": "ai", "userphone": ARK, "message": "word0 word1 word2"}
        }
        assert set(first["message"]) == {"userid", "userphone", "message", "time"}
        assert second["message"]["userphone"] == ARK
        assert failed["message"]["message"] == SORRY


async def test_rooms_direct_and_kama_get_it_too(serving: Serving) -> None:
    async with serving(name=ARK) as server, AsyncExitStack() as stack:
        doors = Doors(server, stack)
        ann = await doors.account("ann")
        assistant = str(server.parley.assistant.service.assistant)  # type: ignore[union-attr]
        room = await doors.connect(f"/ws?room=general&token={ann.legacy}")
        await room.send({"type": "message", "payload": {"content": "@ai count to 2"}})
        shown = await until(room, lambda it: it["payload"].get("username") == ARK)

        direct = await doors.connect(f"/ws?token={ann.legacy}")
        await direct.send(
            {
                "conversationId": "",
                "recvId": assistant,
                "sendId": "",
                "chatType": 2,
                "content": "count to 2",
                "contentType": 1,
            }
        )
        private = await until(direct, lambda it: it.get("sendId") == assistant)

        kama = await doors.connect(f"/ws?client_id=U{ann.id}&token={ann.legacy}")
        await kama.send({"type": 1, "content": "count to 2", "send_id": f"U{ann.id}", "receive_id": f"U{assistant}"})
        echoed = await until(kama, lambda it: isinstance(it, dict) and it["send_id"] == f"U{assistant}")

        assert (shown["payload"]["content"], shown["payload"]["type"]) == ("word0 word1", "text")
        assert (private["content"], private["chatType"]) == ("word0 word1", 2)
        assert (echoed["content"], echoed["send_name"]) == ("word0 word1", ARK)


async def test_where_there_is_none_each_says_so(template: Template, tmp_path: Path) -> None:
    template.lay_down(tmp_path)
    async with live_server(tmp_path) as server, AsyncExitStack() as stack:
        doors = Doors(server, stack)
        ann = await doors.account("ann")
        lobby = await doors.connect("/ws")
        await lobby.send("@ai hello")
        said = await until(lobby, lambda it: isinstance(it, dict) and it.get("message", {}).get("userphone") == "系统")
        room = await doors.connect(f"/ws?room=general&token={ann.legacy}")
        await room.send({"type": "message", "payload": {"content": "@ai hello"}})
        shown = await until(room, lambda it: it["payload"].get("content") == AWAY)

        assert said["message"]["message"] == AWAY
        assert len(said["message"]["time"]) == len("2024-01-01 12:00:00")
        assert shown["payload"]["type"] == "system"


# HTTP


def client_of(live: Live, person: Person | None = None) -> httpx.AsyncClient:
    headers = {} if person is None else {"Authorization": f"Bearer {person.token}"}
    return httpx.AsyncClient(base_url=live.url, headers=headers, trust_env=False, timeout=20)


def events(text: str) -> list[tuple[str, Any]]:
    found = []
    for block in text.split("\n\n"):
        if block:
            name, data = block.split("\n")
            found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


async def test_a_private_chat_is_remembered(server: Live, alice: Person, bob: Person, provider: Provider) -> None:
    """By its id, for its asker; to anybody else there is none of that id."""
    async with client_of(server, alice) as http, client_of(server, bob) as other, client_of(server) as nobody:
        path = "/api/v1/assistant/chat"
        first = (await http.post(path, json={"message": "count to 2"})).json()
        second = await http.post(path, json={"message": "and now?", "conversation_id": first["conversation_id"]})
        asked = json.loads(provider.asked()[-1])["messages"]
        stolen = await other.post(path, json={"message": "and?", "conversation_id": first["conversation_id"]})
        unknown = await http.post(path, json={"message": "x", "conversation_id": "0" * 8})
        refused = await nobody.post(path, json={"message": "x"})
        empty = await http.post(path, json={"message": "   "})

    assert (first["message"], first["finish_reason"]) == ("word0 word1", "stop")
    assert second.json()["conversation_id"] == first["conversation_id"]
    assert [it["content"] for it in asked[1:]] == ["count to 2", "word0 word1", "and now?"]
    assert (stolen.status_code, stolen.json()["name"]) == (404, "unknown_conversation")
    assert [it.status_code for it in (unknown, refused, empty)] == [400, 401, 400]


async def test_a_private_chat_comes_as_events(server: Live, alice: Person) -> None:
    """Deltas, then all of it; a failure is an event of its own, and has a status where nothing came before it."""
    async with client_of(server, alice) as http:
        path = "/api/v1/assistant/chat"
        good = await http.post(path, json={"message": "count to 9", "stream": True})
        cut = await http.post(path, json={"message": "cut off", "stream": True})
        failed = await http.post(path, json={"message": "break down", "stream": True})

    told = events(good.text)
    assert good.headers["content-type"].startswith("text/event-stream")
    assert "".join(data["text"] for name, data in told if name == "delta") == told[-1][1]["message"]
    assert [name for name, _ in told][-1] == "done"
    assert [name for name, _ in events(cut.text)][-1] == "error"
    assert events(cut.text)[-1][1]["name"] == "assistant_failed"
    assert (failed.status_code, failed.json()["name"]) == (503, "assistant_failed")


async def test_the_lobby_clients_chat_by_http(serving: Serving) -> None:
    """In their envelope, for a token or a guest of this machine, within one budget for all guests."""
    async with serving(requests_per_day=3) as server, client_of(server) as http:
        path = "/api/ai/chat"
        guest = await http.post(path, json={"message": "count to 2", "user_id": "web-1", "stream": False})
        told = guest.json()["data"]
        again = await http.post(path, json={"message": "hello", "conversation_id": told["conversation_id"]})
        failed = await http.post(path, json={"message": "break down"})
        over = await http.post(path, json={"message": "hello"})
        elsewhere = await http.post(path, json={"message": "hello"}, headers={"x-forwarded-for": "1.2.3.4"})
        ann = await server.person("ann")
        own = await http.post(path, json={"message": "hello", "stream": True}, headers={"websocket": ann.token})

    assert (guest.json()["code"], guest.json()["message"]) == (200, "success")
    assert (told["message"], told["finish_reason"], len(told["conversation_id"])) == ("word0 word1", "stop", 36)
    assert again.json()["data"]["message"] == "an answer"
    assert failed.json() == {"code": 503, "message": SORRY, "data": None}
    assert over.json() == {"code": 429, "message": AWAY, "data": None}
    assert elsewhere.status_code == 401
    assert events(own.text)[-1][1]["data"]["message"] == "an answer"


async def test_the_path_of_ark_and_a_key_in_a_file(provider: Provider, template: Template, tmp_path: Path) -> None:
    """`/api/v3` is another base, and a file another place for a key."""
    template.lay_down(tmp_path)
    key = tmp_path / "key"
    key.write_text("sk-of-a-file\n")
    chosen = provider.settings(base_url=f"{provider.url}/api/v3", api_key="", api_key_file=key)
    async with live_server(tmp_path, assistant=chosen) as server:
        ann = await server.person("ann")
        room = await server.group(ann)
        asker = await Listener.connect(server, ann)

        ended = await asker.answer_to(room, await asker.say(room, "@ai hello"))

    assert ended["status"] == "done"
    assert "/api/v3/chat/completions" in provider.paths()
