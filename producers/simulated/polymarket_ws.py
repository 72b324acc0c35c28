from producers.simulated.player import Player
from starlette.websockets import WebSocket


class PolymarketSocket:
    def __init__(self, player: Player) -> None: ...
    async def serve(self, socket: WebSocket) -> None:
        await socket.close()
